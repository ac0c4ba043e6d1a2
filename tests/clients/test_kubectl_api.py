"""The real kubectl against the API over TLS, without containers: what it prints is the specification."""

import asyncio
import json
import re
import ssl
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from pinnace.api.world import ContainerUsage, NodeUsage
from tests.clients.conftest import Kubectl

# "Pattern 1" of the quick reference, word for word.
PATTERN_1 = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: ml-inference
spec:
  replicas: 3
  selector:
    matchLabels:
      app: ml-inference
  template:
    metadata:
      labels:
        app: ml-inference
    spec:
      containers:
      - name: inference
        image: my-model:v1
        resources:
          requests:
            cpu: "1"
            memory: "2Gi"
          limits:
            cpu: "2"
            memory: "4Gi"
        ports:
        - containerPort: 8000
---
apiVersion: v1
kind: Service
metadata:
  name: ml-inference-service
spec:
  selector:
    app: ml-inference
  ports:
  - protocol: TCP
    port: 80
    targetPort: 8000
  type: LoadBalancer  # External access
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: ml-inference-hpa
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: ml-inference
  minReplicas: 2
  maxReplicas: 10
  metrics:
  - type: Resource
    resource:
      name: cpu
      target:
        type: Utilization
        averageUtilization: 70
"""

POD = """\
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  containers:
  - {name: main, image: "image:v1"}
"""


def rows(table: str) -> list[list[str]]:
    """Return a printed table as lists of cells (columns are two spaces apart, or more)."""
    return [re.split(r"\s{2,}", line.strip()) for line in table.strip().splitlines()]


@pytest.fixture
def pattern(tmp_path: Path) -> str:
    path = tmp_path / "service.yaml"
    path.write_text(PATTERN_1)
    return str(path)


async def make_running(kubectl: Kubectl, name: str = "web") -> None:
    """Make a pod that runs, by hand-written statuses."""
    await kubectl("apply", "-f", "-", stdin=POD.replace("name: web", f"name: {name}"))
    binding = {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": name},
        "target": {"kind": "Node", "name": "here"},
    }
    await kubectl(
        "create",
        "--raw",
        f"/api/v1/namespaces/default/pods/{name}/binding",
        "-f",
        "-",
        stdin=json.dumps(binding),
    )
    await set_status(
        kubectl,
        "pod",
        name,
        {
            "phase": "Running",
            "podIP": "10.244.0.7",
            "podIPs": [{"ip": "10.244.0.7"}],
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [
                {"name": "main", "image": "image:v1", "imageID": "", "ready": True, "restartCount": 0,
                 "state": {"running": {"startedAt": "2026-01-02T03:04:05Z"}}}
            ],
        },
    )  # fmt: skip


async def set_status(kubectl: Kubectl, kind: str, name: str, status: dict[str, Any]) -> None:
    patch = json.dumps({"status": status})
    await kubectl("patch", kind, name, "--subresource=status", "--type=merge", "-p", patch)


async def test_versions_do_not_differ_too_much(kubectl: Kubectl) -> None:
    text = await kubectl("version")
    assert "Server Version: v1.36.0+pinnace" in text
    assert "WARNING" not in text


async def test_the_pattern_is_applied_shown_changed_and_deleted(kubectl: Kubectl, pattern: str) -> None:
    assert await kubectl("apply", "-f", pattern) == (
        "deployment.apps/ml-inference created\n"
        "service/ml-inference-service created\n"
        "horizontalpodautoscaler.autoscaling/ml-inference-hpa created\n"
    )
    assert await kubectl("apply", "-f", pattern) == (
        "deployment.apps/ml-inference unchanged\n"
        "service/ml-inference-service unchanged\n"
        "horizontalpodautoscaler.autoscaling/ml-inference-hpa unchanged\n"
    )
    assert rows(await kubectl("get", "deploy"))[0] == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"]
    assert rows(await kubectl("get", "deploy", "--no-headers"))[0][:4] == ["ml-inference", "0/3", "0", "0"]
    hpa = rows(await kubectl("get", "hpa"))
    assert hpa[0] == ["NAME", "REFERENCE", "TARGETS", "MINPODS", "MAXPODS", "REPLICAS", "AGE"]
    assert hpa[1][:6] == ["ml-inference-hpa", "Deployment/ml-inference", "cpu: <unknown>/70%", "2", "10", "0"]
    service = rows(await kubectl("get", "svc", "-o", "wide", "--no-headers"))[0]
    assert (service[1], service[3], service[-1]) == ("LoadBalancer", "<pending>", "app=ml-inference")
    await kubectl("diff", "-f", pattern)
    changed = PATTERN_1.replace("my-model:v1", "my-model:v2")
    difference = await kubectl.run("diff", "-f", "-", stdin=changed)
    assert difference.code == 1
    assert "-      - image: my-model:v1\n+      - image: my-model:v2\n" in difference.out
    assert (await kubectl("apply", "-f", "-", stdin=changed)).startswith(
        "deployment.apps/ml-inference configured\n"
    )
    assert await kubectl("delete", "-f", pattern) == (
        'deployment.apps "ml-inference" deleted from default namespace\n'
        'service "ml-inference-service" deleted from default namespace\n'
        'horizontalpodautoscaler.autoscaling "ml-inference-hpa" deleted from default namespace\n'
    )


async def test_apply_takes_away_what_the_manifest_no_longer_says(kubectl: Kubectl, pattern: str) -> None:
    await kubectl("apply", "-f", pattern)
    without = PATTERN_1.replace("        ports:\n        - containerPort: 8000\n", "").replace(
        'cpu: "2"\n            ', ""
    )
    await kubectl("apply", "-f", "-", stdin=without)
    container = json.loads(await kubectl("get", "deploy", "ml-inference", "-o", "json"))["spec"]["template"][
        "spec"
    ]["containers"][0]
    assert "ports" not in container
    assert container["resources"]["limits"] == {"memory": "4Gi"}


async def test_server_side_apply_creates_and_changes(kubectl: Kubectl, pattern: str) -> None:
    assert "serverside-applied" in await kubectl("apply", "--server-side", "-f", pattern)
    await kubectl("apply", "--server-side", "-f", "-", stdin=PATTERN_1.replace("replicas: 3", "replicas: 4"))
    assert await kubectl("get", "deploy", "ml-inference", "-o", "jsonpath={.spec.replicas}") == "4"


async def test_pods_have_their_columns(kubectl: Kubectl) -> None:
    await make_running(kubectl)
    table = rows(await kubectl("get", "pods", "-o", "wide"))
    assert table[0] == [
        "NAME",
        "READY",
        "STATUS",
        "RESTARTS",
        "AGE",
        "IP",
        "NODE",
        "NOMINATED NODE",
        "READINESS GATES",
    ]
    assert table[1][:4] == ["web", "1/1", "Running", "0"]
    assert table[1][5:] == ["10.244.0.7", "here", "<none>", "<none>"]
    assert rows(await kubectl("get", "pods", "--show-labels"))[1][-1] == "app=web"
    assert rows(await kubectl("get", "pods", "-A"))[1][:2] == ["default", "web"]
    assert await kubectl("get", "pods", "-o", "name") == "pod/web\n"
    assert await kubectl(
        "get", "pods", "-l", "app=web,app!=x", "--field-selector=status.phase=Running", "-o", "name"
    )


async def test_sorting_and_custom_columns_read_whole_objects(kubectl: Kubectl) -> None:
    for name in ("a", "b"):
        await kubectl("create", "cm", name, f"--from-literal=key={ord('z') - ord(name)}")
    assert rows(await kubectl("get", "cm", "--sort-by=.data.key", "--no-headers"))[0][0] == "b"
    table = await kubectl("get", "cm", "-o", "custom-columns=N:.metadata.name,K:.data.key")
    assert rows(table) == [["N", "K"], ["a", "25"], ["b", "24"]]


async def test_labels_annotations_and_patches(kubectl: Kubectl, pattern: str) -> None:
    await kubectl("apply", "-f", pattern)
    deployment = "deployment.apps/ml-inference"
    assert await kubectl("label", "deploy", "ml-inference", "tier=serving") == f"{deployment} labeled\n"
    assert await kubectl("annotate", "deploy", "ml-inference", "note=x") == f"{deployment} annotated\n"
    assert await kubectl("label", "deploy", "ml-inference", "tier-") == f"{deployment} unlabeled\n"
    assert (
        await kubectl("set", "image", "deploy/ml-inference", "inference=my-model:v3")
        == f"{deployment} image updated\n"
    )
    for kind, patch in (
        ("strategic", '{"spec":{"replicas":4}}'),
        ("merge", '{"spec":{"replicas":5}}'),
        ("json", '[{"op":"replace","path":"/spec/replicas","value":6}]'),
    ):
        assert (
            await kubectl("patch", "deploy", "ml-inference", f"--type={kind}", "-p", patch)
            == f"{deployment} patched\n"
        )
    document = json.loads(await kubectl("get", "deploy", "ml-inference", "-o", "json"))
    assert (document["spec"]["replicas"], document["metadata"].get("labels")) == (6, None)
    assert document["metadata"]["annotations"]["note"] == "x"


async def test_scale(kubectl: Kubectl, pattern: str) -> None:
    await kubectl("apply", "-f", pattern)
    assert (
        await kubectl("scale", "deploy/ml-inference", "--replicas=7")
        == "deployment.apps/ml-inference scaled\n"
    )
    assert await kubectl("get", "deploy", "ml-inference", "-o", "jsonpath={.spec.replicas}") == "7"
    refused = await kubectl.run("scale", "deploy/ml-inference", "--current-replicas=1", "--replicas=2")
    assert refused.code == 1
    assert "expected replicas" in refused.err.lower()


async def test_rollout_status_follows_the_status(kubectl: Kubectl, pattern: str) -> None:
    await kubectl("apply", "-f", pattern)
    process = await kubectl.start("rollout", "status", "deploy/ml-inference", "--timeout=20s")
    assert process.stdout is not None
    counts = {"observedGeneration": 1, "replicas": 3, "updatedReplicas": 3}
    await set_status(
        kubectl, "deploy", "ml-inference", {**counts, "availableReplicas": 1, "readyReplicas": 1}
    )
    async with asyncio.timeout(20):
        while b"1 of 3 updated replicas are available" not in (line := await process.stdout.readline()):
            assert line
    await set_status(
        kubectl, "deploy", "ml-inference", {**counts, "availableReplicas": 3, "readyReplicas": 3}
    )
    out, _ = await process.communicate()
    assert (process.returncode, out) == (0, b'deployment "ml-inference" successfully rolled out\n')


async def test_wait_for_a_condition_and_for_deletion(kubectl: Kubectl) -> None:
    await kubectl("apply", "-f", "-", stdin=POD)
    waiting = asyncio.create_task(kubectl("wait", "--for=condition=Ready", "pod/web", "--timeout=20s"))
    await set_status(kubectl, "pod", "web", {"conditions": [{"type": "Ready", "status": "True"}]})
    assert await waiting == "pod/web condition met\n"
    waiting = asyncio.create_task(kubectl("wait", "--for=delete", "pod/web", "--timeout=20s"))
    assert await kubectl("delete", "pod", "web", "--now") == 'pod "web" deleted from default namespace\n'
    assert "web" in await waiting or await waiting == ""


async def test_watch_prints_rows_as_they_come(kubectl: Kubectl) -> None:
    process = await kubectl.start("get", "pods", "-w", "--output-watch-events")
    assert process.stdout is not None
    try:
        async with asyncio.timeout(20):
            await make_running(kubectl)
            lines = [rows((await process.stdout.readline()).decode())[0] for _ in range(4)]
    finally:
        process.terminate()
        await process.communicate()
    assert lines[0][:4] == ["EVENT", "NAME", "READY", "STATUS"]
    assert [line[:4] for line in lines[1:]] == [
        ["ADDED", "web", "0/1", "Pending"],
        ["MODIFIED", "web", "0/1", "Pending"],
        ["MODIFIED", "web", "1/1", "Running"],
    ]


async def test_describe_shows_status_and_events(kubectl: Kubectl) -> None:
    from pinnace.kube import kinds

    await make_running(kubectl)
    pod = kubectl.api.get(kinds.POD, "default", "web")
    await kubectl.api.record_event(pod, "Normal", "Started", "Started container main", component="kubelet")
    text = await kubectl("describe", "pod", "web")
    assert re.search(r"^Status: +Running$", text, re.M)
    assert re.search(r"Normal +Started +\S+ +kubelet +Started container main", text)
    events = rows(await kubectl("get", "events"))
    assert events[0] == ["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]
    assert events[1][1:] == ["Normal", "Started", "pod/web", "Started container main"]
    assert "Started container main" in await kubectl("events", "--for", "pod/web")


async def test_explain_knows_fields_and_types(kubectl: Kubectl) -> None:
    assert "replicas\t<integer>" in await kubectl("explain", "deploy.spec")
    assert "FIELD: averageUtilization <integer>" in await kubectl(
        "explain", "hpa.spec.metrics.resource.target.averageUtilization"
    )


async def test_resources_and_versions_are_listed(kubectl: Kubectl) -> None:
    listed = {line[0]: line[1:] for line in rows(await kubectl("api-resources", "--no-headers"))}
    assert listed["deployments"] == ["deploy", "apps/v1", "true", "Deployment"]
    assert listed["namespaces"] == ["ns", "v1", "false", "Namespace"]
    assert "autoscaling/v2" in (await kubectl("api-versions")).split()


async def test_all_means_the_kinds_that_people_look_at(kubectl: Kubectl, pattern: str) -> None:
    await kubectl("apply", "-f", pattern)
    names = (await kubectl("get", "all", "-o", "name")).split()
    assert names == [
        "service/ml-inference-service",
        "deployment.apps/ml-inference",
        "horizontalpodautoscaler.autoscaling/ml-inference-hpa",
    ]


@pytest.mark.parametrize(
    ("command", "printed"),
    [
        (("create", "namespace", "team"), "namespace/team created\n"),
        (("create", "configmap", "c", "--from-literal=a=b"), "configmap/c created\n"),
        (("create", "secret", "generic", "s", "--from-literal=pw=x"), "secret/s created\n"),
        (("create", "serviceaccount", "me"), "serviceaccount/me created\n"),
        (
            ("create", "deployment", "d", "--image=i:1", "--replicas=2", "--port=80"),
            "deployment.apps/d created\n",
        ),
        (("create", "service", "clusterip", "c", "--tcp=80:8080"), "service/c created\n"),
        (("run", "web", "--image=i:1"), "pod/web created\n"),
    ],
)
async def test_generators_create(kubectl: Kubectl, command: tuple[str, ...], printed: str) -> None:
    assert await kubectl(*command) == printed


async def test_autoscale_and_expose(kubectl: Kubectl) -> None:
    await kubectl("create", "deployment", "d", "--image=i:1", "--port=80")
    assert await kubectl("autoscale", "deploy", "d", "--min=2", "--max=5") == (
        "horizontalpodautoscaler.autoscaling/d autoscaled\n"
    )
    assert await kubectl("expose", "deploy", "d") == "service/d exposed\n"
    assert json.loads(await kubectl("get", "svc", "d", "-o", "json"))["spec"]["ports"][0]["port"] == 80


async def test_a_misspelled_field_is_refused_by_path(kubectl: Kubectl) -> None:
    ran = await kubectl.run("apply", "-f", "-", stdin=POD.replace("image:", "imgae:"))
    assert ran.code == 1
    assert 'strict decoding error: unknown field "spec.containers[0].imgae"' in ran.err


async def test_a_kind_that_is_not_served_is_named(kubectl: Kubectl) -> None:
    manifest = json.dumps({"apiVersion": "example.com/v1", "kind": "Nonsense", "metadata": {"name": "a"}})
    ran = await kubectl.run("apply", "-f", "-", stdin=manifest)
    assert ran.code == 1
    assert 'no matches for kind "Nonsense" in version "example.com/v1"' in ran.err


async def test_an_invalid_object_names_each_field(kubectl: Kubectl) -> None:
    ran = await kubectl.run("create", "-f", "-", stdin=POD.replace("name: main, ", ""))
    assert (ran.code, ran.err) == (
        1,
        'The Pod "web" is invalid: spec.containers[0].name: Required value\n',
    )


async def test_missing_things_are_not_found(kubectl: Kubectl) -> None:
    assert (
        await kubectl.run("get", "pod", "web")
    ).err == 'Error from server (NotFound): pods "web" not found\n'
    assert (
        await kubectl.run("get", "colours")
    ).err == 'error: the server doesn\'t have a resource type "colours"\n'
    assert (await kubectl.run("get", "pods")).err == "No resources found in default namespace.\n"


async def test_a_dry_run_on_the_server_changes_nothing(kubectl: Kubectl) -> None:
    assert (
        await kubectl("apply", "--dry-run=server", "-f", "-", stdin=POD)
        == "pod/web created (server dry run)\n"
    )
    assert (await kubectl.run("get", "pod", "web")).code == 1


async def test_many_objects_come_in_pages(kubectl: Kubectl) -> None:
    for number in range(7):
        await kubectl.api.create(_config_map(f"c{number}"), namespace="default")
    assert len((await kubectl("get", "cm", "--chunk-size=3", "-o", "name")).split()) == 7


def _config_map(name: str) -> Any:
    from pinnace.kube.objects.core_v1 import ConfigMap
    from pinnace.kube.objects.meta_v1 import ObjectMeta

    return ConfigMap(metadata=ObjectMeta(name=name))


# ---------------------------------------------------------------------------------------------------- streams


async def test_logs(kubectl: Kubectl) -> None:
    await make_running(kubectl)
    assert await kubectl("logs", "web") == "one\ntwo\n"
    assert await kubectl("logs", "web", "-f", "--tail=5", "--timestamps") == "one\ntwo\n"
    assert (kubectl.world.log_options[-1].tail_lines, kubectl.world.log_options[-1].timestamps) == (5, True)
    refused = await kubectl.run("logs", "web", "--previous")
    assert refused.err == (
        'Error from server (BadRequest): previous terminated container "main" in pod "web" not found\n'
    )


async def test_exec_has_output_input_and_exit_code(kubectl: Kubectl) -> None:
    await make_running(kubectl)
    assert await kubectl("exec", "web", "--", "echo", "hi") == "echo hi"
    ran = await kubectl.run("exec", "-i", "web", "--", "cat", stdin="abc\n")
    assert (ran.code, ran.out) == (3, "cat")
    assert ran.err == "ABC\ncommand terminated with exit code 3\n"


async def test_port_forward_carries_bytes_both_ways(kubectl: Kubectl) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data.upper())
            await writer.drain()
        writer.close()

    await make_running(kubectl)
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    kubectl.world.ports = {80: server.sockets[0].getsockname()[1]}
    process = await kubectl.start("port-forward", "pod/web", ":80")
    assert process.stdout is not None
    try:
        async with asyncio.timeout(20):
            line = (await process.stdout.readline()).decode()
            match = re.fullmatch(r"Forwarding from 127\.0\.0\.1:(\d+) -> 80\n", line)
            assert match, line
            for size in (3, 1_000_000):
                reader, writer = await asyncio.open_connection("127.0.0.1", int(match[1]))
                writer.write(b"x" * size)
                writer.write_eof()
                assert await reader.read() == b"X" * size
                writer.close()
    finally:
        process.terminate()
        await process.communicate()
        server.close()
        await server.wait_closed()


async def test_top_shows_what_was_measured(kubectl: Kubectl) -> None:
    await make_running(kubectl)
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "here"}}
    await kubectl("create", "-f", "-", stdin=json.dumps(node))
    await set_status(
        kubectl,
        "node",
        "here",
        {"allocatable": {"cpu": "2", "memory": "4Gi"}, "capacity": {"cpu": "2", "memory": "4Gi"}},
    )
    kubectl.world.usage = {
        ("default", "web"): {"main": ContainerUsage(cpu_milli=120, memory_bytes=64 << 20, at=9.0)}
    }
    kubectl.world.nodes = {"here": NodeUsage(cpu_milli=500, memory_bytes=1 << 30, at=9.0)}
    assert rows(await kubectl("top", "pods")) == [
        ["NAME", "CPU(cores)", "MEMORY(bytes)"],
        ["web", "120m", "64Mi"],
    ]
    assert rows(await kubectl("top", "pods", "--containers"))[1] == ["web", "main", "120m", "64Mi"]
    assert rows(await kubectl("top", "nodes"))[1] == ["here", "500m", "25%", "1024Mi", "25%"]


async def test_an_unknown_token_is_no_login(kubectl: Kubectl) -> None:
    document = yaml.safe_load(kubectl.kubeconfig.read_text())
    document["users"][0]["user"] = {"token": "made-up"}
    kubectl.kubeconfig.write_text(yaml.safe_dump(document))
    ran = await kubectl.run("get", "pods")
    assert ran.code == 1
    assert "error: You must be logged in to the server" in ran.err


async def test_a_stranger_sees_only_health_and_version(kubectl: Kubectl, tmp_path: Path) -> None:
    server = yaml.safe_load(kubectl.kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
    context = ssl.create_default_context(cafile=str(tmp_path / "pki" / "ca.crt"))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
        for path in ("/readyz", "/healthz", "/livez", "/version"):
            async with session.get(server + path) as response:
                assert response.status == 200
        async with session.get(f"{server}/api/v1/namespaces/default/pods") as response:
            document = await response.json()
        async with session.get(f"{server}/apis") as response:
            assert response.status == 403
    assert (document["code"], document["message"]) == (
        403,
        'pods is forbidden: User "system:anonymous" cannot list resource "pods" in API group "" in the namespace "default"',
    )
