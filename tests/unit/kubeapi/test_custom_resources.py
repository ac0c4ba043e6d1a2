"""Custom kinds at the edge: paths, discovery, OpenAPI and tables change at once; watches, warnings, refusals."""

import asyncio
from typing import Any

import pytest

from tests.unit.kubeapi.conftest import Kube

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
SAMPLES = "/apis/example.com/v1/namespaces/default/samples"


def definition(**spec: Any) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "properties": {
                    "size": {"type": "integer", "default": 1},
                    "note": {"type": "string"},
                    "list": {"type": "array", "items": {"type": "string"}},
                },
            }
        },
    }
    versions = [
        {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}, "subresources": {"status": {}},
         "additionalPrinterColumns": [{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}, {"name": "List", "type": "string", "jsonPath": ".spec.list"}, {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}]},
        {"name": "v1alpha1", "served": True, "storage": False, "deprecated": True, "deprecationWarning": "use v1", "schema": {"openAPIV3Schema": schema}},
    ]  # fmt: skip
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "samples.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "samples", "kind": "Sample", "shortNames": ["sm"], "categories": ["all"]},
            "versions": versions,
            **spec,
        },
    }


def sample(name: str = "a", version: str = "v1", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": f"example.com/{version}",
        "kind": "Sample",
        "metadata": {"name": name},
        "spec": spec,
    }


@pytest.fixture
async def samples(kube: Kube) -> Kube:
    """The server with the definition in force and one object."""
    assert (await kube.call("POST", CRDS, definition()))[0] == 201
    assert (await kube.call("POST", SAMPLES, sample(size=3, list=["x"])))[0] == 201
    return kube


async def test_discovery_and_openapi_follow_at_once(kube: Kube) -> None:
    await kube.get("/apis", Accept=AGGREGATED)
    before = kube.headers["ETag"]
    index = await kube.get("/openapi/v3")
    assert (await kube.call("GET", "/apis/example.com"))[0] == 404
    await kube.call("POST", CRDS, definition())
    document = await kube.get("/apis", Accept=AGGREGATED)
    assert kube.headers["ETag"] != before
    group = next(item for item in document["items"] if item["metadata"].get("name") == "example.com")
    assert [version["version"] for version in group["versions"]] == ["v1", "v1alpha1"]
    (resource,) = group["versions"][0]["resources"]
    assert resource == {
        "resource": "samples",
        "responseKind": {"group": "example.com", "version": "v1", "kind": "Sample"},
        "scope": "Namespaced",
        "singularResource": "sample",
        "verbs": sorted(["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]),
        "shortNames": ["sm"],
        "categories": ["all"],
        "subresources": [
            {
                "subresource": "status",
                "responseKind": {"group": "example.com", "version": "v1", "kind": "Sample"},
                "verbs": ["get", "patch", "update"],
            }
        ],
    }
    listed = await kube.get("/apis/example.com/v1")
    assert [one["name"] for one in listed["resources"]] == ["samples", "samples/status"]
    after = await kube.get("/openapi/v3")
    assert set(after["paths"]) - set(index["paths"]) == {"apis/example.com/v1", "apis/example.com/v1alpha1"}
    assert "/apis/example.com/v1" in (await kube.get("/"))["paths"]


async def test_the_openapi_document_says_what_the_definition_does(samples: Kube) -> None:
    url = (await samples.get("/openapi/v3"))["paths"]["apis/example.com/v1"]["serverRelativeURL"]
    document = await samples.get(url)
    schema = document["components"]["schemas"]["com.example.v1.Sample"]
    assert schema["properties"]["spec"]["properties"]["size"] == {"type": "integer", "default": 1}
    assert schema["x-kubernetes-group-version-kind"] == [
        {"group": "example.com", "version": "v1", "kind": "Sample"}
    ]
    patch = document["paths"]["/apis/example.com/v1/namespaces/{namespace}/samples/{name}"]["patch"]
    assert "application/strategic-merge-patch+json" not in patch["requestBody"]["content"]
    assert "application/apply-patch+yaml" in patch["requestBody"]["content"]
    changed = definition()
    changed["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"][
        "more"
    ] = {"type": "string"}
    status, _ = await samples.call(
        "PATCH", f"{CRDS}/samples.example.com", changed, content_type="application/merge-patch+json"
    )
    assert status == 200
    assert (await samples.get("/openapi/v3"))["paths"]["apis/example.com/v1"]["serverRelativeURL"] != url


async def test_a_table_has_the_definitions_columns(samples: Kube) -> None:
    table = await samples.get(SAMPLES, Accept=TABLE)
    assert [(column["name"], column["type"]) for column in table["columnDefinitions"]] == [
        ("Name", "string"),
        ("Size", "integer"),
        ("List", "string"),
        ("Age", "date"),
    ]
    (row,) = table["rows"]
    assert row["cells"][:3] == ["a", 3, '["x"]']
    assert row["cells"][3].endswith("s")


async def test_a_version_that_is_deprecated_says_so(samples: Kube) -> None:
    status, document = await samples.call("GET", SAMPLES.replace("/v1/", "/v1alpha1/"))
    assert (status, document["items"][0]["apiVersion"]) == (200, "example.com/v1alpha1")
    assert '"use v1"' in samples.headers["Warning"]


async def test_unknown_and_double_fields_are_named_by_path(samples: Kube) -> None:
    body = b'{"apiVersion":"example.com/v1","kind":"Sample","metadata":{"name":"b"},"spec":{"size":1,"size":2,"foo":1},"bar":1}'
    status, document = await samples.call("POST", f"{SAMPLES}?fieldValidation=Strict", body)
    assert status == 400
    assert document["message"].endswith(
        'strict decoding error: duplicate field "spec.size", unknown field "spec.foo", unknown field "bar"'
    )
    status, document = await samples.call("POST", SAMPLES, body)
    assert (status, document["spec"]) == (201, {"size": 2})
    assert 'unknown field \\"spec.foo\\"' in samples.headers.getall("Warning")[1]


async def test_a_strategic_merge_patch_is_no_language_of_custom_kinds(samples: Kube) -> None:
    status, document = await samples.call(
        "PATCH", f"{SAMPLES}/a", {"spec": {"size": 2}}, content_type="application/strategic-merge-patch+json"
    )
    assert (status, document["reason"]) == (415, "UnsupportedMediaType")


async def test_a_watch_ends_with_its_kind(samples: Kube) -> None:
    watching = asyncio.create_task(samples.watch(f"{SAMPLES}?watch=true&allowWatchBookmarks=false", 99))
    await asyncio.sleep(0.05)
    await samples.call("POST", SAMPLES, sample("b"))
    await asyncio.sleep(0.05)
    changed = {"spec": {"names": {"shortNames": ["smp"]}}}
    await samples.call(
        "PATCH", f"{CRDS}/samples.example.com", changed, content_type="application/merge-patch+json"
    )
    events = await watching
    assert [(event["type"], event["object"]["metadata"]["name"]) for event in events] == [
        ("ADDED", "a"),
        ("ADDED", "b"),
    ]


async def test_a_body_that_is_no_object_is_refused(samples: Kube) -> None:
    for body in (b"[]", b'"x"', b"{", b'{"apiVersion":"example.com/v1","kind":"Sample","metadata":5}'):
        status, document = await samples.call("POST", SAMPLES, body)
        assert (status, document["kind"]) == (400, "Status")


async def test_collections_are_deleted_and_scales_are_not_offered(samples: Kube) -> None:
    await samples.call("POST", SAMPLES, sample("b"))
    status, document = await samples.call("DELETE", SAMPLES)
    assert (status, len(document["items"])) == (200, 2)
    assert (await samples.get(SAMPLES))["items"] == []
    assert (await samples.call("GET", f"{SAMPLES}/a/scale"))[0] == 404


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
async def test_a_status_holds_what_its_schema_knows_too(kube: Kube, method: str) -> None:
    wanted = definition()
    schema = wanted["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    counted = {"ready": {"type": "integer"}, "phase": {"type": "string", "default": "New"}}
    schema["properties"]["status"] = {"type": "object", "properties": counted}
    await kube.call("POST", CRDS, wanted)
    _, created = await kube.call("POST", SAMPLES, sample())
    status = {"ready": 1, "unknown": {"deep": [1]}}
    body = {**created, "status": status} if method == "PUT" else {"status": status}
    code, written = await kube.call(
        method,
        f"{SAMPLES}/a/status",
        body,
        content_type="application/merge-patch+json" if method == "PATCH" else "application/json",
    )
    assert (code, written["status"]) == (200, {"ready": 1, "phase": "New"})
    assert (await kube.get(f"{SAMPLES}/a"))["status"] == {"ready": 1, "phase": "New"}
