"""What holds for every served kind at the edge: dry runs, system metadata, status apart from the rest, conflicts, tables."""

import copy
from typing import Any

import pytest

from pinnace.kube import kinds
from pinnace.kube.kinds import Kind
from tests.unit.api.test_every_kind import SAMPLES
from tests.unit.kubeapi.conftest import Kube

FIRST = {
    kind.resource: (kind, document)
    for kind, document in reversed(SAMPLES)
    if "create" in kind.verbs and len(kind.verbs) > 1
}
CASES = [pytest.param(*FIRST[resource], id=resource) for resource in sorted(FIRST)]
WITH_STATUS = [pytest.param(*FIRST[name], id=name) for name in sorted(FIRST) if FIRST[name][0].has_status]
MERGE, JSON_PATCH = "application/merge-patch+json", "application/json-patch+json"
# What a client may say of an object's own history, and nobody believes.
FORGED = {
    "uid": "forged", "creationTimestamp": "2001-01-01T00:00:00Z", "deletionTimestamp": "2001-01-01T00:00:00Z",
    "deletionGracePeriodSeconds": 7, "generation": 99, "selfLink": "/forged",
}  # fmt: skip
# Kinds with rules of their own about whole objects or updates that would hide what is looked at here.
NOT_UPDATED = {"events"}


def path_of(kind: Kind[Any]) -> str:
    root = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
    return f"{root}/namespaces/default/{kind.plural}" if kind.namespaced else f"{root}/{kind.plural}"


def sample(given: dict[str, Any], name: str = "sample") -> dict[str, Any]:
    document = copy.deepcopy(given)
    if document["metadata"].get("name") == "sample":
        document["metadata"]["name"] = name
    return document


async def make(kube: Kube, kind: Kind[Any], given: dict[str, Any]) -> dict[str, Any]:
    status, document = await kube.call("POST", path_of(kind), sample(given))
    assert status == 201, document
    made: dict[str, Any] = document
    return made


@pytest.mark.parametrize(("kind", "given"), CASES)
async def test_a_dry_run_of_each_verb_stores_nothing(
    kube: Kube, kind: Kind[Any], given: dict[str, Any]
) -> None:
    path = path_of(kind)
    before = kube.api.store.revision
    status, tried = await kube.call("POST", f"{path}?dryRun=All", sample(given))
    assert (status, kube.api.store.revision) == (201, before), tried
    assert tried["metadata"]["uid"]
    assert "resourceVersion" not in tried["metadata"]
    made = await make(kube, kind, given)
    before, url = kube.api.store.revision, f"{path}/{made['metadata']['name']}"
    labelled = {**made, "metadata": {**made["metadata"], "labels": {"tried": "x"}}}
    for method, body, media_type in (
        ("PUT", labelled, "application/json"),
        ("PATCH", {"metadata": {"labels": {"tried": "x"}}}, MERGE),
        ("DELETE", None, "application/json"),
    ):
        status, document = await kube.call(method, f"{url}?dryRun=All", body, content_type=media_type)
        assert (status, kube.api.store.revision) == (200, before), document
        if method != "DELETE":
            assert document["metadata"]["labels"]["tried"] == "x"
    if "deletecollection" in kind.verbs:
        status, _ = await kube.call("DELETE", f"{path}?dryRun=All")
        assert (status, kube.api.store.revision) == (200, before)
    assert (await kube.get(url))["metadata"] == made["metadata"]


@pytest.mark.parametrize(("kind", "given"), CASES)
async def test_nobody_forges_an_objects_history(kube: Kube, kind: Kind[Any], given: dict[str, Any]) -> None:
    forged = sample(given)
    forged["metadata"] |= FORGED
    status, made = await kube.call("POST", path_of(kind), forged)
    assert status == 201, made
    told = {name: made["metadata"].get(name) for name in FORGED}
    assert not [name for name, value in FORGED.items() if told[name] == value]
    url = f"{path_of(kind)}/{made['metadata']['name']}"
    other = {name: value for name, value in FORGED.items() if name != "uid"}
    for place in (url, f"{url}/status") if kind.has_status else (url,):
        newest = await kube.get(url)
        newest["metadata"] |= other
        status, document = await kube.call("PUT", place, newest)
        assert status == 200, document
        assert {name: document["metadata"].get(name) for name in FORGED} == told
        status, document = await kube.call("PATCH", place, {"metadata": other}, content_type=MERGE)
        assert status == 200, document
        assert {name: document["metadata"].get(name) for name in FORGED} == told


@pytest.mark.parametrize(("kind", "given"), CASES)
async def test_a_write_to_what_has_changed_is_a_conflict(
    kube: Kube, kind: Kind[Any], given: dict[str, Any]
) -> None:
    made = await make(kube, kind, given)
    url = f"{path_of(kind)}/{made['metadata']['name']}"
    stale = {**made, "metadata": {**made["metadata"], "labels": {"new": "x"}}}
    status, document = await kube.call(
        "PATCH", url, {"metadata": {"labels": {"old": "y"}}}, content_type=MERGE
    )
    assert status == 200, document
    for method, body, media_type in (
        ("PUT", stale, "application/json"),
        ("PUT", {**document, "metadata": {**document["metadata"], "uid": "another"}}, "application/json"),
        (
            "PATCH",
            {"metadata": {"resourceVersion": made["metadata"]["resourceVersion"], "labels": {"a": "b"}}},
            MERGE,
        ),
    ):
        status, refused = await kube.call(method, url, body, content_type=media_type)
        assert (status, refused["reason"]) == (409, "Conflict"), refused
    test = [
        {"op": "test", "path": "/metadata/labels/old", "value": "z"},
        {"op": "add", "path": "/metadata/labels/a", "value": "b"},
    ]
    status, refused = await kube.call("PATCH", url, test, content_type=JSON_PATCH)
    assert (status, refused["reason"]) == (422, "Invalid"), refused
    assert (await kube.get(url))["metadata"]["labels"] == document["metadata"]["labels"]


@pytest.mark.parametrize(("kind", "given"), WITH_STATUS)
async def test_the_status_is_written_apart(kube: Kube, kind: Kind[Any], given: dict[str, Any]) -> None:
    made = await make(kube, kind, given)
    url = f"{path_of(kind)}/{made['metadata']['name']}"
    before = await kube.get(url)
    # Through the object itself the status stays as it was, whatever is sent.
    changed = {**before, "status": {}, "metadata": {**before["metadata"], "annotations": {"a": "b"}}}
    status, document = await kube.call("PUT", url, changed)
    assert status == 200, document
    assert document.get("status") == before.get("status")
    assert document["metadata"]["annotations"]["a"] == "b"
    # Through the status nothing else changes.
    broken = {name: value for name, value in document.items() if name not in ("spec", "data")}
    status, after = await kube.call("PUT", f"{url}/status", broken)
    assert status == 200, after
    assert after.get("spec") == document.get("spec")
    assert after["metadata"].get("generation") == document["metadata"].get("generation")


@pytest.mark.parametrize(("kind", "given"), CASES)
async def test_every_kind_is_shown_in_every_form(kube: Kube, kind: Kind[Any], given: dict[str, Any]) -> None:
    made = await make(kube, kind, given)
    path, name = path_of(kind), made["metadata"]["name"]
    table = await kube.get(path, Accept="application/json;as=Table;v=v1;g=meta.k8s.io")
    assert table["columnDefinitions"][0]["name"] in ("Name", "Last Seen")
    assert all(len(row["cells"]) == len(table["columnDefinitions"]) for row in table["rows"])
    partial = await kube.get(
        f"{path}/{name}", Accept="application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
    )
    assert partial == {
        "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": made["metadata"],
    }  # fmt: skip
    listed = await kube.get(f"{path}?fieldSelector=metadata.name%3D{name}")
    assert (listed["kind"], [item["metadata"]["uid"] for item in listed["items"]]) == (
        f"{kind.kind}List", [made["metadata"]["uid"]],
    )  # fmt: skip
    events = await kube.watch(f"{path}?watch=1&fieldSelector=metadata.name%3D{name}", 1)
    assert (events[0]["type"], events[0]["object"]) == ("ADDED", await kube.get(f"{path}/{name}"))


def test_every_kind_that_can_be_made_is_looked_at() -> None:
    known = {kind.resource for kind in kinds.STORED if {"create", "list"} <= set(kind.verbs)}
    assert known - set(FIRST) <= {"pinnace.dev/containers", "pinnace.dev/images", "pinnace.dev/volumes"}
