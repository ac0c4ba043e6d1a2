"""Pod Security Standards by namespace label: the levels, the checks of each, and the row of the chain."""
