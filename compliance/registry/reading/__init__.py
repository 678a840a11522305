"""Reads the membership reports that branch offices hand over, whatever they were saved as."""
