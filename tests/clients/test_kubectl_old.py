"""A kubectl of before 1.27, as distributions carry it: it reads OpenAPI v2 as protobuf, or does nothing."""

from pathlib import Path

import pytest

from tests.clients.conftest import Kubectl
from tests.clients.test_kubectl_api import PATTERN_1


@pytest.fixture
def old(kubectl: Kubectl, old_kubectl: str) -> Kubectl:
    return Kubectl(Path(old_kubectl), kubectl.kubeconfig, kubectl.home, kubectl.api, kubectl.world)


async def test_apply_validates_with_the_old_document(old: Kubectl) -> None:
    out = await old("apply", "-f", "-", stdin=PATTERN_1)
    assert out.splitlines() == [
        "deployment.apps/ml-inference created",
        "service/ml-inference-service created",
        "horizontalpodautoscaler.autoscaling/ml-inference-hpa created",
    ]
    out = await old("apply", "-f", "-", stdin=PATTERN_1.replace("replicas: 3", "replicas: 4"))
    assert "deployment.apps/ml-inference configured" in out
    assert "service/ml-inference-service unchanged" in out
    ran = await old.run("apply", "-f", "-", stdin=PATTERN_1.replace("replicas: 3", "replicass: 4"))
    assert (ran.code, 'unknown field "replicass" in io.k8s.api.apps.v1.DeploymentSpec' in ran.err) == (
        1,
        True,
    )
    assert "0/4" in await old("get", "deploy,svc")
    assert await old("diff", "-f", "-", stdin=PATTERN_1.replace("replicas: 3", "replicas: 4")) == ""


async def test_explain_reads_the_old_document(old: Kubectl) -> None:
    out = await old("explain", "deployment.spec.strategy")
    assert out.startswith("KIND:     Deployment\nVERSION:  apps/v1\n")
    assert "rollingUpdate\t<Object>" in out
    assert "terminationGracePeriodSeconds\t<integer>" in await old("explain", "pod", "--recursive")


async def test_create_dry_run_patch_and_delete(old: Kubectl) -> None:
    # The old document says which kinds take a dry run.
    out = await old("create", "configmap", "a", "--from-literal=x=y", "--dry-run=server", "-o", "name")
    assert out == "configmap/a\n"
    assert await old("get", "configmaps", "-o", "name") == ""
    assert await old("create", "configmap", "a", "--from-literal=x=y") == "configmap/a created\n"
    assert await old("patch", "configmap", "a", "-p", '{"data":{"x":"z"}}') == "configmap/a patched\n"
    assert await old("get", "configmap", "a", "-o", "jsonpath={.data.x}") == "z"
    assert await old("delete", "configmap", "a") == 'configmap "a" deleted\n'
