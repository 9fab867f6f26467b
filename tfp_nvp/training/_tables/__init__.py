"""Fits flows to tables."""
