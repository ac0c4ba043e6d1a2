"""Lets volumes and claims go only when nobody uses them any more."""
