"""The files that a server is started with."""
