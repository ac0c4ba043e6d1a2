"""Services on real pods: who is reached, from where, by which name; and that no request is lost when pods come and go."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.product.instance import Object, Product, pod_ready
from tests.product.manifests import deployment, pod, server, service
from tests.product.requests import Stream, ask, is_refused


@pytest.fixture
def web(product: Product, ns: str) -> str:
    """Three ready pods of a Deployment `web`; returns their namespace."""
    product.apply(deployment("web", replicas=3), namespace=ns)
    product.until("deployments", "web", lambda d: d["status"].get("readyReplicas") == 3, namespace=ns)
    return ns


@pytest.fixture(scope="module")
def client(product: Product) -> Iterator[str]:
    """A pod of another namespace from which names and Services are tried; returns its namespace."""
    name = "asking"
    product.kubectl("create", "namespace", name)
    product.apply(pod("client"), namespace=name)
    product.until("pods", "client", pod_ready, namespace=name)
    yield name
    product.kubectl("delete", "namespace", name, "--wait=false")


def from_pod(product: Product, client: str, words: str) -> str:
    return product.kubectl("exec", "client", "-n", client, "--", "sh", "-c", words)


def until_ready(product: Product, ns: str, name: str, count: int) -> None:
    """Wait until a Service has so many ready endpoints, and until the rules say so."""

    def ready(slices: list[Object]) -> bool:
        return (
            sum(1 for one in slices for e in one.get("endpoints") or () if e["conditions"].get("ready"))
            == count
        )

    product.until_all("endpointslices", ready, namespace=ns, labels=f"kubernetes.io/service-name={name}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("0.0.0.0", 0))
        return int(probe.getsockname()[1])


def external_ip(one: Object) -> str:
    ingress = one.get("status", {}).get("loadBalancer", {}).get("ingress") or [{}]
    return str(ingress[0].get("ip", ""))


# --- reaching -------------------------------------------------------------------------------------------------------


def test_a_cluster_ip_spreads_requests_evenly_from_host_and_pods(
    product: Product, web: str, client: str
) -> None:
    product.apply(service("web", "web"), namespace=web)
    until_ready(product, web, "web", 3)
    address = product.get("services", "web", web)["spec"]["clusterIP"]
    product.poll(lambda: not is_refused(address, 80))
    counts = Counter(ask(address) for _ in range(90))
    assert set(counts) == {one["metadata"]["name"] for one in product.list("pods", web)}
    assert min(counts.values()) >= 15, f"90 requests were spread {counts}"
    said = from_pod(
        product, client, f"for i in $(seq 30); do wget -qO- http://{address}/cgi-bin/who; done"
    ).split()
    assert set(said) == set(counts)


def test_only_ready_pods_are_asked(product: Product, web: str) -> None:
    product.apply(service("web", "web"), namespace=web)
    until_ready(product, web, "web", 3)
    address = product.get("services", "web", web)["spec"]["clusterIP"]
    out = product.list("pods", web)[0]["metadata"]["name"]
    product.kubectl("exec", out, "-n", web, "--", "rm", "/www/index.html")
    product.until("pods", out, lambda p: not pod_ready(p), namespace=web)
    until_ready(product, web, "web", 2)
    product.poll(lambda: out not in {ask(address) for _ in range(20)})
    product.kubectl("scale", "deployment/web", "-n", web, "--replicas=0")
    product.until_all("pods", lambda found: not found, namespace=web)
    product.poll(lambda: is_refused(address, 80))


def test_a_load_balancer_answers_on_localhost_and_its_address(
    product: Product, web: str, client: str
) -> None:
    port = free_port()
    product.apply(service("web", "web", port=port, target="http", type="LoadBalancer"), namespace=web)
    one = product.until("services", "web", external_ip, namespace=web)
    for address in ("127.0.0.1", external_ip(one)):
        product.poll(lambda address=address: not is_refused(address, port))
        assert len({ask(address, port) for _ in range(40)}) == 3
    assert from_pod(product, client, f"wget -qO- http://{external_ip(one)}:{port}/") == "ok\n"
    product.until_event("web", "EnsuredLoadBalancer", namespace=web)
    product.kubectl("delete", "service", "web", "-n", web)
    product.poll(lambda: is_refused("127.0.0.1", port))


def test_a_node_port_answers_on_the_node(product: Product, web: str) -> None:
    product.apply(service("web", "web", type="NodePort"), namespace=web)
    one = product.get("services", "web", web)
    port = one["spec"]["ports"][0]["nodePort"]
    assert 30000 <= port <= 32767
    node = next(
        a["address"] for a in product.list("nodes")[0]["status"]["addresses"] if a["type"] == "InternalIP"
    )
    product.poll(lambda: not is_refused(node, port))
    assert len({ask(node, port) for _ in range(40)}) == 3


def test_a_port_that_somebody_has_is_named_and_taken_when_it_is_free(product: Product, web: str) -> None:
    holder = socket.create_server(("0.0.0.0", 0))
    port = holder.getsockname()[1]
    product.apply(service("web", "web", port=port, type="LoadBalancer"), namespace=web)
    event = product.until_event("web", "SyncLoadBalancerFailed", namespace=web)
    own_name = Path("/proc/self/comm").read_text().strip()
    assert f"port {port}/tcp of the host is held by {own_name} (pid {os.getpid()})" in event["message"]
    assert event["type"] == "Warning"
    assert product.kubectl("get", "svc", "web", "-n", web, "--no-headers").split()[3] == "<pending>"
    holder.close()
    product.until("services", "web", external_ip, namespace=web)
    product.poll(lambda: not is_refused("127.0.0.1", port))


# --- names ----------------------------------------------------------------------------------------------------------


def test_names_of_services_and_pods_are_resolved(product: Product, web: str, client: str) -> None:
    product.apply(service("web", "web"), service("headless", "web", clusterIP="None"), namespace=web)
    named = pod("named", server(), hostname="first", subdomain="headless", labels={"app": "web"})
    product.apply(named, namespace=web)
    product.until("pods", "named", pod_ready, namespace=web)
    until_ready(product, web, "headless", 4)
    address = product.get("services", "web", web)["spec"]["clusterIP"]
    addresses = {one["status"]["podIP"] for one in product.list("pods", web)}

    def look_up(name: str, where: str = client, who: str = "client") -> set[str]:
        text = product.try_kubectl("exec", who, "-n", where, "--", "nslookup", name).stdout
        return set(
            re.findall(r"^Address(?: \d+)?:\s+(\d+\.\d+\.\d+\.\d+)\s*$", text.split("Name:", 1)[-1], re.M)
        )

    for name in (f"web.{web}.svc.cluster.local", f"web.{web}.svc.cluster.local."):
        assert look_up(name) == {address}
    assert look_up(f"headless.{web}.svc.cluster.local") == addresses
    own = product.get("pods", "named", web)["status"]["podIP"]
    assert look_up(f"first.headless.{web}.svc.cluster.local") == {own}
    for name in (f"web.{web}", f"web.{web}.svc"):
        assert from_pod(product, client, f"wget -qO- http://{name}/") == "ok\n"
    assert product.kubectl("exec", "named", "-n", web, "--", "wget", "-qO-", "http://web/") == "ok\n"
    missing = product.try_kubectl(
        "exec", "client", "-n", client, "--", "nslookup", f"absent.{web}.svc.cluster.local"
    )
    assert "NXDOMAIN" in missing.stdout + missing.stderr
    assert f"name = web.{web}.svc.cluster.local" in from_pod(product, client, f"nslookup {address}")


# --- coming and going -------------------------------------------------------------------------------------------------


def test_a_pod_leaves_the_rules_before_it_is_told_to_end(product: Product, ns: str) -> None:
    folder = product.host.root / f"term-{ns}"
    folder.mkdir()
    loop = "httpd -p 8000 -h /www; trap 'touch /box/term; sleep 1; exit 0' TERM; while :; do sleep 1 & wait $!; done"
    body = {
        **server(image="tiny:v1"),
        "command": ["sh", "-c", loop],
        "volumeMounts": [{"name": "box", "mountPath": "/box"}],
    }
    # A pod that is the only one of its Service is asked until it ends.
    product.apply(pod("other", server(), labels={"app": "last"}), namespace=ns)
    product.until("pods", "other", pod_ready, namespace=ns)
    product.apply(
        pod(
            "last",
            body,
            labels={"app": "last"},
            volumes=[{"name": "box", "hostPath": {"path": str(folder)}}],
            terminationGracePeriodSeconds=20,
        ),
        service("last", "last"),
        namespace=ns,
    )
    address = product.until("pods", "last", pod_ready, namespace=ns)["status"]["podIP"]
    (table,) = product.host.find_tables()

    def is_named() -> bool:
        listed = subprocess.run(["nft", "list", *table.split()], capture_output=True, text=True, check=True)
        return re.search(rf"\b{re.escape(address)}(:| \. )8000", listed.stdout) is not None

    product.poll(is_named)
    seen: list[bool] = []

    def look() -> None:
        product.poll((folder / "term").exists)
        seen.append(is_named())

    watcher = threading.Thread(target=look)
    watcher.start()
    product.kubectl("delete", "pod", "last", "-n", ns)
    watcher.join(timeout=30)
    assert seen == [False], "SIGTERM came while the rules still named the pod"


def test_no_request_fails_while_pods_are_replaced_killed_and_scaled(product: Product, web: str) -> None:
    port = free_port()
    product.apply(service("web", "web", port=port, type="LoadBalancer"), namespace=web)
    product.until("services", "web", external_ip, namespace=web)
    product.poll(lambda: not is_refused("127.0.0.1", port))
    with Stream(lambda: ask("127.0.0.1", port)) as stream:
        stream.wait_for(20)
        product.kubectl("set", "image", "deployment/web", "-n", web, "server=my-model:v2")
        product.kubectl("rollout", "status", "deployment/web", "-n", web, "--timeout=60s")
        stream.wait_for(20)
        # One that stays until it is deleted: an old pod of the rollout may still be ending.
        staying = [one for one in product.list("pods", web) if "deletionTimestamp" not in one["metadata"]]
        product.kubectl("delete", "pod", staying[0]["metadata"]["name"], "-n", web)
        product.kubectl("scale", "deployment/web", "-n", web, "--replicas=5")
        product.kubectl("rollout", "status", "deployment/web", "-n", web, "--timeout=60s")
        product.kubectl("scale", "deployment/web", "-n", web, "--replicas=1")
        product.until_all("pods", lambda found: len(found) == 1, namespace=web)
        product.kubectl("rollout", "undo", "deployment/web", "-n", web)
        product.kubectl("rollout", "status", "deployment/web", "-n", web, "--timeout=60s")
        stream.wait_for(20)
    assert stream.failures == [], f"{stream.answers.total()} requests, {len(stream.failures)} failed"
    assert len(stream.answers) >= 6


def test_a_slow_answer_is_given_by_a_pod_that_is_already_deleted(product: Product, ns: str) -> None:
    product.apply(deployment("slow", server(), grace_s=20), service("slow", "slow"), namespace=ns)
    product.until("deployments", "slow", lambda d: d["status"].get("readyReplicas") == 1, namespace=ns)
    until_ready(product, ns, "slow", 1)
    address = product.get("services", "slow", ns)["spec"]["clusterIP"]
    product.poll(lambda: not is_refused(address, 80))
    answers: list[str] = []

    def slow() -> None:
        with contextlib.suppress(OSError):
            answers.append(ask(address, path="/cgi-bin/slow", timeout_s=20))

    victim = product.list("pods", ns)[0]["metadata"]["name"]
    thread = threading.Thread(target=slow)
    thread.start()
    product.poll(lambda: "sleep 1" in product.kubectl("exec", victim, "-n", ns, "--", "ps"))
    product.kubectl("delete", "pod", victim, "-n", ns, "--wait=false")
    thread.join(timeout=20)
    assert answers == [victim]
