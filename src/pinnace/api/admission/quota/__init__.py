"""Keeps a namespace within its quotas: what each object counts for, which quota minds it, and who has how much."""
