"""Keeps the status of disruption budgets: how many pods are healthy, and how many may be evicted now."""
