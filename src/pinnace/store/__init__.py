"""One revisioned store: the only shared state. Get, list and watch are readings of the same log."""
