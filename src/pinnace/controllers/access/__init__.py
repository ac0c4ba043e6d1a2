"""Keeps the default roles, roles that are put together from others, and the Secrets that hold tokens."""
