"""Regions and object proposals on the host."""
