"""The real kubectl deletes: with all that hangs on an object or without, gently or at once; and waits for things."""

from __future__ import annotations

import json
import threading

import pytest

from tests.clients.inside import Inside
from tests.product.instance import Product, pod_ready
from tests.product.manifests import container, deployment, pod


@pytest.fixture
def k(product: Product, ns: str) -> Inside:
    return Inside(product, ns)


@pytest.fixture
def web(k: Inside) -> Inside:
    """kubectl in a namespace with a Deployment of one ready pod."""
    k.product.apply(deployment("web", grace_s=1), namespace=k.ns)
    k("rollout", "status", "deployment/web", "--timeout=60s")
    return k


def kinds_left(k: Inside) -> set[str]:
    return {line.partition("/")[0] for line in k("get", "deployment,rs,pods", "-o", "name").split()}


def test_cascade_background_takes_the_rest_afterwards(web: Inside) -> None:
    assert web("delete", "deployment", "web") == f'deployment.apps "web" deleted from {web.ns} namespace\n'
    web.product.until_all("pods", lambda found: not found, namespace=web.ns)
    assert kinds_left(web) == set()


def test_cascade_foreground_takes_the_rest_first(web: Inside) -> None:
    web("delete", "deployment", "web", "--cascade=foreground")
    assert kinds_left(web) == set()  # when it is gone, nothing is left that belonged to it


def test_cascade_foreground_is_seen_while_it_lasts(web: Inside) -> None:
    web("label", "pods", "--all", "x=y")
    web(
        "patch",
        "pods",
        _only_pod(web),
        "--type=merge",
        "-p",
        '{"metadata":{"finalizers":["example.com/hold"]}}',
    )
    web("delete", "deployment", "web", "--cascade=foreground", "--wait=false")
    for resource in ("deployments", "replicasets"):
        (meta,) = [
            one["metadata"]
            for one in web.product.until_all(
                resource,
                lambda found: all(one["metadata"].get("deletionTimestamp") for one in found),
                namespace=web.ns,
            )
        ]
        assert (meta["finalizers"], meta["deletionGracePeriodSeconds"]) == (["foregroundDeletion"], 0)
    web.product.until_all(
        "pods", lambda found: all(one["metadata"].get("deletionTimestamp") for one in found), namespace=web.ns
    )
    assert kinds_left(web) == {"deployment.apps", "replicaset.apps", "pod"}
    web("patch", "pods", _only_pod(web), "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    web("wait", "deployment/web", "--for=delete", "--timeout=20s")
    assert kinds_left(web) == set()


def test_cascade_orphan_leaves_the_rest_alone(web: Inside) -> None:
    web("delete", "deployment", "web", "--cascade=orphan")
    (replica_set,) = web.product.list("replicasets", web.ns)
    assert "ownerReferences" not in replica_set["metadata"]
    web("delete", "rs", replica_set["metadata"]["name"], "--cascade=orphan")
    (one,) = web.product.list("pods", web.ns)
    assert "ownerReferences" not in one["metadata"] and "deletionTimestamp" not in one["metadata"]
    web("delete", "pods", "--all", "--now")


def _only_pod(k: Inside) -> str:
    (one,) = k.product.list("pods", k.ns)
    return str(one["metadata"]["name"])


def test_owners_are_known_by_uid_and_namespace(k: Inside) -> None:
    owner = k.make("configmap", "owner", "--from-literal=a=b")
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}
    for name, ref in (
        ("kept", reference),
        ("stray", {**reference, "uid": "11111111-2222-3333-4444-555555555555"}),
    ):
        made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "ownerReferences": [ref]}}
        k("create", "-f", "-", stdin=json.dumps(made))
    k("wait", "cm/stray", "--for=delete", "--timeout=20s")
    foreign = k.product.get("configmaps", "kube-root-ca.crt", "default")["metadata"]
    ref = {**reference, "name": foreign["name"], "uid": foreign["uid"]}
    made = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "far", "ownerReferences": [ref]}}
    k("create", "-f", "-", stdin=json.dumps(made))
    k.product.until_event("far", "OwnerRefInvalidNamespace", namespace=k.ns)
    k("wait", "secret/far", "--for=delete", "--timeout=20s")
    assert "kept" in k("get", "cm", "-o", "name")
    k("delete", "cm", "owner")
    k("wait", "cm/kept", "--for=delete", "--timeout=20s")


def test_many_at_once(k: Inside) -> None:
    for name in ("a", "b", "c"):
        k("create", "configmap", name, "--from-literal=k=v")
    k("label", "cm", "a", "b", "tier=x")
    gone = f'configmap "a" deleted from {k.ns} namespace'
    assert k("delete", "cm", "-l", "tier=x", "--dry-run=server").splitlines()[0] == f"{gone} (server dry run)"
    assert k("delete", "cm", "-l", "tier=x", "-o", "name") == "configmap/a\nconfigmap/b\n"
    assert "not found" in k.fails("delete", "cm", "a")
    assert k("delete", "cm", "a", "--ignore-not-found") == ""
    k("delete", "--raw", f"/api/v1/namespaces/{k.ns}/configmaps?labelSelector=none")
    assert "configmap/c" in k("get", "cm", "-o", "name")
    k("delete", "cm", "--all")
    assert "configmap/c" not in k("get", "cm", "-o", "name")


def test_pods_end_gently_at_once_or_by_force(k: Inside) -> None:
    deaf = container(command=["sleep", "1000"])
    for name in ("gentle", "now", "forced"):
        k.product.apply(pod(name, deaf, terminationGracePeriodSeconds=60), namespace=k.ns)
    k("wait", "pods", "--all", "--for=condition=Ready", "--timeout=40s")
    k("delete", "pod", "gentle", "--wait=false", "--grace-period=30")
    meta = k.read("pod", "gentle")["metadata"]
    assert (meta["deletionGracePeriodSeconds"], "finalizers" in meta) == (30, False)
    assert k.rows("get", "pod", "gentle", "--no-headers")[0][2] == "Terminating"
    k("delete", "pod", "now", "--now")
    done = k.run("delete", "pod", "forced", "--force")
    assert "Immediate deletion does not wait for confirmation" in done.stderr
    assert done.stdout == f'pod "forced" force deleted from {k.ns} namespace\n'
    k("delete", "pod", "gentle", "--force")
    assert k("get", "pods", "-o", "name") == ""


def test_a_namespace_says_what_keeps_it(product: Product) -> None:
    k = Inside(product, "t-stuck")
    k("create", "namespace", "t-stuck")
    k("create", "configmap", "held")
    k("patch", "cm", "held", "--type=merge", "-p", '{"metadata":{"finalizers":["example.com/hold"]}}')
    assert "timed out waiting for the condition" in k.fails("delete", "namespace", "t-stuck", "--timeout=1s")
    assert k.rows("get", "namespace", "t-stuck", "--no-headers")[0][1] == "Terminating"
    k("wait", "namespace/t-stuck", "--for=condition=NamespaceFinalizersRemaining", "--timeout=20s")
    text = k("describe", "namespace", "t-stuck")
    assert "Some resources are remaining: configmaps. has 1 resource instances" in text
    assert "example.com/hold in 1 resource instances" in text
    assert "because it is being terminated" in k.fails("create", "configmap", "late")
    k("patch", "cm", "held", "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    k("wait", "namespace/t-stuck", "--for=delete", "--timeout=20s")


def test_finalize_takes_what_somebody_put_into_a_namespace(product: Product) -> None:
    k = Inside(product, "t-own")
    made = k.make("namespace", "t-own")
    made["spec"]["finalizers"] = ["kubernetes", "example.com/mine"]
    path = "/api/v1/namespaces/t-own/finalize"
    k("replace", "--raw", path, "-f", "-", stdin=json.dumps(made))
    k("delete", "namespace", "t-own", "--wait=false")
    k("wait", "namespace/t-own", "--for=jsonpath={.spec.finalizers[0]}=example.com/mine", "--timeout=20s")
    freed = k.read("namespace", "t-own")
    freed["spec"] = {}
    k("replace", "--raw", path, "-f", "-", stdin=json.dumps(freed))
    assert k("get", "namespace", "t-own", "--ignore-not-found") == ""
    assert "this namespace may not be deleted" in k.fails("delete", "namespace", "kube-system")


def test_wait_for_what_comes_changes_and_goes(k: Inside) -> None:
    said: list[str] = []
    waiting = threading.Thread(
        target=lambda: said.append(k("wait", "cm/later", "--for=create", "--timeout=20s"))
    )
    waiting.start()
    k("create", "configmap", "later", "--from-literal=a=b")
    waiting.join()
    assert said == ["configmap/later condition met\n"]
    assert k("wait", "cm/later", "--for=jsonpath={.data.a}=b") == "configmap/later condition met\n"
    assert k("wait", "cm/later", "--for=jsonpath={.data.a}") == "configmap/later condition met\n"
    assert "timed out waiting for the condition on configmaps/later" in k.fails(
        "wait", "cm/later", "--for=jsonpath={.data.a}=c", "--timeout=1s"
    )
    k.product.apply(pod("p"), namespace=k.ns)
    assert (
        k("wait", "pods", "-l", "app=p", "--for=condition=Ready", "--timeout=30s") == "pod/p condition met\n"
    )
    assert pod_ready(k.product.get("pods", "p", k.ns))
    assert "timed out" in k.fails("wait", "pod/p", "--for=condition=Ready=false", "--timeout=1s")
    assert "no matching resources found" in k.fails("wait", "pods", "-l", "a=none", "--for=condition=Ready")
    k("delete", "pod", "p", "--now", "--wait=false")
    assert k("wait", "pod/p", "--for=delete", "--timeout=20s") in ("pod/p condition met\n", "")
