"""Namespaces: their end, and what each of them holds from the start."""
