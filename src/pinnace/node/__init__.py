"""Pods made real on one node: the only room that turns a Pod into containers, and containers into a Pod's status."""
