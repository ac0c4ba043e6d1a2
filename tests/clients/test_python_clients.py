"""The Python clients `kubernetes` and `lightkube` against a running instance: typed reads, writes, watches, streams."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.product.instance import Product, pod_ready
from tests.product.manifests import container, deployment, pod, server

kubernetes = pytest.importorskip("kubernetes")
lightkube = pytest.importorskip("lightkube")


@pytest.fixture(scope="module")
def official(product: Product) -> Any:
    """An API client of the official library, from our kubeconfig."""
    return kubernetes.config.new_client_from_config(config_file=product.env["KUBECONFIG"])


@pytest.fixture
def light(product: Product, ns: str) -> Any:
    """A client of lightkube, in the test's namespace."""
    config = lightkube.KubeConfig.from_file(product.env["KUBECONFIG"])
    return lightkube.Client(config=config, namespace=ns)


def test_official_client_creates_lists_and_deletes(product: Product, official: Any, ns: str) -> None:
    core = kubernetes.client.CoreV1Api(official)
    core.create_namespaced_pod(ns, pod("typed"))
    product.until("pods", "typed", pod_ready, namespace=ns)
    (found,) = core.list_namespaced_pod(ns, label_selector="app=typed").items
    assert found.status.phase == "Running"
    assert found.status.container_statuses[0].state.running.started_at.tzinfo is not None
    with pytest.raises(kubernetes.client.ApiException) as error:
        core.create_namespaced_pod(ns, pod("typed"))
    assert error.value.status == 409
    core.delete_namespaced_pod("typed", ns)
    product.until_gone("pods", "typed", namespace=ns)


def test_official_client_watches(official: Any, ns: str) -> None:
    core = kubernetes.client.CoreV1Api(official)
    version = core.list_namespaced_pod(ns).metadata.resource_version
    core.create_namespaced_pod(ns, pod("seen"))
    watch = kubernetes.watch.Watch()
    phases = []
    for event in watch.stream(core.list_namespaced_pod, ns, resource_version=version, timeout_seconds=30):
        phases.append((event["type"], event["object"].status.phase))
        if event["object"].status.phase == "Running":
            watch.stop()
    assert phases[0] == ("ADDED", "Pending") and phases[-1] == ("MODIFIED", "Running")


def test_official_client_runs_commands_and_reads_logs(product: Product, official: Any, ns: str) -> None:
    core = kubernetes.client.CoreV1Api(official)
    core.create_namespaced_pod(
        ns,
        pod(
            "talker", container(command="echo hello; trap 'exit 0' TERM; while :; do sleep 1 & wait $!; done")
        ),
    )
    product.until("pods", "talker", pod_ready, namespace=ns)
    stream = kubernetes.stream.stream
    words = ["sh", "-c", "echo out; echo err >&2; exit 3"]
    session = stream(
        core.connect_get_namespaced_pod_exec,
        "talker",
        ns,
        command=words,
        stderr=True,
        stdout=True,
        stdin=False,
        tty=False,
        _preload_content=False,
    )
    session.run_forever(timeout=20)
    assert (session.read_stdout(), session.read_stderr(), session.returncode) == ("out\n", "err\n", 3)
    assert core.read_namespaced_pod_log("talker", ns) == "hello\n"

    shell = stream(
        core.connect_get_namespaced_pod_exec,
        "talker",
        ns,
        command=["sh"],
        stderr=True,
        stdout=True,
        stdin=True,
        tty=False,
        _preload_content=False,
    )
    shell.write_stdin("echo typed; exit 4\n")
    shell.run_forever(timeout=20)
    assert (shell.read_stdout(), shell.returncode) == ("typed\n", 4)


def test_official_client_forwards_ports(product: Product, official: Any, ns: str) -> None:
    core = kubernetes.client.CoreV1Api(official)
    core.create_namespaced_pod(ns, pod("web", server()))
    product.until("pods", "web", pod_ready, namespace=ns)
    forward = kubernetes.stream.portforward(
        core.connect_get_namespaced_pod_portforward, "web", ns, ports="8000"
    )
    connection = forward.socket(8000)
    connection.setblocking(True)
    connection.sendall(b"GET /cgi-bin/who HTTP/1.0\r\n\r\n")
    answer = b""
    while piece := connection.recv(4096):
        answer += piece
    connection.close()
    assert b" 200 OK" in answer and answer.endswith(b"\r\n\r\nweb\n")


def test_official_client_patches_and_scales(product: Product, official: Any, ns: str) -> None:
    apps = kubernetes.client.AppsV1Api(official)
    apps.create_namespaced_deployment(ns, deployment("web"))
    apps.patch_namespaced_deployment_scale("web", ns, {"spec": {"replicas": 3}})
    apps.patch_namespaced_deployment("web", ns, {"metadata": {"labels": {"a": "b"}}})
    product.until("deployments", "web", lambda d: d["status"].get("readyReplicas") == 3, namespace=ns)
    found = apps.read_namespaced_deployment("web", ns)
    assert (found.metadata.labels, found.spec.replicas) == ({"a": "b"}, 3)


def test_official_dynamic_client_discovers_and_applies(official: Any, ns: str) -> None:
    dynamic = kubernetes.dynamic.DynamicClient(official)
    resource = dynamic.resources.get(api_version="v1", kind="ConfigMap")
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "facts"}, "data": {"a": "1"}}
    applied = dynamic.server_side_apply(resource, body=body, namespace=ns, field_manager="test")
    assert applied.data.a == "1"
    assert resource.get(name="facts", namespace=ns).metadata.managedFields[0].manager == "test"


def test_lightkube_creates_watches_patches_and_deletes(product: Product, light: Any, ns: str) -> None:
    from lightkube.models.core_v1 import Container, PodSpec
    from lightkube.models.meta_v1 import ObjectMeta
    from lightkube.resources.core_v1 import Pod

    spec = PodSpec(
        containers=[
            Container(
                name="main",
                image="tiny:v1",
                command=["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1 & wait $!; done"],
            )
        ]
    )
    light.create(Pod(metadata=ObjectMeta(name="light", labels={"a": "b"}), spec=spec))
    for _, found in light.watch(Pod, labels={"a": "b"}):
        if found.status.phase == "Running":
            break
    light.patch(Pod, "light", {"metadata": {"labels": {"c": "d"}}})
    assert light.get(Pod, "light").metadata.labels == {"a": "b", "c": "d"}
    assert [one.metadata.name for one in light.list(Pod, labels={"c": "d"})] == ["light"]
    light.delete(Pod, "light", grace_period=1)
    product.until_gone("pods", "light", namespace=ns)


def test_lightkube_waits_for_a_deployment_and_reads_logs(product: Product, light: Any, ns: str) -> None:
    from lightkube.resources.apps_v1 import Deployment

    found = light.apply(Deployment.from_dict(deployment("web", replicas=2)), field_manager="test")
    assert found.spec.replicas == 2
    ready = light.wait(Deployment, "web", for_conditions=["Available"])
    assert ready.status.availableReplicas == 2
    product.apply(pod("talker", container(command="echo one; echo two"), restartPolicy="Never"), namespace=ns)
    product.until("pods", "talker", lambda one: one["status"].get("phase") == "Succeeded", namespace=ns)
    assert list(light.log("talker")) == ["one\n", "two\n"]


def test_lightkube_async_client_sees_changes_as_they_come(product: Product, ns: str) -> None:
    from lightkube.resources.core_v1 import ConfigMap

    async def story() -> list[tuple[str, Any]]:
        client = lightkube.AsyncClient(
            config=lightkube.KubeConfig.from_file(product.env["KUBECONFIG"]), namespace=ns
        )
        seen = []
        for value in "123":
            await client.apply(
                ConfigMap.from_dict({"metadata": {"name": "facts"}, "data": {"n": value}}),
                field_manager="test",
            )
            async for change, found in client.watch(ConfigMap, fields={"metadata.name": "facts"}):
                seen.append((change, found.data["n"]))
                break
        await client.close()
        return seen

    assert asyncio.run(story()) == [("ADDED", "1"), ("ADDED", "2"), ("ADDED", "3")]
