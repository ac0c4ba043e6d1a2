"""Base images made from the distribution's own packages, so that no image registry is needed."""
