"""Holds what can be chosen about the server, and what it needs from the world. Built by `daemon/`."""

from dataclasses import dataclass

from pinnace.api.world import Dialer, NodeServer, PodAttach, PodExec, PodLogs, PodPortForward, Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """Bounds and names.

    Units: seconds and bytes. A watch without a time-out ends after `watch_timeout_s` times 1 to 2.
    """

    max_body_bytes: int = 3 * 1024 * 1024  # Source: Kubernetes v1.36, apiserver, MaxRequestBodyBytes
    watch_timeout_s: float = 1800.0  # Source: Kubernetes v1.36, kube-apiserver --min-request-timeout
    bookmark_interval_s: float = 60.0  # Source: Kubernetes v1.36, storage/cacher, defaultBookmarkFrequency
    git_version: str = "v1.36.0+pinnace"
    git_commit: str = ""
    build_date: str = "1970-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What stands behind the subresources that reach containers; a part that is missing answers ServiceUnavailable."""

    logs: PodLogs | None = None
    exec: PodExec | None = None
    attach: PodAttach | None = None
    port_forward: PodPortForward | None = None
    usage: Usage | None = None
    dialer: Dialer | None = None
    node: NodeServer | None = None
