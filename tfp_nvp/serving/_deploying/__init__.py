"""Writes the configuration of a server."""
