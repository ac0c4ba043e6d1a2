"""Deletions: what is asked for in body or query, preconditions, propagation, whole collections."""

from typing import Any

import pytest

from tests.unit.kubeapi.conftest import PODS, Kube, pod

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"


async def make(kube: Kube, *names: str, **metadata: Any) -> list[dict[str, Any]]:
    made = []
    for name in names:
        body = {"metadata": {"name": name, **metadata}}
        status, document = await kube.call("POST", CONFIG_MAPS, body)
        assert status == 201, document
        made.append(document)
    return made


async def left(kube: Kube) -> list[str]:
    return [item["metadata"]["name"] for item in (await kube.get(CONFIG_MAPS))["items"]]


async def test_what_is_gone_is_a_success_with_its_details(kube: Kube) -> None:
    (made,) = await make(kube, "a")
    assert await kube.call("DELETE", f"{CONFIG_MAPS}/a") == (200, {
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
        "details": {"name": "a", "kind": "configmaps", "uid": made["metadata"]["uid"]},
    })  # fmt: skip


async def test_preconditions_must_hold(kube: Kube) -> None:
    (made,) = await make(kube, "a")
    uid, revision = made["metadata"]["uid"], made["metadata"]["resourceVersion"]
    for wrong in ({"uid": "other"}, {"resourceVersion": "1"}, {"uid": uid, "resourceVersion": "1"}):
        status, document = await kube.call("DELETE", f"{CONFIG_MAPS}/a", {"preconditions": wrong})
        assert (status, document["reason"]) == (409, "Conflict")
        assert "Precondition failed:" in document["message"]
    right = {"preconditions": {"uid": uid, "resourceVersion": revision}}
    assert (await kube.call("DELETE", f"{CONFIG_MAPS}/a", right))[0] == 200


@pytest.mark.parametrize("place", ["body", "query"])
@pytest.mark.parametrize(
    ("policy", "finalizers"),
    [("Foreground", ["foregroundDeletion"]), ("Orphan", ["orphan"]), ("Background", None)],
)
async def test_propagation_in_body_and_query(
    kube: Kube, place: str, policy: str, finalizers: list[str] | None
) -> None:
    await make(kube, "a")
    query, body = (
        (f"?propagationPolicy={policy}", None) if place == "query" else ("", {"propagationPolicy": policy})
    )
    status, document = await kube.call("DELETE", f"{CONFIG_MAPS}/a{query}", body)
    assert status == 200
    assert document.get("metadata", {}).get("finalizers") == finalizers
    assert await left(kube) == ([] if finalizers is None else ["a"])
    if finalizers:
        assert document["metadata"]["deletionTimestamp"]


async def test_old_clients_say_orphan_dependents(kube: Kube) -> None:
    await make(kube, "a", "b", finalizers=["x.io/hold"])
    status, document = await kube.call("DELETE", f"{CONFIG_MAPS}/a?orphanDependents=true")
    assert (status, document["metadata"]["finalizers"]) == (200, ["x.io/hold", "orphan"])
    # Source: handlers/delete.go: what isn't gone at once is answered with 202 for those who asked to cascade so.
    status, document = await kube.call("DELETE", f"{CONFIG_MAPS}/b", {"orphanDependents": False})
    assert (status, document["metadata"]["finalizers"]) == (202, ["x.io/hold"])


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        ({"propagationPolicy": "Backwards"}, 422,
         'DeleteOptions.meta.k8s.io "" is invalid: propagationPolicy: Unsupported value: "Backwards": supported values: '
         '"Foreground", "Background", "Orphan", "nil"'),
        ({"propagationPolicy": "Orphan", "orphanDependents": True}, 422,
         'DeleteOptions.meta.k8s.io "" is invalid: propagationPolicy: Invalid value: "Orphan": orphanDependents and '
         "deletionPropagation cannot be both set"),
        ({"dryRun": ["Some"]}, 422,
         'DeleteOptions.meta.k8s.io "" is invalid: dryRun: Unsupported value: ["Some"]: supported values: "All"'),
        ({"kind": "Pod", "apiVersion": "v1"}, 400, "decoded object cannot be converted to DeleteOptions"),
        ({"gracePeriodSeconds": "soon"}, 400, None),
        ([], 400, None),
        (b"{", 400, None),
    ],
)  # fmt: skip
async def test_options_that_make_no_sense_are_refused(
    kube: Kube, body: Any, code: int, message: str | None
) -> None:
    await make(kube, "a")
    status, document = await kube.call("DELETE", f"{CONFIG_MAPS}/a", body)
    assert status == code, document
    assert message is None or document["message"] == message
    assert await left(kube) == ["a"]


@pytest.mark.parametrize("place", ["body", "query"])
async def test_a_dry_run_deletes_nothing(kube: Kube, place: str) -> None:
    await make(kube, "a", "b")
    query, body = ("?dryRun=All", None) if place == "query" else ("", {"dryRun": ["All"]})
    assert (await kube.call("DELETE", f"{CONFIG_MAPS}/a{query}", body))[0] == 200
    assert (await kube.call("DELETE", f"{CONFIG_MAPS}{query}", body))[0] == 200
    assert await left(kube) == ["a", "b"]


async def test_a_collection_is_deleted_by_what_is_selected(kube: Kube) -> None:
    await make(kube, "a", "b", labels={"app": "x"})
    await make(kube, "c", "d")
    status, document = await kube.call("DELETE", f"{CONFIG_MAPS}?labelSelector=app%3Dx")
    assert (status, document["kind"]) == (200, "ConfigMapList")
    assert [item["metadata"]["name"] for item in document["items"]] == ["a", "b"]
    status, document = await kube.call("DELETE", f"{CONFIG_MAPS}?fieldSelector=metadata.name%3Dc")
    assert await left(kube) == ["d"]


async def test_a_limit_deletes_a_page(kube: Kube) -> None:
    # Source: generic/registry/store.go, DeleteCollection: a limit of the client's own ends it after one page.
    await make(kube, "a", "b", "c")
    status, document = await kube.call("DELETE", f"{CONFIG_MAPS}?limit=2")
    assert (status, await left(kube)) == (200, ["c"])
    assert document["metadata"]["continue"]
    assert document["metadata"]["remainingItemCount"] == 1


async def test_a_collections_options_are_checked(kube: Kube) -> None:
    await make(kube, "a")
    for query in ("resourceVersionMatch=Exact", "limit=x", "labelSelector=a+b", "fieldSelector=data.x%3D1"):
        status, document = await kube.call("DELETE", f"{CONFIG_MAPS}?{query}")
        assert status in (400, 422), document
    status, document = await kube.call("DELETE", CONFIG_MAPS, {"preconditions": {"uid": "other"}})
    assert status == 409, document
    assert await left(kube) == ["a"]


async def test_grace_comes_from_query_and_body(kube: Kube) -> None:
    for name, query, body in (("a", "?gracePeriodSeconds=7", None), ("b", "", {"gracePeriodSeconds": 9})):
        await kube.call("POST", PODS, pod(name, nodeName="n"))
        status, document = await kube.call("DELETE", f"{PODS}/{name}{query}", body)
        expected = body["gracePeriodSeconds"] if body else 7
        assert (status, document["metadata"]["deletionGracePeriodSeconds"]) == (200, expected)
