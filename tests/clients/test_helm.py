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


def test_a_release_goes_through_its_life(
    product: Product, ns: str, chart: Path, clients: Path, tmp_path: Path
) -> None:
    def helm(*words: str) -> str:
        environ = {**product.env, "HOME": str(tmp_path)}
        done = subprocess.run(
            [clients / "helm", *words, "-n", ns],
            env=environ,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def spec() -> dict[str, Any]:
        found: dict[str, Any] = product.get("deployments", "one-web", ns)["spec"]
        return found

    waiting = ("--wait", "--timeout", "60s")
    helm("install", "one", str(chart), *waiting)
    assert product.get("deployments", "one-web", ns)["status"]["readyReplicas"] == 1
    helm("upgrade", "one", str(chart), "--set", "replicas=2,tag=v2", *waiting)
    assert product.get("deployments", "one-web", ns)["status"]["readyReplicas"] == 2
    assert spec()["template"]["spec"]["containers"][0]["image"] == "my-model:v2"
    helm("rollback", "one", "1", *waiting)
    assert spec()["template"]["spec"]["containers"][0]["image"] == "my-model:v1"
    revisions = json.loads(helm("history", "one", "-o", "json"))
    assert [revision["status"] for revision in revisions] == ["superseded", "superseded", "deployed"]
    helm("uninstall", "one", *waiting)
    assert product.list("deployments", ns) == []
    assert product.list("services", ns) == []
