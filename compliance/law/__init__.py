"""Decides by dated law; imports nothing but errors and the standard library."""
