import pytest

from pinnace.kube import kinds
from pinnace.kubeapi.paths import Target, parse_target


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/api/v1/pods", Target(kinds.POD)),
        ("/api/v1/namespaces/default/pods", Target(kinds.POD, "default")),
        ("/api/v1/namespaces/default/pods/", Target(kinds.POD, "default")),
        ("/api/v1/namespaces/default/pods/web", Target(kinds.POD, "default", "web")),
        ("/api/v1/namespaces/default/pods/web/log", Target(kinds.POD, "default", "web", "log")),
        ("/api/v1/namespaces", Target(kinds.NAMESPACE)),
        ("/api/v1/namespaces/default", Target(kinds.NAMESPACE, "", "default")),
        ("/api/v1/namespaces/default/status", Target(kinds.NAMESPACE, "", "default", "status")),
        ("/api/v1/namespaces/default/finalize", Target(kinds.NAMESPACE, "", "default", "finalize")),
        ("/api/v1/nodes/here", Target(kinds.NODE, "", "here")),
        ("/api/v1/namespaces/default/events/web.17%3Ab", Target(kinds.EVENT, "default", "web.17:b")),
        ("/apis/apps/v1/deployments", Target(kinds.DEPLOYMENT)),
        ("/apis/apps/v1/namespaces/a/deployments/web/scale", Target(kinds.DEPLOYMENT, "a", "web", "scale")),
        ("/apis/events.k8s.io/v1/namespaces/a/events", Target(kinds.EVENT_V1, "a")),
        ("/api/v1/watch/namespaces/default/pods", Target(kinds.POD, "default", watch=True)),
        ("/apis/metrics.k8s.io/v1beta1/nodes", Target(kinds.NODE_METRICS)),
    ],
)
def test_path_names_its_target(path: str, target: Target) -> None:
    assert parse_target(path) == target


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/api",
        "/api/v1",
        "/api/v1/",
        "/api/v2/pods",
        "/apis",
        "/apis/apps/v1",
        "/apis/apps/v1/pods",
        "/apis//v1/pods",
        "/api/v1/pods/web",
        "/api/v1/namespaces/default/nodes/here",
        "/api/v1/namespaces/default/unknown",
        "/healthz",
    ],
)
def test_other_paths_name_nothing(path: str) -> None:
    assert parse_target(path) is None
