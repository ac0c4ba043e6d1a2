"""The brains: each controller reads objects, decides, and writes objects. They know `api/` and below, nothing of containers.

A controller is a pure decider (facts and `now` in, a plan out) and a doer that carries the plan out through `Api`. One
runner (`runner.py`) runs them all, in life and in the simulator alike.
"""
