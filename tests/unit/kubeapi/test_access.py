"""The gate over TLS: tokens, refusals, reviews, the audit log, and what only the administrator reaches."""

import asyncio
import base64
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pinnace.api.access.tokens import Tokens, make_key
from pinnace.api.facade import Api
from pinnace.base.chance import Chance
from pinnace.base.clock import FrozenClock
from pinnace.base.errors import UserError
from pinnace.controllers.access.ensure import ensure_default_access
from pinnace.kube import codec, kinds
from pinnace.kube.objects.authentication_v1 import TokenRequestSpec
from pinnace.kube.objects.core_v1 import Namespace, ServiceAccount
from pinnace.kube.objects.meta_v1 import ObjectMeta
from pinnace.kubeapi.audit import KEPT, AuditLog
from pinnace.kubeapi.auth import unauthorized
from pinnace.kubeapi.gate import Passage
from pinnace.kubeapi.pki import ensure
from pinnace.kubeapi.server import KubeServer
from pinnace.kubeapi.settings import World
from pinnace.kubeapi.signing_key import ensure_signing_key
from pinnace.store.memory import MemoryStore
from tests.unit.kubeapi.conftest import FakeWorld, Kube, pod

KEY = make_key()
NOW = 1_767_312_000.0
BOT = "system:serviceaccount:default:bot"


class Server:
    """A server over TLS, asked without a client certificate."""

    def __init__(
        self, api: Api, tokens: Tokens, session: aiohttp.ClientSession, url: str, audit: Path
    ) -> None:
        self.api = api
        self.session = session
        self.url = url
        self.audit_path = audit
        self.token = tokens.issue("default", "bot", TokenRequestSpec()).token

    async def call(
        self, method: str, path: str, body: Any = None, *, token: str | None = None, **headers: str
    ) -> tuple[int, Any]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            named["Authorization"] = f"Bearer {token}"
        data = None if body is None else json.dumps(body)
        if data is not None:
            named["Content-Type"] = "application/json"
        async with self.session.request(method, self.url + path, data=data, headers=named) as response:
            self.headers = response.headers
            text = await response.text()
        return response.status, json.loads(text) if text.startswith("{") else text

    async def as_bot(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        return await self.call(method, path, body, token=self.token, **headers)

    async def grant(self, *rules: dict[str, Any], name: str = "granted") -> None:
        """Let the account do what the rules say, everywhere."""
        role = {"metadata": {"name": name}, "rules": rules}
        await self.api.create(codec.from_json(kinds.CLUSTER_ROLE, role))
        binding = {
            "metadata": {"name": name},
            "roleRef": {"kind": "ClusterRole", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": "bot", "namespace": "default"}],
        }
        await self.api.create(codec.from_json(kinds.CLUSTER_ROLE_BINDING, binding))

    def audit(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.audit_path.read_text().splitlines()]


async def own_api(request: web.BaseRequest) -> web.Response:
    return web.Response(text="the machine")


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    clock = FrozenClock(NOW)
    api = Api(MemoryStore(), clock, Chance(1))
    await api.create(Namespace(metadata=ObjectMeta(name="default")))
    await api.create(ServiceAccount(metadata=ObjectMeta(name="bot", namespace="default")))
    await ensure_default_access(api)
    tokens = Tokens(api, KEY, clock, Chance(2))
    fake = FakeWorld()
    world = World(logs=fake, exec=fake, attach=fake, port_forward=fake, usage=fake)
    audit = AuditLog(tmp_path / "audit.log", clock, Chance(3))
    running = KubeServer(api, world, mounts={"/pinnace/v1/": own_api}, tokens=tokens, audit=audit)
    certificates = ensure(tmp_path / "pki", clock)
    port = await running.serve_tls("127.0.0.1", 0, certificates.server_context())
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
        yield Server(api, tokens, session, f"https://127.0.0.1:{port}", tmp_path / "audit.log")
    await running.close()
    await api.store.close()


async def test_strangers_learn_how_the_server_is_and_nothing_else(server: Server) -> None:
    answers = {
        path: (await server.call("GET", path))[0]
        for path in (
            "/healthz",
            "/livez",
            "/readyz",
            "/version",
            "/api",
            "/metrics",
            "/openapi/v2",
            "/nowhere",
            "/",
        )
    }
    assert answers == {
        "/healthz": 200,
        "/livez": 200,
        "/readyz": 200,
        "/version": 200,
        **dict.fromkeys(("/api", "/metrics", "/openapi/v2", "/nowhere", "/"), 403),
    }
    status, document = await server.call("POST", "/apis/apps/v1/namespaces/default/deployments", {})
    assert (status, document) == (
        403,
        {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": 'deployments.apps is forbidden: User "system:anonymous" cannot create resource "deployments" in '
            'API group "apps" in the namespace "default"',
            "reason": "Forbidden",
            "details": {"group": "apps", "kind": "deployments"},
            "code": 403,
        },
    )


async def test_a_token_that_does_not_count_lets_nobody_in(server: Server) -> None:
    for token in ("x", server.token[:-4], server.token + "x"):
        status, document = await server.call("GET", "/healthz", token=token)
        assert (status, document["message"], document["reason"]) == (401, "Unauthorized", "Unauthorized")
    line = server.audit()[-1]
    assert (line["user"], line["responseStatus"]["code"]) == ({}, 401)
    assert line["auditID"] == server.headers["Audit-Id"]
    assert server.token not in server.audit_path.read_text()


async def test_every_refused_request_leaves_one_line(server: Server) -> None:
    await server.as_bot("GET", "/api/v1/namespaces/default/pods?watch=1", User_Agent="me/1")
    await server.call("DELETE", "/apis/apps/v1/namespaces/a/deployments/web")
    first, second = server.audit()
    assert first == {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "Metadata",
        "auditID": first["auditID"],
        "stage": "ResponseComplete",
        "requestURI": "/api/v1/namespaces/default/pods?watch=1",
        "verb": "watch",
        "user": first["user"],
        "sourceIPs": ["127.0.0.1"],
        "userAgent": "me/1",
        "objectRef": {"resource": "pods", "namespace": "default", "apiVersion": "v1"},
        "responseStatus": {
            "metadata": {},
            "status": "Failure",
            "message": f'pods is forbidden: User "{BOT}" cannot watch resource "pods" in API group "" in the namespace '
            '"default"',
            "reason": "Forbidden",
            "code": 403,
        },
        "requestReceivedTimestamp": "2026-01-02T00:00:00.000000Z",
        "stageTimestamp": "2026-01-02T00:00:00.000000Z",
        "annotations": {"authorization.k8s.io/decision": "forbid", "authorization.k8s.io/reason": ""},
    }
    assert first["user"]["username"] == BOT
    assert second["user"] == {"username": "system:anonymous", "groups": ["system:unauthenticated"]}
    assert second["objectRef"]["name"] == "web"


async def test_what_admission_refuses_is_told_apart(server: Server) -> None:
    await server.grant({"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["*"], "verbs": ["create"]})
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]
    status, _ = await server.as_bot(
        "POST",
        "/apis/rbac.authorization.k8s.io/v1/clusterroles",
        {"metadata": {"name": "x"}, "rules": rules},
    )
    assert status == 403
    assert server.audit()[-1]["annotations"]["authorization.k8s.io/decision"] == "allow"


async def test_a_grant_counts_at_once_and_for_what_it_says(server: Server) -> None:
    assert (await server.as_bot("GET", "/api/v1/namespaces/default/pods"))[0] == 403
    await server.grant({"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": ["get", "list"]})
    await server.api.create(
        codec.from_json(kinds.POD, {**pod(), "metadata": {"name": "web", "namespace": "default"}})
    )
    path = "/api/v1/namespaces/default/pods"
    answers = [
        (await server.as_bot(method, path + more))[0]
        for method, more in (
            ("GET", ""),
            ("GET", "/web"),
            ("GET", "/web/log"),
            ("GET", "?watch=true"),
            ("DELETE", "/web"),
            ("GET", "/web/status"),
            ("POST", ""),
        )
    ]
    assert answers == [200, 200, 200, 403, 403, 403, 403]
    assert (await server.as_bot("GET", "/apis/metrics.k8s.io/v1beta1/pods"))[0] == 403


async def test_a_handshake_needs_the_right_to_start_something(server: Server) -> None:
    await server.api.create(
        codec.from_json(kinds.POD, {**pod(), "metadata": {"name": "web", "namespace": "default"}})
    )
    await server.grant({"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["get"]})
    path = "/api/v1/namespaces/default/pods/web/exec?command=x&stdout=1"
    status, document = await server.as_bot("GET", path)
    assert (status, 'cannot create resource "pods/exec"' in document["message"]) == (403, True)
    await server.grant({"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["create"]}, name="more")
    assert (await server.as_bot("GET", path))[0] != 403


async def test_a_browser_sends_its_token_as_a_protocol(server: Server) -> None:
    await server.api.create(
        codec.from_json(kinds.POD, {**pod(), "metadata": {"name": "web", "namespace": "default"}})
    )
    await server.grant({"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["get", "create"]})
    encoded = base64.urlsafe_b64encode(server.token.encode()).decode().rstrip("=")
    protocols = ("v4.channel.k8s.io", f"base64url.bearer.authorization.k8s.io.{encoded}")
    url = f"{server.url}/api/v1/namespaces/default/pods/web/exec?command=x&stdout=1"
    async with server.session.ws_connect(url, protocols=protocols) as socket:
        assert socket.protocol == "v4.channel.k8s.io"
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await server.session.ws_connect(url, protocols=protocols[1:])
    assert caught.value.status == 401


async def test_the_machine_is_the_administrators_whatever_the_rules_say(server: Server) -> None:
    await server.grant({"nonResourceURLs": ["*"], "verbs": ["*"]})
    assert (await server.as_bot("GET", "/metrics"))[0] == 200
    status, document = await server.as_bot("GET", "/pinnace/v1/instance")
    assert (status, document["message"]) == (
        403,
        f'forbidden: User "{BOT}" cannot get path "/pinnace/v1/instance"',
    )


async def test_acting_as_another(server: Server) -> None:
    status, document = await server.as_bot("GET", "/api", Impersonate_User="ann")
    assert (status, document["message"]) == (
        403,
        f'users "ann" is forbidden: User "{BOT}" cannot impersonate resource "users" in API group "" at the cluster '
        "scope",
    )
    await server.grant({"apiGroups": [""], "resources": ["users"], "verbs": ["impersonate"]})
    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    status, document = await server.as_bot("POST", path, {}, Impersonate_User="ann")
    assert document["status"]["userInfo"] == {"username": "ann", "groups": ["system:authenticated"]}
    assert (await server.as_bot("GET", "/api", Impersonate_User="ann", Impersonate_Group="x"))[0] == 403
    assert (await server.as_bot("GET", "/api", Impersonate_Group="x"))[0] == 400


def issue_certificate(folder: Path, *attributes: x509.NameAttribute[str]) -> Path:
    """Sign a client certificate with the instance's authority, as docs/access.md says that one can."""
    content = (folder / "ca.pem").read_bytes()
    authority = x509.load_pem_x509_certificate(content)
    signer = serialization.load_pem_private_key(content, None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name(attributes))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(authority.not_valid_before_utc)
        .not_valid_after(authority.not_valid_after_utc)
        .sign(signer, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "client.pem"
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path


async def test_another_certificate_of_our_authority_is_another_user(server: Server, tmp_path: Path) -> None:
    ann = x509.NameAttribute(NameOID.COMMON_NAME, "ann")
    devs = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "devs")
    review = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    answers = []
    for attributes in ((ann, devs), (devs,)):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.load_cert_chain(issue_certificate(tmp_path / "pki", *attributes))
        connector = aiohttp.TCPConnector(ssl=context)
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.post(server.url + review, json={}) as response,
        ):
            answers.append((response.status, await response.json()))
    (first, said), (second, refused) = answers
    info = said["status"]["userInfo"]
    assert (first, info["username"], info["groups"]) == (201, "ann", ["devs", "system:authenticated"])
    assert info["extra"]["authentication.kubernetes.io/credential-id"][0].startswith("X509SHA256=")
    assert second == 403 and 'User "system:anonymous" cannot create' in refused["message"]


async def test_others_can_check_our_tokens(server: Server) -> None:
    status, document = await server.as_bot("GET", "/.well-known/openid-configuration")
    assert (status, document["jwks_uri"]) == (200, f"{server.url}/openid/v1/jwks")
    status, document = await server.as_bot("GET", "/openid/v1/jwks")
    assert (status, document["keys"][0]["alg"]) == (200, "RS256")
    assert server.headers["Content-Type"] == "application/jwk-set+json"
    assert (await server.call("GET", "/openid/v1/jwks"))[0] == 403


# ---------------------------------------------------------------------------------------------------- reviews


async def test_a_token_is_reviewed(server: Server) -> None:
    path = "/apis/authentication.k8s.io/v1/tokenreviews"
    assert (await server.as_bot("POST", path, {"spec": {"token": server.token}}))[0] == 403
    await server.grant(
        {"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]}
    )
    status, document = await server.as_bot("POST", path, {"spec": {"token": server.token}})
    assert status == 201
    assert document["status"]["authenticated"] is True
    assert document["status"]["user"]["username"] == BOT
    assert document["status"]["audiences"] == ["https://kubernetes.default.svc.cluster.local"]
    _, document = await server.as_bot("POST", path, {"spec": {"token": server.token, "audiences": ["vault"]}})
    assert document["status"]["error"].startswith("[invalid bearer token, token audiences")
    assert "authenticated" not in document["status"]
    _, document = await server.as_bot("POST", path, {"spec": {"token": "x"}})
    assert document["status"] == {"user": {}, "error": "invalid bearer token"}
    status, document = await server.as_bot("POST", path, {"spec": {}})
    assert (status, document["message"]) == (400, "token is required for TokenReview in authentication")


@pytest.mark.parametrize(
    ("plural", "namespace", "spec", "code", "expected"),
    [
        (
            "selfsubjectaccessreviews",
            "",
            {"resourceAttributes": {"verb": "get", "resource": "pods"}},
            201,
            False,
        ),
        (
            "selfsubjectaccessreviews",
            "",
            {"nonResourceAttributes": {"verb": "get", "path": "/api"}},
            201,
            True,
        ),
        (
            "selfsubjectaccessreviews",
            "",
            {},
            422,
            'SelfSubjectAccessReview.authorization.k8s.io "" is invalid: spec.resourceAttributes: Invalid value: "null": '
            "exactly one of nonResourceAttributes or resourceAttributes must be specified",
        ),
        (
            "subjectaccessreviews",
            "",
            {"resourceAttributes": {"verb": "get", "resource": "pods"}, "groups": ["system:masters"]},
            201,
            True,
        ),
        (
            "subjectaccessreviews",
            "",
            {"resourceAttributes": {"verb": "get", "resource": "pods"}},
            422,
            'SubjectAccessReview.authorization.k8s.io "" is invalid: spec.user: Invalid value: "": at least one of user '
            "or group must be specified",
        ),
        (
            "localsubjectaccessreviews",
            "default",
            {"resourceAttributes": {"verb": "get", "resource": "pods", "namespace": "a"}, "user": "x"},
            400,
            "spec.resourceAttributes.namespace must match namespace: default",
        ),
        (
            "localsubjectaccessreviews",
            "default",
            {"resourceAttributes": {"verb": "get", "resource": "pods", "namespace": "default"}, "user": "x"},
            201,
            False,
        ),
    ],
)
async def test_what_somebody_may_do_is_reviewed(
    server: Server, plural: str, namespace: str, spec: dict[str, Any], code: int, expected: Any
) -> None:
    await server.grant({"apiGroups": ["authorization.k8s.io"], "resources": ["*"], "verbs": ["create"]})
    place = f"namespaces/{namespace}/{plural}" if namespace else plural
    status, document = await server.as_bot("POST", f"/apis/authorization.k8s.io/v1/{place}", {"spec": spec})
    assert status == code, document
    assert (document["status"]["allowed"] if code == 201 else document["message"]) == expected


async def test_reviews_are_made_and_never_read(server: Server) -> None:
    await server.grant({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]})
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    answers = [
        (await server.as_bot(method, path + name))[0]
        for method, name in (("GET", ""), ("GET", "/x"), ("DELETE", "/x"))
    ]
    assert answers == [405, 405, 405]


async def test_what_i_may_do_is_listed(server: Server) -> None:
    path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
    status, document = await server.as_bot("POST", path, {"spec": {"namespace": "default"}})
    assert status == 201
    assert {
        "verbs": ["create"],
        "apiGroups": ["authentication.k8s.io"],
        "resources": ["selfsubjectreviews"],
    } in document["status"]["resourceRules"]
    assert document["status"]["incomplete"] is False
    status, document = await server.as_bot("POST", path, {})
    assert (status, document["message"]) == (400, "no namespace on request")


async def test_a_token_is_issued_to_who_may_ask_for_it(server: Server) -> None:
    path = "/api/v1/namespaces/default/serviceaccounts/bot/token"
    assert (await server.as_bot("POST", path, {}))[0] == 403
    await server.grant({"apiGroups": [""], "resources": ["serviceaccounts/token"], "verbs": ["create"]})
    status, document = await server.as_bot("POST", path, {"spec": {"audiences": ["a"]}})
    assert status == 201
    assert document["metadata"] == {
        "name": "bot",
        "namespace": "default",
        "creationTimestamp": "2026-01-02T00:00:00Z",
    }
    assert document["spec"] == {"audiences": ["a"], "expirationSeconds": 3600}
    assert document["status"]["expirationTimestamp"] == "2026-01-02T01:00:00Z"
    status, document = await server.as_bot("POST", path, {"metadata": {"name": "x"}})
    assert (status, document["message"]) == (
        422,
        'TokenRequest.authentication.k8s.io "bot" is invalid: metadata.name: Invalid value: "x": must match the service '
        "account name if specified",
    )
    assert (await server.as_bot("POST", path.replace("bot", "none"), {}))[0] == 404


async def test_what_admission_notes_has_a_line_of_its_own(server: Server) -> None:
    prefix = "pod-security.kubernetes.io"
    labels = {f"{prefix}/audit": "restricted", f"{prefix}/enforce": "baseline"}
    await server.api.create(Namespace(metadata=ObjectMeta(name="strict", labels=labels)))
    await server.api.create(ServiceAccount(metadata=ObjectMeta(name="default", namespace="strict")))
    await server.grant({"apiGroups": [""], "resources": ["pods"], "verbs": ["create"]})
    path = "/api/v1/namespaces/strict/pods"
    document = json.loads(codec.encode(pod("web")))
    document["metadata"].pop("namespace", None)
    status, _ = await server.as_bot("POST", path, document)
    assert status == 201
    (line,) = server.audit()
    assert line["auditID"] == server.headers["Audit-Id"]
    assert (line["verb"], line["responseStatus"]) == ("create", {"metadata": {}, "code": 201})
    noted = line["annotations"]
    assert noted["authorization.k8s.io/decision"] == "allow"
    assert noted[f"{prefix}/enforce-policy"] == "baseline:latest"
    assert noted[f"{prefix}/audit-violations"].startswith(
        'would violate PodSecurity "restricted:latest": allowPriv'
    )
    document["spec"]["hostNetwork"] = True
    assert (await server.as_bot("POST", path, document))[0] == 403
    assert server.audit()[1]["annotations"][f"{prefix}/enforce-policy"] == "baseline:latest"


# ---------------------------------------------------------------------------------------------------- files


class Asked:
    """Enough of a request for a line."""

    raw_path, method, remote = "/api/v1/pods", "GET", "10.0.0.1"
    headers: dict[str, str] = {}


def test_the_audit_log_is_rotated_and_keeps_its_newest_files(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.log", FrozenClock(NOW), Chance(1), limit_bytes=1000)
    for _ in range(30):
        log.record(Asked(), Passage(), unauthorized(), NOW)  # type: ignore[arg-type]
    log.close()
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["audit.log", *(f"audit.log.{number}" for number in range(1, KEPT + 1))]
    assert all(
        path.stat().st_size <= 1000 and path.stat().st_mode & 0o777 == 0o600 for path in tmp_path.iterdir()
    )


def test_a_log_that_cannot_be_written_keeps_nobody_from_an_answer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "audit.log").mkdir()
    log = AuditLog(tmp_path / "audit.log", FrozenClock(NOW), Chance(1))
    for _ in range(3):
        assert log.record(Asked(), Passage(), unauthorized(), NOW)  # type: ignore[arg-type]
    assert len([one for one in caplog.records if "are not recorded" in one.message]) == 1


def test_the_signing_key_is_made_once_and_never_overwritten(tmp_path: Path) -> None:
    key = ensure_signing_key(tmp_path)
    assert ensure_signing_key(tmp_path) == key
    assert (tmp_path / "sa.key").stat().st_mode & 0o777 == 0o600
    (tmp_path / "sa.key").write_text("nonsense")
    with pytest.raises(UserError, match="can't be read"):
        ensure_signing_key(tmp_path)
    assert (tmp_path / "sa.key").read_text() == "nonsense"


@pytest.mark.parametrize(
    "head",
    [
        b"GET /\xff\xfe HTTP/1.1\r\n",
        b"GET /api/v1/namespaces/\xff/pods?watch=\xff HTTP/1.1\r\n",
        b"GET /api HTTP/1.1\r\nAuthorization: Bearer \xff.\xff.\xff\r\n",
        b"GET /api HTTP/1.1\r\nUser-Agent: \xff\xfe\r\n",
        b"GET /api HTTP/1.1\r\nImpersonate-User: \xff\r\n",
        b"GET /api HTTP/1.1\r\nImpersonate-Extra-\r\n",
        b"GET /api HTTP/1.1\r\nImpersonate-User: a\r\nImpersonate-Extra-%zz: b\r\n",
        b"BREW /api/v1/pods HTTP/1.1\r\n",
        b"GET /api/v1/watch HTTP/1.1\r\n",
        b"GET //api//v1//pods HTTP/1.1\r\n",
        b"GET /apis/%2e%2e/%00/x HTTP/1.1\r\n",
    ],
)
async def test_whatever_bytes_a_stranger_sends_they_are_refused(server: Server, head: bytes) -> None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    port = int(server.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    writer.write(head + b"Host: x\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    assert int(answer.split()[1]) in (400, 401, 403), answer
    assert all(line["kind"] == "Event" for line in (server.audit() if server.audit_path.exists() else ()))


async def test_a_program_of_any_name_may_write(kube: Kube) -> None:
    reader, writer = await asyncio.open_unix_connection(str(kube.path))
    body = json.dumps(pod()).encode()
    writer.write(
        b"POST /api/v1/namespaces/default/pods HTTP/1.1\r\nHost: x\r\nConnection: close\r\nUser-Agent: \xff\xfe/1\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    )
    answer = await reader.read()
    writer.close()
    assert int(answer.split()[1]) == 201, answer


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/api/v1/watch/namespaces/default/serviceaccounts/bot/token", 404),
        ("POST", "/api/v1/watch/namespaces/default/pods/web/exec", 404),
        ("GET", "/api/v1/watch/namespaces/default/pods/web/exec?command=ls", 404),
        ("PUT", "/apis/apps/v1/watch/namespaces/default/deployments/web/scale", 404),
        ("PATCH", "/api/v1/watch/namespaces/default/pods/web/status", 404),
        ("POST", "/api/v1/watch/namespaces/default/bindings", 405),
        ("DELETE", "/api/v1/watch/namespaces/default/pods/web", 405),
        ("PUT", "/api/v1/watch/namespaces/default/pods/web", 405),
    ],
)
async def test_the_old_paths_of_watches_are_for_watching_only(
    server: Server, method: str, path: str, status: int
) -> None:
    await server.grant({"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"]})
    assert (await server.as_bot(method, path, {}))[0] == status
