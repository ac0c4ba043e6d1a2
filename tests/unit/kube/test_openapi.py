"""The OpenAPI v3 documents: what kubectl looks for in them."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from pinnace.kube import openapi
from pinnace.kube.kinds import SERVED

ROOT = Path(__file__).resolve().parents[3]
GROUP_VERSIONS = sorted({(kind.group, kind.version) for kind in SERVED})


def document(group: str, version: str) -> dict[str, Any]:
    return json.loads(openapi.openapi_v3(group, version))


def test_published_schemas_are_what_the_generator_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("kubernetes_validate")
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import generate_openapi

    assert gzip.decompress(generate_openapi.TARGET.read_bytes()) == generate_openapi.render()


def test_the_index_names_every_served_group_and_version() -> None:
    paths = json.loads(openapi.openapi_v3_index())["paths"]
    assert paths.keys() == {f"apis/{g}/{v}" if g else f"api/{v}" for g, v in GROUP_VERSIONS}
    assert paths["apis/apps/v1"]["serverRelativeURL"].startswith("/openapi/v3/apis/apps/v1?hash=")


@pytest.mark.parametrize(("group", "version"), GROUP_VERSIONS)
def test_every_reference_is_answered_within_the_document(group: str, version: str) -> None:
    found = document(group, version)
    named = set(openapi._references(found))
    assert named <= found["components"]["schemas"].keys()
    assert found["paths"]
    operations = [
        op["operationId"] for item in found["paths"].values() for op in item.values() if isinstance(op, dict)
    ]
    assert operations


def test_a_group_that_is_not_served_has_no_document() -> None:
    with pytest.raises(KeyError):
        openapi.openapi_v3("example.com", "v1")


def test_a_patch_operation_says_what_kubectl_apply_insists_on() -> None:
    patch = document("apps", "v1")["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"][
        "patch"
    ]
    assert patch["x-kubernetes-group-version-kind"] == {
        "group": "apps",
        "version": "v1",
        "kind": "Deployment",
    }
    assert patch["x-kubernetes-action"] == "patch"
    assert {"fieldValidation", "fieldManager", "dryRun"} <= {p["name"] for p in patch["parameters"]}
    assert "application/strategic-merge-patch+json" in patch["requestBody"]["content"]


def _undescribed(part: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in part.items() if key != "description"}


def test_schemas_carry_types_merge_keys_and_formats() -> None:
    schemas = document("", "v1")["components"]["schemas"]
    spec = schemas["io.k8s.api.core.v1.PodSpec"]
    assert spec["required"] == ["containers"]
    assert _undescribed(spec["properties"]["containers"]) == {
        "type": "array",
        "items": {"allOf": [{"$ref": "#/components/schemas/io.k8s.api.core.v1.Container"}]},
        "x-kubernetes-list-map-keys": ["name"],
        "x-kubernetes-list-type": "map",
        "x-kubernetes-patch-merge-key": "name",
        "x-kubernetes-patch-strategy": "merge",
    }
    seconds = _undescribed(spec["properties"]["activeDeadlineSeconds"])
    assert seconds == {"type": "integer", "format": "int64"}
    gvk = schemas["io.k8s.api.core.v1.Pod"]["x-kubernetes-group-version-kind"]
    assert gvk == [{"group": "", "version": "v1", "kind": "Pod"}]


def test_bodies_of_subresources_are_of_their_own_kind() -> None:
    scale = document("apps", "v1")["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale"][
        "put"
    ]
    assert scale["x-kubernetes-group-version-kind"] == {
        "group": "autoscaling",
        "version": "v1",
        "kind": "Scale",
    }
    content = scale["requestBody"]["content"]["application/json"]["schema"]
    assert content == {"$ref": "#/components/schemas/io.k8s.api.autoscaling.v1.Scale"}


def test_kinds_without_a_published_schema_have_one_that_follows_from_their_struct() -> None:
    schemas = document("metrics.k8s.io", "v1beta1")["components"]["schemas"]
    pod = schemas["io.k8s.metrics.pkg.apis.metrics.v1beta1.PodMetrics"]["properties"]
    assert pod["timestamp"] == {"type": "string", "description": "When it was measured."}
    assert pod["containers"]["items"]["allOf"] == [
        {"$ref": "#/components/schemas/io.k8s.metrics.pkg.apis.metrics.v1beta1.ContainerMetrics"}
    ]
