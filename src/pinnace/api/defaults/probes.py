"""Fills in probes and HTTP actions. Source: Kubernetes v1.36, pkg/apis/core/v1/defaults.go, SetDefaults_Probe."""

from msgspec.structs import replace

from pinnace.kube.objects.core_v1 import HTTPGetAction, Lifecycle, LifecycleHandler, Probe

TIMEOUT_S = 1
PERIOD_S = 10
SUCCESS_THRESHOLD = 1
FAILURE_THRESHOLD = 3


def default_probe(probe: Probe) -> Probe:
    """Return the probe with its periods, thresholds and action filled in."""
    return replace(
        probe,
        timeout_seconds=probe.timeout_seconds or TIMEOUT_S,
        period_seconds=probe.period_seconds or PERIOD_S,
        success_threshold=probe.success_threshold or SUCCESS_THRESHOLD,
        failure_threshold=probe.failure_threshold or FAILURE_THRESHOLD,
        http_get=None if probe.http_get is None else default_http(probe.http_get),
        grpc=None if probe.grpc is None else replace(probe.grpc, service=probe.grpc.service or ""),
    )


def default_http(http: HTTPGetAction) -> HTTPGetAction:
    """Return the action with path and scheme."""
    return replace(http, path=http.path or "/", scheme=http.scheme or "HTTP")


def default_lifecycle(lifecycle: Lifecycle) -> Lifecycle:
    """Return the hooks with their HTTP actions filled in."""

    def fill(handler: LifecycleHandler | None) -> LifecycleHandler | None:
        if handler is None or handler.http_get is None:
            return handler
        return replace(handler, http_get=default_http(handler.http_get))

    return replace(lifecycle, post_start=fill(lifecycle.post_start), pre_stop=fill(lifecycle.pre_stop))
