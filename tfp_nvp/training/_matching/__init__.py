"""Continuous flows trained without solving, and exact flows fitted to them."""
