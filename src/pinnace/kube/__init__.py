"""Kubernetes' objects as values, and the rules that hold for all of them: kinds, codec, quantities, selectors, patches.

Knows no store, no server and no clock. Loads nothing by itself: import the module that you need.
"""
