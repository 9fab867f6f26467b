"""Writes a model to a version's folder."""
