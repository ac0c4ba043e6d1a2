"""Pods and the API: the mounted token, what it lets a pod do, tokens for others, and what outlives a dead daemon."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client
from kubernetes.client.exceptions import ApiException
from kubernetes.config.incluster_config import InClusterConfigLoader

from tests.product.instance import Object, Product, pod_ready
from tests.product.manifests import WAIT, container, pod

MOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"


def client_pod(product: Product, name: str, **spec: Any) -> Object:
    """A pod with the real kubectl in it, as any client-go program: it finds the API by its environment and its token."""
    tools = {"name": "tools", "hostPath": {"path": str(Path(product.kubectl_path).parent)}}
    main = container(command=WAIT, volumeMounts=[{"name": "tools", "mountPath": "/tools"}])
    return pod(name, main, volumes=[tools], **spec)


def inside(product: Product, ns: str, name: str, *words: str) -> tuple[int, str, str]:
    done = product.try_kubectl("exec", "-n", ns, name, "--", "/tools/kubectl", *words)
    return done.returncode, done.stdout, done.stderr


def claims_of(token: str) -> Object:
    payload = token.strip().split(".")[1]
    found: Object = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return found


def volumes_of(product: Product, uid: str) -> Path:
    return product.host.home / "node" / uid / "volumes"


def audit_of(product: Product) -> list[Object]:
    return [json.loads(line) for line in (product.host.home / "audit.log").read_text().splitlines()]


def test_a_pod_uses_the_api_by_its_mounted_token(product: Product, ns: str) -> None:
    product.apply(client_pod(product, "bot"), namespace=ns)
    made = product.until("pods", "bot", pod_ready, namespace=ns)
    name = f"system:serviceaccount:{ns}:default"

    code, out, _ = inside(product, ns, "bot", "auth", "whoami", "-o", "json")
    user = json.loads(out)["status"]["userInfo"]
    assert (code, user["username"]) == (0, name)
    assert user["extra"]["authentication.kubernetes.io/pod-name"] == ["bot"]

    code, _, err = inside(product, ns, "bot", "get", "pods")
    assert (code, err.splitlines()[0]) == (
        1,
        f'Error from server (Forbidden): pods is forbidden: User "{name}" cannot list resource "pods" in API group "" '
        f'in the namespace "{ns}"',
    )
    refused = [line for line in audit_of(product) if line["user"].get("username") == name][-1]
    assert refused["sourceIPs"] == [made["status"]["podIP"]]
    assert refused["annotations"]["authorization.k8s.io/decision"] == "forbid"

    product.kubectl(
        "create", "rolebinding", "bot", "-n", ns, "--clusterrole=view", f"--serviceaccount={ns}:default"
    )
    code, out, err = inside(product, ns, "bot", "get", "pods", "-o", "name")
    assert (code, out, err) == (0, "pod/bot\n", "")
    code, _, err = inside(product, ns, "bot", "delete", "pod", "bot")
    assert (code, "cannot delete resource" in err) == (1, True)
    by_name = f"KUBERNETES_SERVICE_HOST=kubernetes.default.svc /tools/kubectl get ns {ns} -o name"
    assert product.kubectl("exec", "-n", ns, "bot", "--", "sh", "-c", by_name) == f"namespace/{ns}\n"


def test_the_python_client_finds_its_cluster(product: Product, ns: str) -> None:
    product.apply(pod("bot"), namespace=ns)
    made = product.until("pods", "bot", pod_ready, namespace=ns)
    volume = next(v["name"] for v in made["spec"]["volumes"] if v["name"].startswith("kube-api-access-"))
    folder = volumes_of(product, made["metadata"]["uid"]) / volume
    lines = product.kubectl("exec", "-n", ns, "bot", "--", "env").splitlines()
    environ = dict(line.split("=", 1) for line in lines if line.startswith("KUBERNETES_"))
    configuration = client.Configuration()
    InClusterConfigLoader(str(folder / "token"), str(folder / "ca.crt"), environ=environ).load_and_set(
        configuration
    )
    core = client.CoreV1Api(client.ApiClient(configuration))
    with pytest.raises(ApiException) as caught:
        core.list_namespaced_pod(ns)
    assert caught.value.status == 403
    product.kubectl(
        "create", "rolebinding", "bot", "-n", ns, "--clusterrole=view", f"--serviceaccount={ns}:default"
    )
    assert [one.metadata.name for one in core.list_namespaced_pod(ns).items] == ["bot"]
    product.kubectl("delete", "pod", "bot", "-n", ns, "--force", "--grace-period=0")


def test_tokens_that_a_pod_asks_for_itself(product: Product, ns: str) -> None:
    sources = [
        {"serviceAccountToken": {"path": "vault/token", "audience": "vault", "expirationSeconds": 7200}}
    ]
    product.apply(
        pod(
            "bot",
            container(command=WAIT, volumeMounts=[{"name": "t", "mountPath": "/tokens"}]),
            volumes=[{"name": "t", "projected": {"sources": sources}}],
            automountServiceAccountToken=False,
            securityContext={"runAsUser": 1000, "fsGroup": 2000},
        ),
        namespace=ns,
    )
    made = product.until("pods", "bot", pod_ready, namespace=ns)
    assert [volume["name"] for volume in made["spec"]["volumes"]] == ["t"]
    token = product.kubectl("exec", "-n", ns, "bot", "--", "cat", "/tokens/vault/token")
    claims = claims_of(token)
    assert (claims["aud"], claims["exp"] - claims["iat"]) == (["vault"], 7200)
    assert claims["kubernetes.io"]["pod"] == {"name": "bot", "uid": made["metadata"]["uid"]}
    shown = product.kubectl(
        "exec", "-n", ns, "bot", "--", "stat", "-L", "-c", "%a %u %g", "/tokens/vault/token"
    )
    assert shown == "640 1000 2000\n"  # as a kubelet does: 0600 for the pod's user, and its group may read
    done = product.try_kubectl("exec", "-n", ns, "bot", "--", "ls", MOUNT)
    assert done.returncode != 0


def test_an_account_that_wants_no_token_gets_none_and_a_missing_one_is_told(
    product: Product, ns: str
) -> None:
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "shy"},
        "automountServiceAccountToken": False,
    }
    product.apply(account, pod("shy", serviceAccountName="shy"), namespace=ns)
    assert "volumes" not in product.until("pods", "shy", pod_ready, namespace=ns)["spec"]
    done = product.try_kubectl(
        "run", "lost", "-n", ns, "--image=tiny:v1", "--overrides", '{"spec":{"serviceAccountName":"x"}}'
    )
    assert done.stderr == (
        f'Error from server (Forbidden): pods "lost" is forbidden: error looking up service account {ns}/x: '
        'serviceaccount "x" not found\n'
    )


def test_tokens_roles_and_the_key_outlive_the_daemon(own: Product) -> None:
    own.kubectl("create", "serviceaccount", "bot")
    own.kubectl("create", "clusterrolebinding", "bot", "--clusterrole=view", "--serviceaccount=default:bot")
    own.apply(client_pod(own, "bot", serviceAccountName="bot"))
    own.until("pods", "bot", pod_ready)
    token = own.kubectl("exec", "bot", "--", "cat", f"{MOUNT}/token")
    key = (own.host.home / "pki" / "sa.key").read_bytes()
    assert os.stat(own.host.home / "pki" / "sa.key").st_mode & 0o777 == 0o600
    own.kill_daemon()
    own.up()
    assert (own.host.home / "pki" / "sa.key").read_bytes() == key
    code, out, err = inside(own, "default", "bot", "get", "pods", "-o", "name", f"--token={token}")
    assert (code, out) == (0, "pod/bot\n"), err
    fresh = own.poll(
        lambda: (now := own.kubectl("exec", "bot", "--", "cat", f"{MOUNT}/token")) != token and now
    )
    assert claims_of(fresh)["kubernetes.io"]["pod"]["name"] == "bot"
    code, out, err = inside(own, "default", "bot", "get", "pods", "-o", "name")
    assert (code, out) == (0, "pod/bot\n"), err
