"""Writes what is used of each quota into its status."""
