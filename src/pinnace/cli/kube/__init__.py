"""What the Kubernetes verbs share: how objects are named, where they live, how they are printed, what errors look like."""
