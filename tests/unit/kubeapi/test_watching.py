import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from pinnace.api.facade import Api
from pinnace.base.chance import Chance
from pinnace.base.clock import SystemClock
from pinnace.base.errors import ApiError
from pinnace.kube.objects.core_v1 import ConfigMap, Namespace
from pinnace.kube.objects.meta_v1 import ObjectMeta
from pinnace.kubeapi.list_options import read_list_options
from pinnace.kubeapi.query import parse_query
from pinnace.kubeapi.server import KubeServer
from pinnace.kubeapi.settings import World
from pinnace.kubeapi.watching import Start, plan_start
from pinnace.store.interface import Revision
from pinnace.store.log_store import LogStore
from pinnace.store.memory import MemoryStore
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
        (
            "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=7",
            Start(None, True, False, Revision(7)),
        ),
        ("watch=1&allowWatchBookmarks=true", Start(None, True, True)),
        ("sendInitialEvents=true&resourceVersionMatch=NotOlderThan", Start(None, True, False)),
        (
            "sendInitialEvents=false&resourceVersionMatch=NotOlderThan&resourceVersion=7",
            Start(Revision(7), False, False),
        ),
        ("sendInitialEvents=false&resourceVersionMatch=NotOlderThan", Start(None, False, False)),
    ],
)
def test_a_watch_starts_where_it_is_asked_to(query: str, start: Start) -> None:
    assert plan_start(read_list_options(parse_query(query), watch=True)) == start


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
        plan_start(read_list_options(parse_query(query), watch=True))
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


async def test_a_watch_that_names_no_revision_marks_the_end_of_the_present(kube: Kube) -> None:
    # Source: apimachinery, meta/internalversion/defaults.go: such a watch is a streaming list.
    await kube.call("POST", PODS, pod("a"))
    events = await kube.watch(f"{PODS}?watch=1&allowWatchBookmarks=true", 2)
    assert events[1]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


async def test_bookmarks_come_among_events_too(kube: Kube) -> None:
    listed = await kube.get(PODS)

    async def write() -> None:
        for n in range(40):
            await kube.call("POST", PODS, pod(f"p{n}"))
            await asyncio.sleep(0.005)

    writing = asyncio.create_task(write())
    query = f"watch=1&allowWatchBookmarks=true&resourceVersion={listed['metadata']['resourceVersion']}"
    events = await kube.watch(f"{PODS}?{query}", 42)
    await writing
    revisions = [int(event["object"]["metadata"]["resourceVersion"]) for event in events]
    assert {"ADDED", "BOOKMARK"} == {event["type"] for event in events}
    assert revisions == sorted(revisions)


async def test_a_streamed_list_waits_for_no_revision_of_the_future(kube: Kube) -> None:
    query = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=999"
    (event,) = await kube.watch(f"{PODS}?{query}", 1)
    assert (event["type"], event["object"]["reason"]) == ("ERROR", "Timeout")


async def test_a_revision_of_another_store_makes_the_client_list_again(kube: Kube) -> None:
    (event,) = await kube.watch(f"{PODS}?watch=1&resourceVersion=999", 1)
    assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")


async def test_get_with_watch_is_a_get(kube: Kube) -> None:
    # Source: apiserver/pkg/endpoints/request/requestinfo.go: only a collection can be watched that way.
    await kube.call("POST", PODS, pod("a"))
    assert (await kube.get(f"{PODS}/a?watch=true"))["kind"] == "Pod"


async def test_the_name_in_the_path_and_in_the_selector_must_agree(kube: Kube) -> None:
    path = "/api/v1/watch/namespaces/default/pods/b?fieldSelector=metadata.name%3Da"
    status, document = await kube.call("GET", path)
    assert (status, document["message"]) == (400, "fieldSelector metadata.name doesn't match requested name")


async def test_an_object_that_the_watcher_never_saw_is_not_deleted_for_it(kube: Kube) -> None:
    listed = await kube.get(PODS)
    await kube.call("POST", PODS, pod("a", labels={"app": "x"}))
    await kube.call("DELETE", f"{PODS}/a?gracePeriodSeconds=0")
    await kube.call("POST", PODS, pod("b", labels={"app": "y"}))
    query = f"watch=1&labelSelector=app%3Dy&resourceVersion={listed['metadata']['resourceVersion']}"
    assert seen(await kube.watch(f"{PODS}?{query}", 1)) == [("ADDED", "b")]


async def test_yaml_is_no_stream(kube: Kube) -> None:
    status, text = await kube.call("GET", f"{PODS}?watch=1", Accept="application/yaml")
    assert (status, "reason: NotAcceptable" in text) == (406, True)


async def test_metadata_alone_can_be_watched(kube: Kube) -> None:
    await kube.call("POST", PODS, pod("a"))
    accept = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
    events = await kube.watch(f"{PODS}?watch=1&allowWatchBookmarks=1", 2, Accept=accept)
    assert [event["object"]["kind"] for event in events] == ["PartialObjectMetadata"] * 2
    assert "spec" not in events[0]["object"]


async def test_a_browser_watches_through_a_socket(kube: Kube) -> None:
    await kube.call("POST", PODS, pod("a"))
    url = f"http://kube{PODS}?watch=1"
    async with kube.session.ws_connect(url, protocols=("base64.binary.k8s.io",)) as socket:
        assert socket.protocol == "base64.binary.k8s.io"
        first = json.loads(await socket.receive_str(timeout=5))
        await kube.call("POST", PODS, pod("b"))
        second = json.loads(await socket.receive_str(timeout=5))
    assert seen([first, second]) == [("ADDED", "a"), ("ADDED", "b")]
    await _until_unwatched(kube)


async def test_a_socket_is_told_why_it_must_list_again(kube: Kube) -> None:
    async with kube.session.ws_connect(f"http://kube{PODS}?watch=1&resourceVersion=999") as socket:
        event = json.loads(await socket.receive_str(timeout=5))
        assert (event["type"], event["object"]["code"]) == ("ERROR", 410)
        assert (await socket.receive(timeout=5)).type is aiohttp.WSMsgType.CLOSE


async def test_a_watcher_that_does_not_read_is_told_to_list_again(tmp_path: Path) -> None:
    api = Api(MemoryStore(buffer_limit=50), SystemClock(), Chance(1))
    await api.create(Namespace(metadata=ObjectMeta(name="default")))
    server = KubeServer(api, World())
    path = tmp_path / "kube.sock"
    await server.serve_unix(path)
    reader, writer = await asyncio.open_unix_connection(str(path), limit=1024)
    try:
        writer.write(b"GET /api/v1/configmaps?watch=1 HTTP/1.1\r\nHost: kube\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        for n in range(150):  # more than the socket's and the server's buffers and the watch's own hold
            data = {"text": "x" * 20_000}
            await api.create(ConfigMap(metadata=ObjectMeta(name=f"c{n}", namespace="default"), data=data))
        async with asyncio.timeout(10):
            text = b""
            while piece := await reader.read(1 << 20):
                text += piece
                if text.endswith(b"0\r\n\r\n"):
                    break
        last = json.loads(text.splitlines()[-4])
        assert (last["type"], last["object"]["code"], last["object"]["reason"]) == ("ERROR", 410, "Expired")
        assert text.count(b'"ADDED"') < 150
    finally:
        writer.close()
        await server.close()
        await api.store.close()


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
    await kube.call("POST", PODS, pod("a"))
    await kube.watch(f"{PODS}?watch=1", 1)
    await _until_unwatched(kube)


async def _until_unwatched(kube: Kube) -> None:
    store = kube.api.store
    assert isinstance(store, LogStore)
    async with asyncio.timeout(5):
        while len(store._watches):  # noqa: ASYNC110 - the store tells nobody that a watch has gone
            await asyncio.sleep(0.01)
