"""Folders of models and their versions."""
