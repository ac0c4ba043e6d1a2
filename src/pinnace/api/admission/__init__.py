"""Decides whether a new object may come in, given the rest of the world, and adds what the cluster adds."""
