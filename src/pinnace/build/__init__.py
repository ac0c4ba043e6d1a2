"""Dockerfile to image: a graph of stages and steps, a cache by content, layers made in sandboxes."""
