"""Our own Kubernetes verbs against real containers; the real kubectl, asked the same, is the specification."""

from __future__ import annotations

import re
import socket
import subprocess
import urllib.request
from pathlib import Path

import pytest
import yaml

from tests.product.instance import PINNACE, Product, pod_ready

WEB = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  replicas: 2
  selector:
    matchLabels: {app: web}
  template:
    metadata:
      labels: {app: web}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: web
        image: my-model:v1
        ports: [{containerPort: 8000, name: http}]
        resources: {requests: {cpu: 10m}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ports: [{port: 80, targetPort: http}]
"""

READINGS = (
    "get pods",
    "get all",
    "get pods,svc,deploy -o wide",
    "get pods --show-labels",
    "get deploy web -o yaml",
    "get svc,deploy -o json",
    "get pods -o name",
    "get pods -L app --no-headers",
    "get nodes",
    "get deploy/web svc/web",
    "get pods -l app=nothing",
    "get pod nothing",
    "get pod web nothing",
    "get hpa,cm -l app=nothing",
    "rollout history deploy/web",
    "rollout status deploy/web",
    "delete pod",
    "delete pod nothing",
    "scale deploy web --replicas=2 --current-replicas=9",
    "rollout undo deploy/web --to-revision=9",
)


@pytest.fixture
def web(product: Product, ns: str, tmp_path: Path) -> Path:
    """The manifest of a Deployment that runs, and its Service."""
    path = tmp_path / "web.yaml"
    path.write_text(WEB)
    said = product.pinnace("apply", "-n", ns, "-f", str(path))
    assert said == "deployment.apps/web created\nservice/web created\n"
    product.pinnace("rollout", "status", "-n", ns, "deploy/web", "--timeout", "60s")
    product.until_all("pods", lambda pods: len(pods) == 2 and all(map(pod_ready, pods)), namespace=ns)
    return path


def without_ages(text: str) -> str:
    """Return a table without what changes from one second to the next."""
    return re.sub(r"\b\d+[smh](\d+s)?\b *", "AGE ", text)


def without_hints(text: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("hint: "))


@pytest.mark.usefixtures("web")
def test_what_pinnace_prints_is_what_kubectl_prints(product: Product, ns: str) -> None:
    for words in READINGS:
        line = [*words.split(), "-n", ns]
        ours, theirs = product.try_pinnace(*line), product.try_kubectl(*line)
        assert without_ages(ours.stdout) == without_ages(theirs.stdout), words
        assert without_hints(ours.stderr) == theirs.stderr, words
        assert ours.returncode == theirs.returncode, words


def test_apply_changes_what_differs_and_takes_away_what_is_no_longer_named(
    product: Product, ns: str, web: Path
) -> None:
    assert product.pinnace("apply", "-n", ns, "-f", str(web)) == (
        "deployment.apps/web unchanged\nservice/web unchanged\n"
    )
    deployment, service = yaml.safe_load_all(WEB)
    deployment["metadata"]["labels"] = {"tier": "front"}
    changed = yaml.safe_dump_all([deployment, service])
    assert product.pinnace("apply", "-n", ns, "-f", "-", stdin=changed.encode()).startswith(
        "deployment.apps/web configured\n"
    )
    assert product.get("deployments", "web", ns)["metadata"]["labels"] == {"tier": "front"}
    product.pinnace("apply", "-n", ns, "-f", str(web))
    assert "labels" not in product.get("deployments", "web", ns)["metadata"]


def test_a_wrong_manifest_is_kubernetes_error_on_its_line(product: Product, ns: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(WEB.replace("replicas: 2", "replicas: -1").replace("        image: my-model:v1\n", ""))
    done = product.try_pinnace("apply", "-n", ns, "-f", str(path))
    assert (done.returncode, done.stdout) == (1, "service/web created\n")
    assert done.stderr == (
        f'Error from server (Invalid): error when creating "{path}": Deployment.apps "web" is invalid: '
        "[spec.replicas: Invalid value: -1: must be greater than or equal to 0, "
        "spec.template.spec.containers[0].image: Required value]\n"
        f"  {path}:6: spec.replicas\n  {path}:15: spec.template.spec.containers[0].image\n"
    )


def test_a_rollout_goes_forth_and_back(product: Product, ns: str, web: Path) -> None:
    here = ("-n", ns)
    changed = WEB.replace("my-model:v1", "my-model:v2").encode()
    product.pinnace("apply", *here, "-f", "-", stdin=changed)
    followed = product.pinnace("rollout", "status", *here, "deploy/web", "--timeout", "60s")
    assert followed.endswith('deployment "web" successfully rolled out\n')
    assert product.pinnace("rollout", "undo", *here, "deploy/web") == "deployment.apps/web rolled back\n"
    product.pinnace("rollout", "status", *here, "deploy/web", "--timeout", "60s")
    template = product.get("deployments", "web", ns)["spec"]["template"]
    assert template["spec"]["containers"][0]["image"] == "my-model:v1"
    assert product.pinnace("rollout", "history", *here, "deploy/web") == (
        "deployment.apps/web \nREVISION  CHANGE-CAUSE\n2         <none>\n3         <none>\n\n"
    )
    assert product.pinnace("scale", *here, "deploy/web", "--replicas=1") == "deployment.apps/web scaled\n"
    product.until_all("pods", lambda pods: len(pods) == 1, namespace=ns)


@pytest.mark.usefixtures("web")
def test_delete_returns_when_the_pods_are_gone(product: Product, ns: str) -> None:
    product.pinnace("delete", "deploy", "web", "-n", ns)
    said = product.try_pinnace("delete", "pods", "--all", "-n", ns, "--timeout", "30s")
    assert said.returncode == 0, said.stderr
    assert product.list("pods", ns) == []


@pytest.mark.usefixtures("web")
def test_events_are_those_of_the_object(product: Product, ns: str) -> None:
    product.until_event("web", "ScalingReplicaSet", namespace=ns)
    lines = product.pinnace("events", "-n", ns, "--for", "deploy/web", "--no-headers").splitlines()
    assert all("deployment/web" in line and "Scaled up replica set" in line for line in lines)
    assert lines


@pytest.mark.usefixtures("web")
def test_port_forward_reaches_the_pod_behind_a_service(product: Product, ns: str) -> None:
    words = [*PINNACE, "port-forward", "-n", ns, "svc/web", ":80"]
    with subprocess.Popen(words, env=product.env, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            found = re.fullmatch(r"Forwarding from 127\.0\.0\.1:(\d+) -> 8000\n", said)
            assert found, said
            with urllib.request.urlopen(f"http://127.0.0.1:{found[1]}/", timeout=10) as answer:
                assert answer.status == 200
        finally:
            process.terminate()


def test_a_port_that_is_taken_is_named(product: Product, ns: str, web: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        done = product.try_pinnace("port-forward", "-n", ns, "svc/web", f"{port}:80")
    assert done.returncode == 2
    assert done.stderr.startswith(
        f"error: unable to listen on 127.0.0.1:{port}: Address already in use\nhint: "
    )
