"""Files from elsewhere: over HTTP and from git repositories; for ADD and for contexts."""
