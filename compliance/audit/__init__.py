"""Remembers: the append-only log and what is projected from it."""
