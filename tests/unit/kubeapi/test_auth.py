import pytest

from pinnace.base.errors import ApiError
from pinnace.kubeapi.auth import ADMIN, ANONYMOUS, User, authorize, read_subject
from pinnace.kubeapi.paths import parse_target

SUBJECT = ((("organizationName", "system:masters"),), (("commonName", "pinnace-admin"),))


def test_a_certificate_names_user_and_groups() -> None:
    assert read_subject(SUBJECT) == User("pinnace-admin", ("system:masters", "system:authenticated"))
    assert read_subject(SUBJECT).is_admin


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz", "/readyz/ping", "/version"])
def test_strangers_may_ask_how_the_server_is(path: str) -> None:
    authorize(ANONYMOUS, "GET", path, None)


# Expected words: kube-apiserver 1.36 with anonymous requests.
@pytest.mark.parametrize(
    ("method", "path", "message"),
    [
        ("GET", "/apis", 'forbidden: User "system:anonymous" cannot get path "/apis"'),
        ("GET", "/healthzz", 'forbidden: User "system:anonymous" cannot get path "/healthzz"'),
        (
            "GET",
            "/api/v1/nodes/here",
            'nodes "here" is forbidden: User "system:anonymous" cannot get resource "nodes" in API group "" '
            "at the cluster scope",
        ),
        (
            "POST",
            "/apis/apps/v1/namespaces/a/deployments",
            'deployments.apps is forbidden: User "system:anonymous" cannot create resource "deployments" in API group '
            '"apps" in the namespace "a"',
        ),
        (
            "DELETE",
            "/api/v1/namespaces/a/pods",
            'pods is forbidden: User "system:anonymous" cannot deletecollection resource "pods" in API group "" '
            'in the namespace "a"',
        ),
        (
            "GET",
            "/api/v1/namespaces/a/pods/web/log",
            'pods "web" is forbidden: User "system:anonymous" cannot get resource "pods/log" in API group "" '
            'in the namespace "a"',
        ),
    ],
)
def test_strangers_are_refused_in_kubernetes_words(method: str, path: str, message: str) -> None:
    with pytest.raises(ApiError) as caught:
        authorize(ANONYMOUS, method, path, parse_target(path))
    assert (caught.value.code, caught.value.message) == (403, message)


def test_masters_may_do_everything() -> None:
    authorize(ADMIN, "DELETE", "/api/v1/nodes", parse_target("/api/v1/nodes"))


def test_a_certificate_without_the_group_is_not_enough() -> None:
    with pytest.raises(ApiError):
        authorize(User("somebody", ("system:authenticated",)), "GET", "/api", None)
