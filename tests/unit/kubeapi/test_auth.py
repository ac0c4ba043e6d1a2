import base64

import pytest
from multidict import CIMultiDict

from pinnace.api.access.attributes import Attributes, refusal
from pinnace.base.errors import ApiError
from pinnace.kubeapi.auth import ANONYMOUS, User, find_bearer, read_subject
from pinnace.kubeapi.impersonation import Wish, impersonates, read_wish
from pinnace.kubeapi.request_info import read_attributes

SUBJECT = ((("organizationName", "system:masters"),), (("commonName", "pinnace-admin"),))
PROTOCOL = "base64url.bearer.authorization.k8s.io."


def test_a_certificate_names_user_and_groups() -> None:
    assert read_subject(SUBJECT) == User("pinnace-admin", ("system:masters", "system:authenticated"))
    assert read_subject(SUBJECT).is_admin


# Expected: apiserver 1.36, requestinfo_test.go, and the rules beside it.
@pytest.mark.parametrize(
    ("method", "path", "query", "expected"),
    [
        ("GET", "/api/v1/namespaces", "", Attributes("list", "", "v1", "namespaces")),
        ("GET", "/api/v1/namespaces/a", "", Attributes("get", "", "v1", "namespaces", "", "a", "a")),
        (
            "PUT",
            "/api/v1/namespaces/a/finalize",
            "",
            Attributes("update", "", "v1", "namespaces", "finalize", "a", "a"),
        ),
        ("GET", "/api/v1/namespaces/a/pods", "watch=1", Attributes("watch", "", "v1", "pods", "", "a")),
        ("GET", "/api/v1/namespaces/a/pods", "watch=false", Attributes("list", "", "v1", "pods", "", "a")),
        ("GET", "/api/v1/watch/pods", "", Attributes("watch", "", "v1", "pods")),
        (
            "GET",
            "/api/v1/watch/namespaces/a/pods/b",
            "",
            Attributes("watch", "", "v1", "pods", "", "a", "b"),
        ),
        (
            "GET",
            "/api/v1/namespaces/a/pods",
            "fieldSelector=metadata.name%3Db",
            Attributes("list", "", "v1", "pods", "", "a", "b"),
        ),
        ("DELETE", "/api/v1/nodes", "", Attributes("deletecollection", "", "v1", "nodes")),
        ("GET", "/apis/example.com/v2/proxy", "", Attributes("list", "example.com", "v2", "proxy")),
        ("GET", "/apis/example.com/v2/watch/", "", Attributes("list", "example.com", "v2", "watch")),
        ("HEAD", "/api/v1/nodes/n", "", Attributes("get", "", "v1", "nodes", "", "", "n")),
        (
            "POST",
            "/api/v1/namespaces/a/pods/b/exec",
            "",
            Attributes("create", "", "v1", "pods", "exec", "a", "b"),
        ),
        (
            "PATCH",
            "/apis/example.com/v2/namespaces/a/foos/b/status",
            "",
            Attributes("patch", "example.com", "v2", "foos", "status", "a", "b"),
        ),
        (
            "GET",
            "/api/v1/namespaces/a/services/b/proxy/some/path",
            "",
            Attributes("get", "", "v1", "services", "proxy", "a", "b"),
        ),
        ("GET", "/apis/apps/v1", "", Attributes("get", path="/apis/apps/v1")),
        ("GET", "/", "", Attributes("get", path="/")),
        ("POST", "/pinnace/v1/images", "", Attributes("post", path="/pinnace/v1/images")),
    ],
)
def test_what_a_request_asks_for(method: str, path: str, query: str, expected: Attributes) -> None:
    assert read_attributes(method, path, query) == expected


# Expected words: kube-apiserver 1.36 with anonymous requests.
@pytest.mark.parametrize(
    ("method", "path", "message"),
    [
        ("GET", "/apis", 'forbidden: User "system:anonymous" cannot get path "/apis"'),
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
        (
            "GET",
            "/api/v1/namespaces/a/pods?watch=true",
            'pods is forbidden: User "system:anonymous" cannot watch resource "pods" in API group "" '
            'in the namespace "a"',
        ),
    ],
)
def test_strangers_are_refused_in_kubernetes_words(method: str, path: str, message: str) -> None:
    address, _, query = path.partition("?")
    error = refusal(ANONYMOUS, read_attributes(method, address, query))
    assert (error.code, error.message) == (403, message)


def test_a_name_that_looks_like_html_is_made_harmless() -> None:
    error = refusal(User("<b>"), Attributes("get", path="/x"))
    assert error.message == 'forbidden: User "&lt;b&gt;" cannot get path "/x"'


@pytest.mark.parametrize(
    ("headers", "token"),
    [
        ({"Authorization": "Bearer a.b.c"}, "a.b.c"),
        ({"authorization": "bearer a.b.c"}, "a.b.c"),
        ({"Authorization": "Basic dTpw"}, ""),
        ({"Authorization": "Bearer"}, ""),
        (
            {
                "Sec-WebSocket-Protocol": f"v4.channel.k8s.io, {PROTOCOL}"
                + base64.urlsafe_b64encode(b"a.b.c?").decode().rstrip("=")
            },
            "a.b.c?",
        ),
        ({"Sec-WebSocket-Protocol": "v4.channel.k8s.io"}, ""),
        ({}, ""),
    ],
)
def test_where_a_token_stands(headers: dict[str, str], token: str) -> None:
    assert find_bearer(CIMultiDict(headers)) == token


@pytest.mark.parametrize(
    "protocols", [f"{PROTOCOL}YQ", f"x, {PROTOCOL}YQ, {PROTOCOL}YQ", f"x, {PROTOCOL}!!", f"x, {PROTOCOL}_w"]
)
def test_a_protocol_that_is_no_token_is_refused(protocols: str) -> None:
    with pytest.raises(ApiError) as caught:
        find_bearer(CIMultiDict({"Sec-WebSocket-Protocol": protocols}))
    assert (caught.value.code, caught.value.message) == (401, "Unauthorized")


def test_whom_a_request_wants_to_act_as() -> None:
    headers = [
        ("Impersonate-User", "bob"),
        ("Impersonate-Group", "devs"),
        ("impersonate-group", "system:authenticated"),
        ("Impersonate-Uid", "7"),
        ("Impersonate-Extra-acme.com%2fproject", "x"),
    ]
    assert impersonates([(name.encode(), value.encode()) for name, value in headers])
    wish = read_wish(headers)
    assert wish == Wish("bob", ("devs", "system:authenticated"), "7", (("acme.com/project", ("x",)),))
    assert wish is not None
    assert wish.to_user() == User("bob", ("devs", "system:authenticated"), "7", {"acme.com/project": ("x",)})
    assert [(a.group, a.resource, a.subresource, a.namespace, a.name) for a in wish.questions()] == [
        ("", "users", "", "", "bob"),
        ("", "groups", "", "", "devs"),
        ("", "groups", "", "", "system:authenticated"),
        ("authentication.k8s.io", "userextras", "acme.com/project", "", "x"),
        ("authentication.k8s.io", "uids", "", "", "7"),
    ]


def test_acting_as_a_service_account_brings_its_groups() -> None:
    wish = Wish("system:serviceaccount:a:b")
    assert wish.to_user().groups == (
        "system:serviceaccounts",
        "system:serviceaccounts:a",
        "system:authenticated",
    )
    assert list(wish.questions()) == [
        Attributes("impersonate", resource="serviceaccounts", namespace="a", name="b")
    ]


def test_a_group_without_a_user_is_a_bad_request() -> None:
    assert not impersonates([(b"Accept", b"*/*"), (b"If-None-Match", b"x")])
    with pytest.raises(ApiError, match=r"requested .* without impersonating a user"):
        read_wish([("Impersonate-Group", "g")])
