"""The real kubectl on accounts, tokens, roles and bindings: what it prints is the specification."""

import base64
import json
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from pinnace.api.access.tokens import Tokens, make_key
from pinnace.api.facade import Api
from pinnace.base.chance import Chance
from pinnace.base.clock import SystemClock
from pinnace.controllers.access.account_tokens import AccountTokensController
from pinnace.controllers.access.aggregation import ClusterRoleAggregationController
from pinnace.controllers.access.ensure import ensure_default_access
from pinnace.controllers.runner import ControllerRunner
from pinnace.kube import kinds
from pinnace.kube.objects.core_v1 import Namespace, ServiceAccount
from pinnace.kube.objects.meta_v1 import ObjectMeta
from pinnace.kubeapi.audit import AuditLog
from pinnace.kubeapi.kubeconfig import build_kubeconfig, write_kubeconfig
from pinnace.kubeapi.pki import ensure
from pinnace.kubeapi.server import KubeServer
from pinnace.kubeapi.settings import World
from pinnace.store.memory import MemoryStore
from tests.clients.conftest import Kubectl
from tests.unit.kubeapi.conftest import FakeWorld

READER = ("--verb=get,list", "--resource=pods,pods/log,deployments.apps/scale")


@dataclass(frozen=True)
class Cluster:
    """kubectl as the administrator, and as whoever holds a token."""

    admin: Kubectl
    folder: Path
    audit_path: Path

    def holding(self, token: str) -> Kubectl:
        """Return a kubectl without the administrator's certificate."""
        config = yaml.safe_load(self.admin.kubeconfig.read_text())
        config["users"] = [{"name": one["name"], "user": {"token": token}} for one in config["users"]]
        path = self.folder / "held.kubeconfig"
        path.write_text(yaml.safe_dump(config))
        return Kubectl(self.admin.binary, path, self.folder / "held", self.admin.api, self.admin.world)

    def audit(self) -> list[dict[str, Any]]:
        """Return the lines of the audit log."""
        return [json.loads(line) for line in self.audit_path.read_text().splitlines()]


@pytest.fixture
async def cluster(clients: Path, tmp_path: Path) -> AsyncIterator[Cluster]:
    clock = SystemClock()
    api = Api(MemoryStore(), clock, Chance())
    for name in ("default", "other"):
        await api.create(Namespace(metadata=ObjectMeta(name=name)))
    await api.create(ServiceAccount(metadata=ObjectMeta(name="default", namespace="default")))
    await ensure_default_access(api)
    fake = FakeWorld()
    world = World(logs=fake, exec=fake, attach=fake, port_forward=fake, usage=fake)
    tokens = Tokens(api, make_key(), clock, Chance())
    audit_path = tmp_path / "audit.log"
    server = KubeServer(api, world, tokens=tokens, audit=AuditLog(audit_path, clock, Chance()))
    certificates = ensure(tmp_path / "pki", clock)
    port = await server.serve_tls("127.0.0.1", 0, certificates.server_context())
    kubeconfig = tmp_path / "kubeconfig"
    write_kubeconfig(kubeconfig, build_kubeconfig("pt-access", f"https://127.0.0.1:{port}", certificates))
    ca_text = certificates.ca_certificate.decode()
    controllers = (AccountTokensController(api, tokens, ca_text), ClusterRoleAggregationController(api))
    runner = ControllerRunner(api, controllers, clock)
    runner.start()
    yield Cluster(
        Kubectl(clients / "kubectl", kubeconfig, tmp_path / "home", api, fake), tmp_path, audit_path
    )
    await runner.close()
    await server.close()
    await api.store.close()


def claims_of(token: str) -> dict[str, Any]:
    payload = token.strip().split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return found


async def settle(
    api: Api, kind: kinds.Kind[Any], namespace: str, name: str, test: Callable[[Any], bool]
) -> Any:
    """Wait on the watch until the object is as it should be."""
    watch = api.watch(kind, namespace or None)
    try:
        async for change in watch:
            if change.object.metadata.name == name and change.type != "DELETED" and test(change.object):
                return change.object
    finally:
        watch.close()


async def test_who_asks(cluster: Cluster) -> None:
    kubectl = cluster.admin
    rows = [line.split() for line in (await kubectl("auth", "whoami")).splitlines()]
    assert rows[:3] == [
        ["ATTRIBUTE", "VALUE"],
        ["Username", "pinnace-admin"],
        ["Groups", "[system:masters", "system:authenticated]"],
    ]
    assert re.fullmatch(r"\[X509SHA256=[0-9a-f]{64}\]", rows[3][-1])
    shown = await kubectl("auth", "whoami", "--as=bob", "--as-group=devs", "--as-uid=7", "-o", "json")
    assert json.loads(shown)["status"]["userInfo"] == {
        "username": "bob",
        "uid": "7",
        "groups": ["devs", "system:authenticated"],
    }


async def test_roles_are_made_shown_and_described(cluster: Cluster) -> None:
    kubectl = cluster.admin
    assert await kubectl("create", "role", "reader", *READER) == (
        "role.rbac.authorization.k8s.io/reader created\n"
    )
    out = await kubectl("describe", "role", "reader")
    assert [line.split() for line in out.splitlines()[4:]] == [
        ["Resources", "Non-Resource", "URLs", "Resource", "Names", "Verbs"],
        ["---------", "-----------------", "--------------", "-----"],
        ["pods/log", "[]", "[]", "[get", "list]"],
        ["pods", "[]", "[]", "[get", "list]"],
        ["deployments.apps/scale", "[]", "[]", "[get", "list]"],
    ]
    assert (await kubectl("get", "roles")).split()[:4] == ["NAME", "CREATED", "AT", "reader"]
    await kubectl("create", "clusterrole", "health", "--verb=get", "--non-resource-url=/healthz/*")
    await kubectl("create", "clusterrole", "one-pod", "--verb=get", "--resource=pods", "--resource-name=web")
    role = json.loads(await kubectl("get", "clusterrole", "one-pod", "-o", "json"))
    assert role["rules"] == [
        {"apiGroups": [""], "resources": ["pods"], "resourceNames": ["web"], "verbs": ["get"]}
    ]


async def test_bindings_are_made_shown_and_described(cluster: Cluster) -> None:
    kubectl = cluster.admin
    await kubectl(
        "create",
        "rolebinding",
        "r",
        "--clusterrole=view",
        "--user=ann",
        "--group=devs",
        "--serviceaccount=other:bot",
    )
    header, row = [line.split() for line in (await kubectl("get", "rolebindings", "-o", "wide")).splitlines()]
    assert header == ["NAME", "ROLE", "AGE", "USERS", "GROUPS", "SERVICEACCOUNTS"]
    assert (row[:2], row[3:]) == (["r", "ClusterRole/view"], ["ann", "devs", "other/bot"])
    out = await kubectl("describe", "rolebinding", "r")
    assert [line.split() for line in out.splitlines()[3:]] == [
        ["Role:"],
        ["Kind:", "ClusterRole"],
        ["Name:", "view"],
        ["Subjects:"],
        ["Kind", "Name", "Namespace"],
        ["----", "----", "---------"],
        ["User", "ann"],
        ["Group", "devs"],
        ["ServiceAccount", "bot", "other"],
    ]
    await kubectl("create", "clusterrolebinding", "c", "--clusterrole=edit", "--user=bob")
    await kubectl("set", "subject", "clusterrolebinding", "c", "--user=eve")
    row = (await kubectl("get", "clusterrolebinding", "c", "--no-headers", "-o", "wide")).split()
    assert (row[1], row[3:]) == ("ClusterRole/edit", ["bob,", "eve"])


async def test_what_somebody_may_do(cluster: Cluster) -> None:
    kubectl = cluster.admin
    await kubectl("create", "role", "reader", *READER)
    await kubectl("create", "rolebinding", "reader", "--role=reader", "--user=ann")

    async def can(*words: str) -> str:
        ran = await kubectl.run("auth", "can-i", *words)
        assert ran.code == (0 if ran.out.startswith("yes") else 1)
        return ran.out.strip()

    assert await can("create", "pods") == "yes"
    assert await can("list", "pods", "--as=ann") == "yes"
    assert await can("get", "pods", "--subresource=log", "--as=ann") == "yes"
    assert await can("create", "pods", "--subresource=exec", "--as=ann") == "no"
    assert await can("list", "pods", "-n", "other", "--as=ann") == "no"
    assert await can("list", "pods", "-A", "--as=ann") == "no"
    assert await can("get", "/healthz", "--as=ann") == "yes"
    assert await can("get", "/metrics", "--as=ann") == "no"
    await kubectl("create", "rolebinding", "lost", "--role=nowhere", "--user=dan")
    ran = await kubectl.run("auth", "can-i", "list", "pods", "--as=dan")
    assert (ran.code, ran.out) == (1, 'no - RBAC: role.rbac.authorization.k8s.io "nowhere" not found\n')
    listed = await kubectl("auth", "can-i", "--list", "--as=ann")
    rows = {line.split()[0]: line.split()[-1] for line in listed.splitlines()[1:] if line[0] != " "}
    assert rows == {
        "selfsubjectreviews.authentication.k8s.io": "[create]",
        "selfsubjectaccessreviews.authorization.k8s.io": "[create]",
        "selfsubjectrulesreviews.authorization.k8s.io": "[create]",
        "pods/log": "list]",
        "pods": "list]",
        "deployments.apps/scale": "list]",
    }


async def test_a_token_lets_its_account_in(cluster: Cluster) -> None:
    kubectl = cluster.admin
    await kubectl("create", "serviceaccount", "bot")
    token = (await kubectl("create", "token", "bot", "--duration=20m")).strip()
    claims = claims_of(token)
    assert (claims["sub"], claims["exp"] - claims["iat"]) == ("system:serviceaccount:default:bot", 1200)
    held = cluster.holding(token)
    assert "system:serviceaccount:default:bot" in await held("auth", "whoami")
    ran = await held.run("get", "pods")
    assert (ran.code, ran.err) == (
        1,
        'Error from server (Forbidden): pods is forbidden: User "system:serviceaccount:default:bot" cannot list '
        'resource "pods" in API group "" in the namespace "default"\n',
    )
    line = cluster.audit()[-1]
    assert (line["verb"], line["objectRef"], line["responseStatus"]["code"]) == (
        "list",
        {"resource": "pods", "namespace": "default", "apiVersion": "v1"},
        403,
    )
    assert line["user"]["username"] == "system:serviceaccount:default:bot"
    assert line["annotations"]["authorization.k8s.io/decision"] == "forbid"
    await kubectl("create", "rolebinding", "bot", "--clusterrole=view", "--serviceaccount=default:bot")
    assert (await held.run("get", "pods")).err == "No resources found in default namespace.\n"
    await kubectl("delete", "serviceaccount", "bot")
    assert "Unauthorized" in (await held.run("get", "pods")).err
    assert cluster.audit()[-1]["responseStatus"]["code"] == 401


async def test_tokens_for_others_and_for_one_object(cluster: Cluster) -> None:
    kubectl = cluster.admin
    vault = (await kubectl("create", "token", "default", "--audience=vault")).strip()
    assert claims_of(vault)["aud"] == ["vault"]
    assert "must be logged in" in (await cluster.holding(vault).run("auth", "whoami")).err
    ran = await kubectl.run("create", "token", "default", "--duration=5m")
    assert ran.err == (
        'error: failed to create token: TokenRequest.authentication.k8s.io "" is invalid: '
        "spec.expirationSeconds: Invalid value: 300: may not specify a duration less than 10 "
        "minutes\n"
    )
    await kubectl("create", "secret", "generic", "s")
    bound = (
        await kubectl("create", "token", "default", "--bound-object-kind=Secret", "--bound-object-name=s")
    ).strip()
    held = cluster.holding(bound)
    assert claims_of(bound)["kubernetes.io"]["secret"]["name"] == "s"
    assert "default" in await held("auth", "whoami")
    await kubectl("delete", "secret", "s")
    assert (await held.run("auth", "whoami")).code == 1


async def test_a_secret_for_an_account_is_filled(cluster: Cluster) -> None:
    kubectl = cluster.admin
    manifest = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "old", "annotations": {"kubernetes.io/service-account.name": "default"}},
        "type": "kubernetes.io/service-account-token",
    }
    await kubectl("apply", "-f", "-", stdin=json.dumps(manifest))
    secret = await settle(kubectl.api, kinds.SECRET, "default", "old", lambda one: "token" in one.data)
    token = base64.b64decode(secret.data["token"]).decode()
    assert claims_of(token)["kubernetes.io/serviceaccount/secret.name"] == "old"
    assert {"ca.crt", "namespace", "token"} == set(secret.data)
    assert "default" in await cluster.holding(token)("auth", "whoami")
    assert "Name:                default" in await kubectl("describe", "serviceaccount", "default")
    await kubectl("delete", "secret", "old")
    assert (await cluster.holding(token).run("auth", "whoami")).code == 1


async def test_nobody_grants_what_they_do_not_hold(cluster: Cluster) -> None:
    kubectl = cluster.admin
    await kubectl("create", "rolebinding", "ann", "--clusterrole=admin", "--user=ann")
    assert await kubectl("create", "role", "mine", *READER, "--as=ann")
    ran = await kubectl.run("create", "role", "more", "--verb=get,list", "--resource=nodes", "--as=ann")
    assert ran.err == (
        'Error from server (Forbidden): roles.rbac.authorization.k8s.io "more" is forbidden: user "ann" '
        '(groups=["system:authenticated"]) is attempting to grant RBAC permissions not currently held:\n'
        '{APIGroups:[""], Resources:["nodes"], Verbs:["get" "list"]}\n'
    )
    ran = await kubectl.run(
        "create", "rolebinding", "more", "--clusterrole=cluster-admin", "--user=x", "--as=ann"
    )
    assert ran.err == (
        'error: failed to create rolebinding: rolebindings.rbac.authorization.k8s.io "more" is forbidden: user "ann" '
        '(groups=["system:authenticated"]) is attempting to grant RBAC permissions not currently held:\n'
        '{APIGroups:["*"], Resources:["*"], Verbs:["*"]}\n{NonResourceURLs:["*"], Verbs:["*"]}\n'
    )
    ran = await kubectl.run("create", "rolebinding", "none", "--role=nowhere", "--user=x", "--as=ann")
    assert ran.err == (
        'error: failed to create rolebinding: roles.rbac.authorization.k8s.io "nowhere" not found\n'
    )
    await kubectl(
        "create", "role", "binder", "--verb=bind", "--resource=clusterroles", "--resource-name=cluster-admin"
    )
    await kubectl("create", "rolebinding", "binder", "--role=binder", "--user=ann")
    assert await kubectl(
        "create", "rolebinding", "more", "--clusterrole=cluster-admin", "--user=x", "--as=ann"
    )


async def test_who_may_not_act_as_another_is_refused_and_told_of(cluster: Cluster) -> None:
    held = cluster.holding((await cluster.admin("create", "token", "default")).strip())
    assert (await held.run("get", "pods", "--as=ann")).code == 1
    line = cluster.audit()[-1]
    assert line["responseStatus"]["message"] == (
        'users "ann" is forbidden: User "system:serviceaccount:default:default" cannot impersonate resource "users" in '
        'API group "" at the cluster scope'
    )
    who = ("--clusterrole=actor", "--serviceaccount=default:default")
    actor = ("--verb=impersonate", "--resource=users", "--resource-name=ann")
    await cluster.admin("create", "clusterrole", "actor", *actor)
    await cluster.admin("create", "clusterrolebinding", "actor", *who)
    assert "Username    ann" in await held("auth", "whoami", "--as=ann")
    assert (await held.run("get", "nodes", "--as=ann")).code == 1
    line = cluster.audit()[-1]
    assert line["user"]["username"] == "system:serviceaccount:default:default"
    assert line["impersonatedUser"] == {"username": "ann", "groups": ["system:authenticated"]}


async def test_reconcile_adds_and_removes(cluster: Cluster) -> None:
    kubectl = cluster.admin
    role: dict[str, Any] = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "r"},
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}],
    }
    binding: dict[str, Any] = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "r"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "r"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "a"}],
    }

    async def reconcile(*flags: str) -> str:
        ran = await kubectl.run(
            "auth", "reconcile", "-f", "-", *flags, stdin=yaml.safe_dump_all([role, binding])
        )
        assert ran.code == 0, ran
        return ran.out

    assert "clusterrole.rbac.authorization.k8s.io/r reconciled" in await reconcile()
    role["rules"] = [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"]}]
    binding["subjects"][0]["name"] = "b"
    await reconcile()
    found = kubectl.api.get(kinds.CLUSTER_ROLE, "", "r")
    assert [rule.resources for rule in found.rules] == [("pods",), ("nodes",)]
    assert [one.name for one in kubectl.api.get(kinds.CLUSTER_ROLE_BINDING, "", "r").subjects] == ["a", "b"]
    await reconcile("--remove-extra-permissions", "--remove-extra-subjects")
    assert [rule.resources for rule in kubectl.api.get(kinds.CLUSTER_ROLE, "", "r").rules] == [("nodes",)]
    binding["roleRef"]["name"] = "view"
    await reconcile()
    assert kubectl.api.get(kinds.CLUSTER_ROLE_BINDING, "", "r").role_ref.name == "view"


async def test_a_binding_keeps_its_role(cluster: Cluster) -> None:
    kubectl = cluster.admin
    await kubectl("create", "rolebinding", "r", "--clusterrole=view", "--user=ann")
    patch = '{"roleRef": {"name": "edit"}}'
    ran = await kubectl.run("patch", "rolebinding", "r", "-p", patch)
    assert ran.err == (
        'The RoleBinding "r" is invalid: roleRef: Invalid value: {"APIGroup":"rbac.authorization.k8s.io",'
        '"Kind":"ClusterRole","Name":"edit"}: cannot change roleRef\n'
    )


async def test_roles_are_put_together_by_label(cluster: Cluster) -> None:
    kubectl = cluster.admin
    manifest = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "crons", "labels": {"rbac.authorization.k8s.io/aggregate-to-view": "true"}},
        "rules": [{"apiGroups": ["example.com"], "resources": ["crontabs"], "verbs": ["get"]}],
    }
    await kubectl("apply", "-f", "-", stdin=json.dumps(manifest))
    for name in ("view", "edit", "admin"):
        await settle(
            kubectl.api,
            kinds.CLUSTER_ROLE,
            "",
            name,
            lambda role: any("crontabs" in rule.resources for rule in role.rules),
        )
    await kubectl("create", "clusterrole", "mine", "--aggregation-rule=a=b")
    assert json.loads(await kubectl("get", "clusterrole", "mine", "-o", "json"))["aggregationRule"] == {
        "clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]
    }
