import json
from typing import Any

import pytest
import yaml

from tests.unit.kubeapi.conftest import PODS, Kube, pod

DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"


def deployment(name: str = "web", replicas: int = 3) -> dict[str, Any]:
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "c", "image": "i:1"}]},
            },
        },
    }


async def test_a_created_object_is_answered_as_stored(kube: Kube) -> None:
    status, document = await kube.call("POST", PODS, pod())
    assert (status, document["metadata"]["namespace"], document["status"]["phase"]) == (
        201,
        "default",
        "Pending",
    )
    assert await kube.get(f"{PODS}/web") == document


async def test_yaml_bodies_are_read(kube: Kube) -> None:
    body = yaml.safe_dump(pod(labels={"on": "2026-01-02"})).replace("'2026-01-02'", "2026-01-02").encode()
    status, document = await kube.call("POST", PODS, body, content_type="application/yaml")
    assert (status, document["metadata"]["labels"]) == (201, {"on": "2026-01-02"})


@pytest.mark.parametrize(
    ("body", "content_type", "code", "message"),
    [
        (b"\xa0", "application/cbor", 415, None),
        (b"{", "application/json", 400, None),
        (b"a: [", "application/yaml", 400, None),
        (json.dumps({**pod(), "kind": "Service"}).encode(), "application/json", 400, None),
        (
            json.dumps({**pod(), "metadata": {"name": "a", "namespace": "other"}}).encode(),
            "application/json",
            400,
            "the namespace of the provided object does not match the namespace sent on the request",
        ),
        (b"x" * (3 * 1024 * 1024 + 1), "application/json", 413, "Request entity too large: limit is 3145728"),
    ],
)
async def test_bodies_that_cannot_be_used_are_refused(
    kube: Kube, body: bytes, content_type: str, code: int, message: str | None
) -> None:
    status, document = await kube.call("POST", PODS, body, content_type=content_type)
    assert status == code, document
    assert message is None or document["message"] == message


async def test_unknown_fields_warn_unless_told_otherwise(kube: Kube) -> None:
    body = {**pod("a"), "spec": {**pod()["spec"], "colour": "red"}}
    status, _ = await kube.call("POST", PODS, body)
    assert (status, kube.headers["Warning"]) == (201, '299 - "unknown field \\"spec.colour\\""')
    body["metadata"]["name"] = "b"
    status, _ = await kube.call("POST", f"{PODS}?fieldValidation=Ignore", body)
    assert (status, "Warning" in kube.headers) == (201, False)
    body["metadata"]["name"] = "c"
    status, document = await kube.call("POST", f"{PODS}?fieldValidation=Strict", body)
    assert (status, document["message"]) == (
        400,
        'Pod in version "v1" cannot be handled as a Pod: strict decoding error: unknown field "spec.colour"',
    )
    status, document = await kube.call("POST", f"{PODS}?fieldValidation=Loose", body)
    assert (status, document["reason"]) == (422, "Invalid")


async def test_dry_run_stores_nothing(kube: Kube) -> None:
    status, document = await kube.call("POST", f"{PODS}?dryRun=All", pod())
    assert (status, document["metadata"]["name"]) == (201, "web")
    assert (await kube.call("GET", f"{PODS}/web"))[0] == 404
    status, document = await kube.call("POST", f"{PODS}?dryRun=Some", pod())
    assert (status, document["reason"]) == (422, "Invalid")


async def test_update_needs_the_revision_that_it_was_made_from(kube: Kube) -> None:
    _, created = await kube.call("POST", DEPLOYMENTS, deployment())
    created["spec"]["replicas"] = 4
    status, updated = await kube.call("PUT", f"{DEPLOYMENTS}/web", created)
    assert (status, updated["spec"]["replicas"]) == (200, 4)
    status, document = await kube.call("PUT", f"{DEPLOYMENTS}/web", created)
    assert (status, document["reason"]) == (409, "Conflict")


async def test_update_names_what_the_path_names(kube: Kube) -> None:
    await kube.call("POST", DEPLOYMENTS, deployment())
    status, document = await kube.call("PUT", f"{DEPLOYMENTS}/web", deployment("other"))
    assert (status, document["message"]) == (
        400,
        "the name of the object (other) does not match the name on the URL (web)",
    )


@pytest.mark.parametrize(
    ("content_type", "patch", "replicas"),
    [
        (MERGE, {"spec": {"replicas": 7}}, 7),
        (STRATEGIC, {"spec": {"replicas": 8, "$retainKeys": ["replicas"]}}, 8),
        (JSON_PATCH, [{"op": "replace", "path": "/spec/replicas", "value": 9}], 9),
    ],
)
async def test_patches_of_each_kind(kube: Kube, content_type: str, patch: Any, replicas: int) -> None:
    await kube.call("POST", DEPLOYMENTS, deployment())
    if content_type == STRATEGIC:
        patch = {"spec": {"replicas": 8}}
    status, document = await kube.call("PATCH", f"{DEPLOYMENTS}/web", patch, content_type=content_type)
    assert (status, document["spec"]["replicas"]) == (200, replicas)


async def test_directives_of_a_strategic_patch_are_no_unknown_fields(kube: Kube) -> None:
    await kube.call("POST", DEPLOYMENTS, deployment())
    containers = [{"name": "c", "image": "i:2"}]
    order = {"$setElementOrder/containers": [{"name": "c"}], "containers": containers}
    patch = {"spec": {"template": {"spec": order}}}
    status, document = await kube.call(
        "PATCH", f"{DEPLOYMENTS}/web?fieldValidation=Strict", patch, content_type=STRATEGIC
    )
    assert (status, document["spec"]["template"]["spec"]["containers"][0]["image"]) == (200, "i:2")


async def test_another_patch_is_unsupported(kube: Kube) -> None:
    status, document = await kube.call("PATCH", f"{PODS}/web", {}, content_type="application/json")
    assert (status, document["reason"]) == (415, "UnsupportedMediaType")


async def test_status_is_written_apart(kube: Kube) -> None:
    await kube.call("POST", PODS, pod())
    patch = {"status": {"phase": "Running"}, "metadata": {"labels": {"a": "b"}}}
    _, plain = await kube.call("PATCH", f"{PODS}/web", patch, content_type=MERGE)
    assert (plain["status"]["phase"], plain["metadata"]["labels"]) == ("Pending", {"a": "b"})
    _, document = await kube.call("PATCH", f"{PODS}/web/status", patch, content_type=MERGE)
    assert document["status"]["phase"] == "Running"
    assert (await kube.get(f"{PODS}/web/status")) == document


async def test_scale_is_a_view(kube: Kube) -> None:
    await kube.call("POST", DEPLOYMENTS, deployment())
    scale = await kube.get(f"{DEPLOYMENTS}/web/scale")
    assert (scale["kind"], scale["apiVersion"], scale["spec"]) == ("Scale", "autoscaling/v1", {"replicas": 3})
    scale["spec"]["replicas"] = 5
    status, document = await kube.call("PUT", f"{DEPLOYMENTS}/web/scale", scale)
    assert (status, document["spec"]["replicas"]) == (200, 5)
    status, _ = await kube.call(
        "PATCH", f"{DEPLOYMENTS}/web/scale", {"spec": {"replicas": 6}}, content_type=MERGE
    )
    assert status == 200
    assert (await kube.get(f"{DEPLOYMENTS}/web"))["spec"]["replicas"] == 6


async def test_a_deleted_configmap_leaves_a_success(kube: Kube) -> None:
    path = "/api/v1/namespaces/default/configmaps"
    _, created = await kube.call(
        "POST", path, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}
    )
    status, document = await kube.call("DELETE", f"{path}/c")
    assert (status, document["status"], document["details"]) == (
        200,
        "Success",
        {"name": "c", "kind": "configmaps", "uid": created["metadata"]["uid"]},
    )


async def test_delete_options_come_in_the_body_or_the_query(kube: Kube) -> None:
    await kube.call("POST", PODS, pod())
    await kube.call("POST", f"{PODS}/web/binding", {"target": {"kind": "Node", "name": "here"}})
    options = {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 7}
    status, document = await kube.call("DELETE", f"{PODS}/web", options)
    assert (status, document["metadata"]["deletionGracePeriodSeconds"]) == (200, 7)
    options = {"preconditions": {"uid": "another"}}
    status, document = await kube.call("DELETE", f"{PODS}/web", options)
    assert (status, document["reason"]) == (409, "Conflict")
    await kube.call("DELETE", f"{PODS}/web?gracePeriodSeconds=0")
    assert (await kube.call("GET", f"{PODS}/web"))[0] == 404


async def test_a_dry_delete_deletes_nothing(kube: Kube) -> None:
    await kube.call("POST", PODS, pod())
    for query, body in (("?dryRun=All", None), ("", {"dryRun": ["All"]})):
        status, _ = await kube.call("DELETE", f"{PODS}/web{query}", body)
        assert status == 200
        await kube.get(f"{PODS}/web")


async def test_a_collection_is_deleted_by_selector(kube: Kube) -> None:
    for name, app in (("a", "x"), ("b", "y"), ("c", "x")):
        await kube.call("POST", PODS, pod(name, labels={"app": app}))
    status, document = await kube.call("DELETE", f"{PODS}?labelSelector=app%3Dx&gracePeriodSeconds=0")
    assert (status, [i["metadata"]["name"] for i in document["items"]]) == (200, ["a", "c"])
    assert [i["metadata"]["name"] for i in (await kube.get(PODS))["items"]] == ["b"]


async def test_a_pod_is_bound_once(kube: Kube) -> None:
    await kube.call("POST", PODS, pod())
    binding = {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": "web"},
        "target": {"kind": "Node", "name": "here"},
    }
    assert (await kube.call("POST", f"{PODS}/web/binding", binding))[0] == 201
    assert (await kube.get(f"{PODS}/web"))["spec"]["nodeName"] == "here"
    assert (await kube.call("POST", "/api/v1/namespaces/default/bindings", binding))[0] == 409


@pytest.mark.parametrize("version", ["policy/v1", "policy/v1beta1"])
async def test_an_eviction_deletes(kube: Kube, version: str) -> None:
    await kube.call("POST", PODS, pod())
    eviction = {
        "apiVersion": version,
        "kind": "Eviction",
        "metadata": {"name": "web"},
        "deleteOptions": {"gracePeriodSeconds": 0},
    }
    assert (await kube.call("POST", f"{PODS}/web/eviction", eviction))[0] == 201
    assert (await kube.call("GET", f"{PODS}/web"))[0] == 404


async def test_an_eviction_that_a_budget_forbids_says_when_to_come_again(kube: Kube) -> None:
    created = (
        await kube.call("POST", PODS, {**pod(), "metadata": {"name": "web", "labels": {"app": "web"}}})
    )[1]
    created["status"] = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    assert (await kube.call("PUT", f"{PODS}/web/status", created))[0] == 200
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "web"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}},
    }
    path = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
    assert (await kube.call("POST", path, budget))[0] == 201
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "web"}}
    code, status = await kube.call("POST", f"{PODS}/web/eviction", eviction)
    assert (code, status["reason"], status["details"]["retryAfterSeconds"]) == (429, "TooManyRequests", 10)
    assert status["message"] == "Cannot evict pod as it would violate the pod's disruption budget."
    assert status["details"]["causes"] == [
        {
            "reason": "DisruptionBudget",
            "message": "The disruption budget web is still being processed by the server.",
        }
    ]
    code, status = await kube.call("POST", f"{PODS}/other/eviction", eviction)
    assert (code, status["message"]) == (400, "name in URL does not match name in Eviction object")


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("POST", "/api/v1/pods", 405),
        ("PUT", PODS, 405),
        ("POST", f"{PODS}/web", 405),
        ("DELETE", "/api/v1/namespaces", 405),
        ("GET", "/api/v1/namespaces/default/bindings", 405),
        ("POST", f"{PODS}/web/log", 405),
        ("GET", f"{PODS}/web/colour", 404),
        ("GET", "/apis/metrics.k8s.io/v1beta1/nodes", 200),
        ("POST", "/apis/metrics.k8s.io/v1beta1/nodes", 405),
        ("GET", "/api/v1/unknown", 404),
        ("GET", "/apis/unknown/v1", 404),
        ("POST", "/healthz", 404),
    ],
)
async def test_methods_and_paths_that_are_not_served(kube: Kube, method: str, path: str, code: int) -> None:
    status, document = await kube.call(method, path, {} if method in ("POST", "PUT") else None)
    assert status == code, document


async def test_an_apply_takes_a_field_from_another_manager_only_by_force(kube: Kube) -> None:
    path, apply = f"{DEPLOYMENTS}/web", "application/apply-patch+yaml"
    await kube.call("PATCH", f"{path}?fieldManager=one", deployment(replicas=3), content_type=apply)
    status, refused = await kube.call(
        "PATCH", f"{path}?fieldManager=two", deployment(replicas=4), content_type=apply
    )
    assert (status, refused["reason"]) == (409, "Conflict")
    query = "fieldManager=two&force=true"
    status, taken = await kube.call("PATCH", f"{path}?{query}", deployment(replicas=4), content_type=apply)
    assert (status, taken["spec"]["replicas"]) == (200, 4)
