"""Densities that are fitted beside flows, and the weights of all of them in a mixture."""
