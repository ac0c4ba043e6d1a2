import asyncio
from typing import Any

import pytest

from pinnace.base.errors import ApiError
from pinnace.kubeapi.query import parse_query
from pinnace.kubeapi.watching import Start, plan_start
from pinnace.store.interface import Revision
from tests.unit.kubeapi.conftest import PODS, Kube, pod

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


def seen(events: list[Any]) -> list[tuple[str, str]]:
    return [(event["type"], event["object"]["metadata"].get("name", "")) for event in events]


# Expected: the table "watch" in Kubernetes' API concepts page.
@pytest.mark.parametrize(
    ("query", "start"),
    [
        ("watch=1", Start(None, True, False)),
        ("watch=1&resourceVersion=0", Start(None, True, False)),
        ("watch=1&resourceVersion=7", Start(Revision(7), False, False)),
        (
            "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true",
            Start(None, True, True),
        ),
        ("sendInitialEvents=true&resourceVersionMatch=NotOlderThan", Start(None, True, False)),
        (
            "sendInitialEvents=false&resourceVersionMatch=NotOlderThan&resourceVersion=7",
            Start(Revision(7), False, False),
        ),
        ("sendInitialEvents=false&resourceVersionMatch=NotOlderThan", Start(None, False, False)),
    ],
)
def test_a_watch_starts_where_it_is_asked_to(query: str, start: Start) -> None:
    assert plan_start(parse_query(query)) == start


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("resourceVersionMatch=NotOlderThan&resourceVersion=7", 422),
        ("sendInitialEvents=true", 422),
        ("sendInitialEvents=true&resourceVersionMatch=Exact", 422),
        ("resourceVersion=soon", 400),
    ],
)
def test_contradictions_are_refused(query: str, code: int) -> None:
    with pytest.raises(ApiError) as caught:
        plan_start(parse_query(query))
    assert caught.value.code == code


async def test_present_objects_come_first_then_changes(kube: Kube) -> None:
    await kube.call("POST", PODS, pod("a"))
    watching = asyncio.create_task(kube.watch(f"{PODS}?watch=1", 4))
    await asyncio.sleep(0.05)
    await kube.call("POST", PODS, pod("b"))
    await kube.call(
        "PATCH",
        f"{PODS}/a",
        {"metadata": {"labels": {"x": "y"}}},
        content_type="application/merge-patch+json",
    )
    await kube.call("DELETE", f"{PODS}/b?gracePeriodSeconds=0")
    assert seen(await watching) == [("ADDED", "a"), ("ADDED", "b"), ("MODIFIED", "a"), ("DELETED", "b")]


async def test_a_watch_from_a_revision_replays_what_came_after(kube: Kube) -> None:
    listed = await kube.get(PODS)
    await kube.call("POST", PODS, pod("a"))
    revision = listed["metadata"]["resourceVersion"]
    events = await kube.watch(f"{PODS}?watch=1&resourceVersion={revision}", 1)
    assert seen(events) == [("ADDED", "a")]


async def test_an_object_that_stops_matching_is_deleted_for_the_watcher(kube: Kube) -> None:
    merge = "application/merge-patch+json"
    await kube.call("POST", PODS, pod("a", labels={"app": "x"}))
    before = kube.api.store.revision
    await kube.call("PATCH", f"{PODS}/a", {"metadata": {"labels": {"app": "y"}}}, content_type=merge)
    left = kube.api.store.revision
    await kube.call("PATCH", f"{PODS}/a", {"metadata": {"labels": {"app": "z"}}}, content_type=merge)
    await kube.call("PATCH", f"{PODS}/a", {"metadata": {"labels": {"app": "x"}}}, content_type=merge)
    events = await kube.watch(f"{PODS}?watch=1&resourceVersion={before}&labelSelector=app%3Dx", 2)
    assert seen(events) == [("DELETED", "a"), ("ADDED", "a")]
    gone = events[0]["object"]["metadata"]
    assert (gone["labels"], gone["resourceVersion"]) == ({"app": "x"}, str(left))


async def test_one_object_can_be_watched(kube: Kube) -> None:
    await kube.call("POST", PODS, pod("a"))
    await kube.call("POST", PODS, pod("b"))
    assert seen(await kube.watch(f"{PODS}?watch=1&fieldSelector=metadata.name%3Db", 1)) == [("ADDED", "b")]
    assert seen(await kube.watch("/api/v1/watch/namespaces/default/pods/b", 1)) == [("ADDED", "b")]


async def test_initial_events_end_with_a_marked_bookmark(kube: Kube) -> None:
    await kube.call("POST", PODS, pod("a"))
    query = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    events = await kube.watch(f"{PODS}?{query}", 2)
    assert seen(events) == [("ADDED", "a"), ("BOOKMARK", "")]
    assert events[1]["object"] == {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {
            "resourceVersion": str(kube.api.store.revision),
            "annotations": {"k8s.io/initial-events-end": "true"},
        },
    }


async def test_bookmarks_tell_of_progress_elsewhere(kube: Kube) -> None:
    watching = asyncio.create_task(
        kube.watch(
            "/api/v1/namespaces/default/configmaps?watch=1&allowWatchBookmarks=true&timeoutSeconds=1", 2
        )
    )
    await asyncio.sleep(0.02)
    await kube.call("POST", PODS, pod("a"))
    events = await watching
    assert [event["type"] for event in events] == ["BOOKMARK", "BOOKMARK"]
    assert events[1]["object"]["metadata"]["resourceVersion"] == str(kube.api.store.revision)


async def test_a_watch_ends_when_its_time_is_over(kube: Kube) -> None:
    assert await kube.watch(f"{PODS}?watch=1&timeoutSeconds=1", 1) == []


async def test_a_forgotten_revision_is_an_error_event(kube: Kube) -> None:
    await kube.call("POST", PODS, pod("a"))
    await kube.call("POST", PODS, pod("b"))
    await kube.api.store.compact(kube.api.store.revision)
    (event,) = await kube.watch(f"{PODS}?watch=1&resourceVersion=1", 1)
    assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")


async def test_a_watched_table_has_its_columns_once(kube: Kube) -> None:
    await kube.call("POST", PODS, pod("a"))
    await kube.call("POST", PODS, pod("b"))
    first, second = await kube.watch(f"{PODS}?watch=1", 2, Accept=TABLE)
    assert first["object"]["columnDefinitions"][0]["name"] == "Name"
    assert second["object"]["columnDefinitions"] == []
    assert second["object"]["rows"][0]["cells"][0] == "b"


async def test_a_client_that_leaves_ends_its_watch(kube: Kube) -> None:
    from pinnace.store.log_store import LogStore

    store = kube.api.store
    assert isinstance(store, LogStore)
    await kube.call("POST", PODS, pod("a"))
    await kube.watch(f"{PODS}?watch=1", 1)
    async with asyncio.timeout(5):
        while len(store._watches):  # noqa: ASYNC110 - the store tells nobody that a watch has gone
            await asyncio.sleep(0.01)
