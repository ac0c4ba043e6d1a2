"""Pinnace's own HTTP API, for its own command: under /pinnace/v1/ on the instance's socket. Edges only, no decisions."""
