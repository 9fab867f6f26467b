"""Queries to an exported model, in Python or on a server."""
