"""Decides which node each pod runs on, and binds it there. Knows the API and below, and nothing of containers."""
