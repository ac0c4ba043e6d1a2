"""A guest with systemd and cgroup v2, under software emulation, in which the host tests run. See `__main__.py`."""
