"""Tells others: signed webhooks to licensing software, permit states to OSS. Both are rows that wait until taken."""
