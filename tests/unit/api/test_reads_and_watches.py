"""Reads by label, field, owner and node; watches without gap or duplicate; binding."""

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace

from pinnace.api.facade import Api
from pinnace.api.versions import render_stored
from pinnace.base.chance import Chance
from pinnace.base.clock import SystemClock
from pinnace.base.errors import ApiError, Reason
from pinnace.kube.kinds import CONFIG_MAP, POD
from pinnace.kube.objects.core_v1 import Namespace, Pod
from pinnace.kube.objects.meta_v1 import ObjectMeta, OwnerReference
from pinnace.store.interface import Revision
from pinnace.store.memory import MemoryStore
from pinnace.store.sqlite import SqliteStore
from tests.unit.api.builders import config_map, make_api, pod, service


async def test_lists_by_label_field_and_namespace() -> None:
    api, _ = await make_api("team")
    await api.create(pod("a"))
    labelled = pod("b")
    await api.create(replace(labelled, metadata=replace(labelled.metadata, labels={"app": "x"})))
    await api.create(replace(pod("c"), metadata=ObjectMeta(name="c", namespace="team")))
    await api.bind("default", "a", "node-1")

    def names(pods: tuple[Pod, ...]) -> list[str]:
        return [one.metadata.name for one in pods]

    assert names(api.list(POD)) == ["a", "b", "c"]
    assert names(api.list(POD, "default")) == ["a", "b"]
    assert names(api.list(POD, labels=lambda labels: labels.get("app") == "x")) == ["b"]
    assert names(api.list(POD, fields={"spec.nodeName": "node-1"})) == ["a"]
    assert names(api.list(POD, "default", fields={"spec.nodeName": ""})) == ["b"]
    assert names(api.list(POD, fields={"spec.restartPolicy": "Always", "metadata.name": "c"})) == ["c"]
    assert names(api.pods_on("node-1")) == ["a"]
    assert names(api.pods_on("")) == ["b", "c"]


async def test_owned_objects_are_found_by_their_owners_uid() -> None:
    api, _ = await make_api()
    owner = OwnerReference(api_version="apps/v1", kind="ReplicaSet", name="rs", uid="u-1", controller=True)
    owned = replace(pod(), metadata=replace(pod().metadata, owner_references=(owner,)))
    stored = await api.create(owned)
    assert api.owned_by("u-1", POD) == (stored,)
    assert api.owned_by("u-1", CONFIG_MAP) == ()


async def test_the_same_state_is_decoded_once() -> None:
    api, _ = await make_api()
    await api.create(pod())
    assert api.get(POD, "default", "web") is api.get(POD, "default", "web")


async def test_what_the_store_holds_carries_its_revision() -> None:
    api, _ = await make_api()
    stored = await api.create(config_map())
    record = api.get_raw(CONFIG_MAP, "default", "settings")
    assert f'"resourceVersion":"{record.revision}"'.encode() in record.value
    assert stored.metadata.resource_version == str(record.revision)
    assert render_stored(CONFIG_MAP, record) is record.value


async def test_a_watch_shows_what_is_there_and_then_what_changes() -> None:
    api, _ = await make_api()
    await api.create(config_map("a"))
    watch = api.watch(CONFIG_MAP, "default")
    b = await api.create(config_map("b"))
    changed = await api.update(replace(b, data={"b": "2"}))
    await api.delete(CONFIG_MAP, "default", "a")
    seen = [await watch.__anext__() for _ in range(4)]
    assert [(change.type, change.object.metadata.name) for change in seen] == [
        ("ADDED", "a"),
        ("ADDED", "b"),
        ("MODIFIED", "b"),
        ("DELETED", "a"),
    ]
    assert (seen[2].object, seen[2].previous) == (changed, b)
    watch.close()
    with pytest.raises(StopAsyncIteration):
        await watch.__anext__()


async def test_a_watch_can_go_on_from_a_revision() -> None:
    api, _ = await make_api()
    since = api.store.revision
    await api.create(config_map("a"))
    watch = api.watch(CONFIG_MAP, since=since)
    assert (await watch.__anext__()).object.metadata.name == "a"


async def test_a_compacted_revision_is_expired() -> None:
    api, _ = await make_api()
    for name in ("a", "b"):
        await api.create(config_map(name))
    await api.store.compact(api.store.revision)
    with pytest.raises(ApiError) as caught:
        api.watch(CONFIG_MAP, since=Revision(1))
    assert (caught.value.reason, caught.value.code) == (Reason.EXPIRED, 410)


async def test_a_pod_is_bound_once() -> None:
    api, _ = await make_api()
    await api.create(pod())
    bound = await api.bind("default", "web", "node-1")
    (condition,) = bound.status.conditions
    assert (bound.spec.node_name, condition.type, condition.status) == ("node-1", "PodScheduled", "True")
    with pytest.raises(ApiError) as caught:
        await api.bind("default", "web", "node-2")
    assert str(caught.value) == (
        'Operation cannot be fulfilled on pods/binding "web": pod web is already assigned to node "node-1"'
    )


@pytest.fixture
async def durable(tmp_path: Path) -> Api:
    api = Api(SqliteStore(tmp_path / "state.db"), SystemClock(), Chance(1))
    await api.create(Namespace(metadata=ObjectMeta(name="default")))
    return api


async def test_concurrent_changes_of_one_object_are_all_kept(durable: Api) -> None:
    await durable.create(config_map())

    async def put(number: int) -> None:
        await durable.change(
            CONFIG_MAP, "default", "settings", lambda old: replace(old, data={**old.data, f"k{number}": "x"})
        )

    await asyncio.gather(*(put(number) for number in range(50)))
    data = durable.get(CONFIG_MAP, "default", "settings").data
    assert data == {"a": "1", **{f"k{number}": "x" for number in range(50)}}
    await durable.store.close()


async def test_a_conflict_comes_when_the_newer_state_can_be_read(durable: Api) -> None:
    first = await durable.create(config_map())
    winner = asyncio.create_task(durable.update(replace(first, data={"a": "2"})))
    await asyncio.sleep(0)  # the winner's write is on its way to disk
    with pytest.raises(ApiError, match="the object has been modified"):
        await durable.update(replace(first, data={"a": "3"}))
    assert durable.get(CONFIG_MAP, "default", "settings").data == {"a": "2"}
    await winner
    await durable.store.close()


async def test_creates_at_once_never_share_a_service_address(durable: Api) -> None:
    made = await asyncio.gather(*(durable.create(service(f"s{number}")) for number in range(50)))
    assert len({one.spec.cluster_ip for one in made}) == 50
    await durable.store.close()


async def test_a_watcher_that_falls_behind_goes_on_without_a_gap() -> None:
    api = Api(MemoryStore(buffer_limit=2), SystemClock(), Chance(1))
    await api.create(Namespace(metadata=ObjectMeta(name="default")))
    watch = api.watch(CONFIG_MAP, "default")
    names = [f"c{number}" for number in range(10)]
    for name in names:
        await api.create(config_map(name))
    seen = [await watch.__anext__() for _ in names]
    assert [(change.type, change.object.metadata.name) for change in seen] == [
        ("ADDED", name) for name in names
    ]
