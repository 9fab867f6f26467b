"""Fits of tables."""
