"""ReplicaSets: as many pods of one template as wanted."""
