"""The real helm: a release is installed, upgraded, rolled back and taken away again."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.product.instance import Product

CHART = "apiVersion: v2\nname: web\nversion: 0.1.0\n"
VALUES = "replicas: 1\ntag: v1\n"
TEMPLATES = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}-web
spec:
  replicas: {{ .Values.replicas }}
  selector:
    matchLabels: {release: {{ .Release.Name | quote }}}
  template:
    metadata:
      labels: {release: {{ .Release.Name | quote }}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: web
        image: my-model:{{ .Values.tag }}
        ports: [{containerPort: 8000, name: http}]
        readinessProbe: {tcpSocket: {port: http}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata:
  name: {{ .Release.Name }}-web
spec:
  selector: {release: {{ .Release.Name | quote }}}
  ports: [{port: 80, targetPort: http}]
"""


@pytest.fixture
def chart(tmp_path: Path) -> Path:
    """A chart of a Deployment and a Service."""
    folder = tmp_path / "web"
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text(CHART)
    (folder / "values.yaml").write_text(VALUES)
    (folder / "templates" / "web.yaml").write_text(TEMPLATES)
    return folder


# A hook or a test of a chart: a pod that says what it was told, and ends.
HOOK = """\
apiVersion: v1
kind: Pod
metadata:
  name: {{{{ .Release.Name }}}}-{name}
  annotations:
    helm.sh/hook: {hooks}
    helm.sh/hook-weight: "{weight}"
    helm.sh/hook-delete-policy: before-hook-creation
spec:
  restartPolicy: Never
  containers:
  - name: main
    image: tiny:v1
    command: [sh, -c, {command!r}]
"""
CRD = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: models.chart.example.com
spec:
  group: chart.example.com
  scope: Namespaced
  names: {kind: Model, plural: models, singular: model, listKind: ModelList}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            required: [weights]
            properties:
              weights: {type: string}
              replicas: {type: integer, default: 1}
"""
MODEL = """\
apiVersion: chart.example.com/v1
kind: Model
metadata:
  name: {{ .Release.Name }}-model
spec:
  weights: {{ .Values.weights | quote }}
"""


@pytest.fixture
def chart_of_everything(chart: Path) -> Path:
    """The chart with a custom resource and its definition, hooks before and after, and tests."""
    (chart / "values.yaml").write_text(VALUES + "weights: one.bin\n")
    (chart / "crds").mkdir()
    (chart / "crds" / "models.yaml").write_text(CRD)
    (chart / "templates" / "model.yaml").write_text(MODEL)
    hooks = {
        "prepare": ("pre-install,pre-upgrade", "echo preparing"),
        "announce": ("post-install,post-upgrade", "echo announced"),
        "tidy": ("post-delete", "echo tidied"),
        "check": ("test", "wget -qO- http://{{ .Release.Name }}-web/cgi-bin/who"),
    }
    for weight, (name, (when, command)) in enumerate(hooks.items()):
        text = HOOK.format(name=name, hooks=when, weight=weight, command=command)
        (chart / "templates" / f"{name}.yaml").write_text(text)
    return chart


class Helm:
    """The real helm in one namespace."""

    def __init__(self, binary: Path, product: Product, ns: str, home: Path) -> None:
        self._command = [str(binary), "-n", ns]
        self._environ = {**product.env, "HOME": str(home)}

    def try_(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self._command, *words],
            env=self._environ,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def __call__(self, *words: str) -> str:
        done = self.try_(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def helm(product: Product, ns: str, clients: Path, tmp_path: Path) -> Helm:
    return Helm(clients / "helm", product, ns, tmp_path)


WAITING = ("--wait", "--timeout", "60s")


def test_a_chart_with_hooks_definitions_and_tests(
    product: Product, ns: str, chart_of_everything: Path, helm: Helm
) -> None:
    def model() -> Any:
        path = f"/apis/chart.example.com/v1/namespaces/{ns}/models/one-model"
        return product.ask(path)["spec"]

    def phase_of(name: str) -> Any:
        return product.get("pods", f"one-{name}", ns)["status"]["phase"]

    chart = str(chart_of_everything)
    try:
        helm("install", "one", chart, *WAITING)
        assert model() == {"weights": "one.bin", "replicas": 1}
        assert (phase_of("prepare"), phase_of("announce")) == ("Succeeded", "Succeeded")
        assert "Phase:          Succeeded" in helm("test", "one", "--timeout", "60s")
        assert product.kubectl("logs", "one-check", "-n", ns).startswith("one-web-")
        helm("upgrade", "one", chart, "--set", "weights=two.bin", *WAITING)
        assert model()["weights"] == "two.bin"
        bad = helm.try_("upgrade", "one", chart, "--set", "weights=null", *WAITING)
        assert bad.returncode != 0 and "spec.weights in body must be of type string" in bad.stderr
        helm("rollback", "one", "1", *WAITING)
        assert model()["weights"] == "one.bin"
        helm("uninstall", "one", *WAITING)
        assert phase_of("tidy") == "Succeeded"
        assert product.list("deployments", ns) == []
    finally:
        product.kubectl("delete", "crd", "models.chart.example.com")


def test_a_hook_that_fails_fails_the_release(product: Product, chart: Path, helm: Helm) -> None:
    text = HOOK.format(name="prepare", hooks="pre-install", weight=0, command="echo no; exit 3")
    (chart / "templates" / "prepare.yaml").write_text(text)
    failed = helm.try_("install", "one", str(chart), "--timeout", "30s")
    assert failed.returncode != 0
    assert "failed pre-install" in failed.stderr
    assert "STATUS: failed" in helm("status", "one")


def test_a_release_goes_through_its_life(product: Product, ns: str, chart: Path, helm: Helm) -> None:
    def spec() -> dict[str, Any]:
        found: dict[str, Any] = product.get("deployments", "one-web", ns)["spec"]
        return found

    helm("install", "one", str(chart), *WAITING)
    assert product.get("deployments", "one-web", ns)["status"]["readyReplicas"] == 1
    helm("upgrade", "one", str(chart), "--set", "replicas=2,tag=v2", *WAITING)
    assert product.get("deployments", "one-web", ns)["status"]["readyReplicas"] == 2
    assert spec()["template"]["spec"]["containers"][0]["image"] == "my-model:v2"
    helm("rollback", "one", "1", *WAITING)
    assert spec()["template"]["spec"]["containers"][0]["image"] == "my-model:v1"
    revisions = json.loads(helm("history", "one", "-o", "json"))
    assert [revision["status"] for revision in revisions] == ["superseded", "superseded", "deployed"]
    helm("uninstall", "one", *WAITING)
    assert product.list("deployments", ns) == []
    assert product.list("services", ns) == []
