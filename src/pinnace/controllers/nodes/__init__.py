"""Nodes: their life cycle, and the pods of nodes that are gone."""
