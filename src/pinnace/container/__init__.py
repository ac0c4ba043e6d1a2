"""One running container: its OCI configuration, its runtime and monitor, its cgroup, its log.

Used by `sandbox/` only; knows nothing of images, networks or Kubernetes.
"""
