"""Keras models of densities."""
