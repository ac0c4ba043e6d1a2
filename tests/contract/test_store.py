"""What every store promises, run against each implementation."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from pinnace.store.interface import (
    Build,
    Change,
    Compacted,
    Header,
    Key,
    KeyExists,
    KeyMissing,
    Listing,
    Revision,
    RevisionAhead,
    RevisionConflict,
    SlowWatcher,
    Store,
)
from pinnace.store.log_store import LogStore
from pinnace.store.memory import MemoryStore
from pinnace.store.sqlite import SqliteStore
from pinnace.store.state import LogLimits

Open = Callable[..., LogStore]


@pytest.fixture(params=["memory", "sqlite"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    if request.param == "memory":
        return MemoryStore
    return lambda **more: SqliteStore(tmp_path / "state.db", **more)


@pytest.fixture
async def store(open_store: Open) -> AsyncIterator[LogStore]:
    store = open_store()
    yield store
    await store.close()


def pod(name: str, namespace: str = "default") -> Key:
    return Key("pods", namespace, name)


def writes(key: Key, value: bytes = b"", **header: object) -> Build:
    return lambda revision: (Header(key=key, **header), value or str(revision).encode())  # type: ignore[arg-type]


async def put(store: Store, key: Key, value: bytes = b"", **header: object) -> Revision:
    there = store.get(key)
    if there is None:
        return (await store.create(key, writes(key, value, **header))).revision
    return (await store.update(key, there.revision, writes(key, value, **header))).revision


async def remove(store: Store, key: Key) -> Revision:
    there = store.get(key)
    assert there is not None
    return (await store.delete(key, there.revision, writes(key))).revision


async def take(watch: AsyncIterator[Change], count: int) -> list[tuple[str, str, int]]:
    changes = [await asyncio.wait_for(anext(watch), 5) for _ in range(count)]
    return [(change.type, change.record.key.name, change.revision) for change in changes]


# ---------------------------------------------------------------------- writes


async def test_each_write_gets_the_next_revision_and_its_bytes_carry_it(store: LogStore) -> None:
    assert store.revision == 0
    first = await store.create(pod("a"), writes(pod("a")))
    second = await store.update(pod("a"), first.revision, writes(pod("a")))
    third = await store.delete(pod("a"), second.revision, writes(pod("a")))
    assert [(r.revision, r.value) for r in (first, second, third)] == [(1, b"1"), (2, b"2"), (3, b"3")]
    assert store.revision == 3
    assert store.get(pod("a")) is None


async def test_build_is_called_before_the_first_wait(store: LogStore) -> None:
    seen: list[int] = []

    def build(revision: Revision) -> tuple[Header, bytes]:
        seen.append(revision)
        return Header(key=pod("a")), b""

    write = asyncio.ensure_future(store.create(pod("a"), build))
    await asyncio.sleep(0)
    assert seen == [1]
    await write


async def test_create_of_what_is_there_is_refused(store: LogStore) -> None:
    await put(store, pod("a"))
    with pytest.raises(KeyExists):
        await store.create(pod("a"), writes(pod("a")))
    assert store.revision == 1


async def test_change_of_what_is_not_there_is_refused(store: LogStore) -> None:
    with pytest.raises(KeyMissing):
        await store.update(pod("a"), Revision(1), writes(pod("a")))
    with pytest.raises(KeyMissing):
        await store.delete(pod("a"), Revision(1), writes(pod("a")))


async def test_change_of_an_older_revision_is_refused(store: LogStore) -> None:
    first = await put(store, pod("a"))
    await put(store, pod("a"))
    with pytest.raises(RevisionConflict) as conflict:
        await store.update(pod("a"), first, writes(pod("a")))
    assert (conflict.value.expected, conflict.value.actual) == (1, 2)
    with pytest.raises(RevisionConflict):
        await store.delete(pod("a"), first, writes(pod("a")))


async def test_nothing_is_seen_before_it_is_durable(store: LogStore) -> None:
    watch = store.watch("pods", since=store.revision)
    write = asyncio.ensure_future(store.create(pod("a"), writes(pod("a"), owners=("u",), fields={"f": "v"})))
    await asyncio.sleep(0)
    assert store.get(pod("a")) is None
    assert store.list("pods") == (0, (), 0)
    assert store.by_owner("u") == () == store.by_field("pods", "f", "v")
    assert store.latest(pod("a")) is not None
    await write
    assert store.get(pod("a")) is not None
    assert await take(watch, 1) == [("ADDED", "a", 1)]


async def test_conflicts_count_pending_writes(store: LogStore) -> None:
    first = await put(store, pod("a"))
    winner = asyncio.ensure_future(store.update(pod("a"), first, writes(pod("a"))))
    await asyncio.sleep(0)
    with pytest.raises(RevisionConflict):
        await store.update(pod("a"), first, writes(pod("a")))
    # The loser can read what it lost to.
    assert store.get(pod("a")) == winner.result()


async def test_create_collides_with_a_pending_create_and_follows_a_pending_delete(store: LogStore) -> None:
    creating = asyncio.ensure_future(store.create(pod("a"), writes(pod("a"))))
    await asyncio.sleep(0)
    with pytest.raises(KeyExists):
        await store.create(pod("a"), writes(pod("a")))
    deleting = asyncio.ensure_future(store.delete(pod("a"), creating.result().revision, writes(pod("a"))))
    await asyncio.sleep(0)
    again = await store.create(pod("a"), writes(pod("a")))
    assert (deleting.result().revision, again.revision) == (2, 3)


async def test_a_write_on_top_of_a_pending_one_joins_it(store: LogStore) -> None:
    first = asyncio.ensure_future(store.create(pod("a"), writes(pod("a"))))
    await asyncio.sleep(0)
    pending = store.latest(pod("a"))
    assert pending is not None
    second = await store.update(pod("a"), pending.revision, writes(pod("a")))
    assert (await first).revision == 1
    assert second == store.get(pod("a"))


async def test_settled_waits_for_the_pending_writes_of_the_key(store: LogStore) -> None:
    await store.settled(pod("a"))
    write = asyncio.ensure_future(store.create(pod("a"), writes(pod("a"))))
    await asyncio.sleep(0)
    await store.settled(pod("a"))
    assert store.get(pod("a")) is not None
    await write


async def test_a_writer_that_is_cancelled_has_written(store: LogStore) -> None:
    write = asyncio.ensure_future(store.create(pod("a"), writes(pod("a"))))
    await asyncio.sleep(0)
    write.cancel()
    await store.settled(pod("a"))
    assert store.get(pod("a")) is not None
    await put(store, pod("b"))
    assert store.revision == 2


async def test_a_build_that_raises_writes_nothing_and_skips_no_revision(store: LogStore) -> None:
    def build(revision: Revision) -> tuple[Header, bytes]:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await store.create(pod("a"), build)
    assert await put(store, pod("a")) == 1


async def test_many_writers_get_every_revision_once(store: LogStore) -> None:
    records = await asyncio.gather(*(store.create(pod(str(n)), writes(pod(str(n)))) for n in range(200)))
    assert sorted(record.revision for record in records) == list(range(1, 201))
    assert store.revision == 200


async def test_read_modify_write_under_contention_loses_nothing(store: LogStore) -> None:
    await put(store, pod("n"), b"0")

    async def add_one() -> None:
        while True:
            there = store.latest(pod("n"))
            assert there is not None
            value = str(int(there.value) + 1).encode()
            try:
                await store.update(pod("n"), there.revision, writes(pod("n"), value))
                return
            except RevisionConflict:
                continue

    await asyncio.gather(*(add_one() for _ in range(50)))
    assert store.get(pod("n")).value == b"50"  # type: ignore[union-attr]


# ---------------------------------------------------------------------- readings


async def test_lists_are_ordered_by_namespace_and_name_and_can_be_paged(store: LogStore) -> None:
    for namespace, name in (("b", "x"), ("a", "z"), ("a", "y"), ("a-b", "w"), ("a", "x")):
        await put(store, pod(name, namespace))
    await put(store, Key("services", "a", "x"))

    def names(listing: tuple[int, tuple[object, ...], int]) -> list[str]:
        return [f"{record.key.namespace}/{record.key.name}" for record in listing[1]]  # type: ignore[attr-defined]

    assert names(store.list("pods")) == ["a/x", "a/y", "a/z", "a-b/w", "b/x"]
    assert names(store.list("pods", "a")) == ["a/x", "a/y", "a/z"]
    assert names(store.list("pods", "none")) == []
    page = store.list("pods", limit=2)
    assert (names(page), page.remaining, page.revision) == (["a/x", "a/y"], 3, 6)
    page = store.list("pods", "a", after=page.records[-1].key, limit=2)
    assert (names(page), page.remaining) == (["a/z"], 0)
    # A page continues behind a record that has gone meanwhile.
    await remove(store, pod("y", "a"))
    assert names(store.list("pods", after=pod("y", "a"))) == ["a/z", "a-b/w", "b/x"]


async def test_a_list_can_show_the_state_at_a_past_revision(store: LogStore) -> None:
    for name in ("a", "c", "e"):
        await put(store, pod(name))
    then = store.revision
    await put(store, pod("b"))
    await remove(store, pod("c"))
    changed = await put(store, pod("e"))
    await put(store, Key("services", "default", "other"))

    def states(listing: Listing) -> list[tuple[str, int]]:
        return [(record.key.name, record.revision) for record in listing.records]

    assert states(store.list("pods")) == [("a", 1), ("b", 4), ("e", changed)]
    past = store.list("pods", at=then)
    assert (states(past), past.revision, past.remaining) == ([("a", 1), ("c", 2), ("e", 3)], then, 0)
    page = store.list("pods", "default", at=then, limit=2)
    assert (states(page), page.remaining) == ([("a", 1), ("c", 2)], 1)
    assert states(store.list("pods", at=then, after=page.records[-1].key)) == [("e", 3)]
    assert states(store.list("pods", "elsewhere", at=then)) == []
    assert states(store.list("services", at=then)) == []
    assert store.list("nothing", at=then) == (then, (), 0)
    await store.compact(Revision(then + 1))
    with pytest.raises(Compacted):
        store.list("pods", at=then)
    with pytest.raises(RevisionAhead):
        store.list("pods", at=Revision(store.revision + 1))


async def test_indexes_follow_every_change(store: LogStore) -> None:
    await put(store, pod("a"), owners=("u1", "u2"), fields={"spec.nodeName": ""})
    await put(store, pod("b"), owners=("u1",), fields={"spec.nodeName": "n1"})
    await put(store, Key("services", "default", "a"), owners=("u1",))

    def owned(uid: str, resource: str | None = None) -> list[str]:
        return [f"{r.key.resource}/{r.key.name}" for r in store.by_owner(uid, resource)]

    def on(node: str) -> list[str]:
        return [record.key.name for record in store.by_field("pods", "spec.nodeName", node)]

    assert owned("u1") == ["pods/a", "pods/b", "services/a"]
    assert owned("u1", "pods") == ["pods/a", "pods/b"]
    assert (on(""), on("n1")) == (["a"], ["b"])
    await put(store, pod("a"), owners=("u2",), fields={"spec.nodeName": "n1"})
    assert (owned("u1", "pods"), owned("u2"), on(""), on("n1")) == (["pods/b"], ["pods/a"], [], ["a", "b"])
    await remove(store, pod("a"))
    assert (owned("u2"), on("n1")) == ([], ["b"])


# ---------------------------------------------------------------------- watches


async def test_a_watch_gets_every_later_change_in_order(store: LogStore) -> None:
    await put(store, pod("a"))
    since = store.revision
    await put(store, pod("b"))
    watch = store.watch("pods", since=since)
    await put(store, pod("a"))
    await put(store, Key("services", "default", "s"))
    await remove(store, pod("b"))
    assert await take(watch, 3) == [("ADDED", "b", 2), ("MODIFIED", "a", 3), ("DELETED", "b", 5)]
    watch.close()
    with pytest.raises(StopAsyncIteration):
        await anext(watch)


async def test_a_change_carries_the_state_before_and_a_deletion_the_last_one(store: LogStore) -> None:
    watch = store.watch("pods", since=Revision(0))
    await put(store, pod("a"), b"one", labels={"x": "1"})
    await put(store, pod("a"), b"two")
    last = store.get(pod("a"))
    assert last is not None
    await store.delete(pod("a"), last.revision, lambda revision: (last.header, b"gone at %d" % revision))
    added, modified, deleted = [await anext(watch) for _ in range(3)]
    assert (added.previous, modified.previous, deleted.previous) == (None, added.record, modified.record)
    assert (deleted.record.value, deleted.record.revision) == (b"gone at 3", 3)


async def test_watches_choose_by_resource_and_namespace(store: LogStore) -> None:
    everything = store.watch(None, since=Revision(0))
    one = store.watch("pods", "a", since=Revision(0))
    for key in (pod("x", "a"), pod("y", "b"), Key("services", "a", "s")):
        await put(store, key)
    later = store.watch(None, "a", since=Revision(0))
    assert await take(everything, 3) == [("ADDED", "x", 1), ("ADDED", "y", 2), ("ADDED", "s", 3)]
    assert await take(one, 1) == [("ADDED", "x", 1)]
    assert await take(later, 2) == [("ADDED", "x", 1), ("ADDED", "s", 3)]


async def test_a_watch_knows_how_far_it_has_seen(store: LogStore) -> None:
    watch = store.watch("pods", since=Revision(0))
    await put(store, pod("a"))
    await put(store, Key("services", "default", "s"))
    assert watch.revision == 0
    await anext(watch)
    assert watch.revision == 2


async def test_a_reader_that_waits_is_woken_by_a_change_and_by_the_end(store: LogStore) -> None:
    watch = store.watch("pods", since=Revision(0))
    reading = asyncio.ensure_future(anext(watch))
    await asyncio.sleep(0)
    await put(store, pod("a"))
    assert (await reading).revision == 1
    reading = asyncio.ensure_future(anext(watch))
    await asyncio.sleep(0)
    await store.close()
    with pytest.raises(StopAsyncIteration):
        await reading


async def test_a_reader_can_be_cancelled_without_losing_a_change(store: LogStore) -> None:
    watch = store.watch("pods", since=Revision(0))
    reading = asyncio.ensure_future(anext(watch))
    await asyncio.sleep(0)
    reading.cancel()
    await put(store, pod("a"))
    assert await take(watch, 1) == [("ADDED", "a", 1)]


async def test_a_watch_that_its_reader_has_dropped_is_forgotten(store: LogStore) -> None:
    async def read() -> None:
        async for _ in store.watch("pods", since=Revision(0)):
            pass

    reading = asyncio.ensure_future(read())
    await put(store, pod("a"))
    assert len(store._watches) == 1
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    del reading
    await put(store, pod("a"))
    assert len(store._watches) == 0


async def test_a_watch_from_the_future_is_refused(store: LogStore) -> None:
    with pytest.raises(RevisionAhead):
        store.watch("pods", since=Revision(1))


async def test_a_slow_watcher_is_told_so(open_store: Open) -> None:
    store = open_store(buffer_limit=3)
    watch, other = store.watch("pods", since=Revision(0)), store.watch("services", since=Revision(0))
    await put(store, pod("a"))
    await anext(watch)
    for _ in range(3):
        await put(store, pod("a"))
    assert watch.revision == 1
    await put(store, pod("a"))
    with pytest.raises(SlowWatcher) as slow:
        await anext(watch)
    assert slow.value.seen == 1
    with pytest.raises(StopAsyncIteration):
        await anext(watch)
    assert other.revision == 5
    await store.close()


# ---------------------------------------------------------------------- compaction


async def test_compaction_forgets_history_and_keeps_states(store: LogStore) -> None:
    for _ in range(3):
        await put(store, pod("a"))
    await put(store, pod("b"))
    await remove(store, pod("b"))
    await store.compact(Revision(4))
    assert store.compacted == 4
    with pytest.raises(Compacted):
        store.watch("pods", since=Revision(3))
    assert await take(store.watch("pods", since=Revision(4)), 1) == [("DELETED", "b", 5)]
    assert [(r.key.name, r.revision) for r in store.list("pods").records] == [("a", 3)]
    with pytest.raises(RevisionAhead):
        await store.compact(Revision(6))


async def test_the_log_is_bounded_by_itself(open_store: Open) -> None:
    store = open_store(limits=LogLimits(changes=100, value_bytes=10_000))
    for _ in range(500):
        await put(store, pod("a"), b"x")
    assert 350 < store.compacted < 500
    watch = store.watch("pods", since=store.compacted)
    assert (await anext(watch)).revision == store.compacted + 1
    for _ in range(20):
        await put(store, pod("a"), b"x" * 2000)
    assert store.revision - store.compacted <= 5
    await store.close()


async def test_closing_twice_is_closing_once(store: LogStore) -> None:
    await put(store, pod("a"))
    await store.close()
    await store.close()
