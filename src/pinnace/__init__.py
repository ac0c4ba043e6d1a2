"""Pinnace: one process that gives one Linux machine what Docker and Kubernetes give a fleet."""

__version__ = "0.1.0"
