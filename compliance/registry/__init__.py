"""Asks the agency; the only room that calls out."""
