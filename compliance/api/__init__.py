"""Speaks JSON over HTTP and decides nothing."""
