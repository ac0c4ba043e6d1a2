"""The state file: restart, damage, a full disk, a second process, kill -9."""

import asyncio
import errno
import os
import random
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from pinnace.base.errors import HostError
from pinnace.store.interface import Compacted, Header, Key, Record, Revision, StoreFailed
from pinnace.store.sqlite import SqliteStore
from pinnace.store.state import LogLimits


def pod(name: str) -> Key:
    return Key("pods", "default", name)


async def put(store: SqliteStore, name: str, value: bytes = b"", **header: object) -> Record:
    there = store.get(pod(name))
    full = Header(key=pod(name), **header)  # type: ignore[arg-type]
    if there is None:
        return await store.create(pod(name), lambda revision: (full, value or b"%d" % revision))
    return await store.update(pod(name), there.revision, lambda revision: (full, value or b"%d" % revision))


async def remove(store: SqliteStore, name: str) -> Record:
    there = store.get(pod(name))
    assert there is not None
    return await store.delete(pod(name), there.revision, lambda revision: (there.header, b"%d" % revision))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


# ---------------------------------------------------------------------- restart


async def test_everything_is_there_after_a_restart(path: Path) -> None:
    store = SqliteStore(path)
    await put(
        store, "a", b"one", uid="u-a", labels={"app": "web"}, owners=("u-r",), fields={"spec.nodeName": "n1"}
    )
    await put(store, "b")
    await put(store, "b")
    await remove(store, "b")
    before = (
        store.revision,
        store.list("pods"),
        store.by_owner("u-r"),
        store.by_field("pods", "spec.nodeName", "n1"),
    )
    await store.close()
    store = SqliteStore(path)
    after = (
        store.revision,
        store.list("pods"),
        store.by_owner("u-r"),
        store.by_field("pods", "spec.nodeName", "n1"),
    )
    assert after == before
    watch = store.watch("pods", since=Revision(1))
    changes = [await anext(watch) for _ in range(3)]
    assert [(c.type, c.revision, c.previous and c.previous.revision) for c in changes] == [
        ("ADDED", 2, None),
        ("MODIFIED", 3, 2),
        ("DELETED", 4, 3),
    ]
    assert (await put(store, "c")).revision == 5
    await store.close()


async def test_a_revision_does_not_go_back_when_all_objects_and_the_log_are_gone(path: Path) -> None:
    store = SqliteStore(path)
    await put(store, "a")
    await remove(store, "a")
    await store.compact(Revision(2))
    await store.close()
    store = SqliteStore(path)
    assert (store.revision, store.compacted, len(store)) == (2, 2, 0)
    with pytest.raises(Compacted):
        store.watch(None, since=Revision(1))
    assert (await put(store, "a")).revision == 3
    await store.close()


async def test_automatic_compaction_bounds_the_file_and_survives_a_restart(path: Path) -> None:
    store = SqliteStore(path, limits=LogLimits(changes=50))
    for _ in range(300):
        await put(store, "a")
    await put(store, "b")
    await store.close()
    db = sqlite3.connect(path)
    assert db.execute("SELECT count(*) FROM log").fetchone()[0] <= 52
    db.close()
    store = SqliteStore(path, limits=LogLimits(changes=50))
    assert (store.revision, [record.revision for record in store.list("pods").records]) == (301, [300, 301])
    await store.close()


async def test_the_file_is_for_its_owner_only(path: Path) -> None:
    store = SqliteStore(path)
    await put(store, "a")
    assert [oct(file.stat().st_mode & 0o777) for file in sorted(path.parent.iterdir())] == ["0o600", "0o600"]
    await store.close()


async def test_a_closed_store_leaves_no_thread_and_refuses_writes(path: Path) -> None:
    threads = threading.active_count()
    store = SqliteStore(path)
    write = asyncio.ensure_future(put(store, "a"))
    await asyncio.sleep(0)
    await store.close()
    assert (await write).revision == 1  # under way when the store was closed
    assert threading.active_count() == threads
    with pytest.raises(StoreFailed):
        await put(store, "b")


# ---------------------------------------------------------------------- what can be wrong with the file


async def make(path: Path) -> None:
    store = SqliteStore(path)
    for name in "abc":
        await put(store, name, name.encode() * 3000)
    await put(store, "a", b"later")
    await store.close()


def refused(path: Path) -> HostError:
    before = path.read_bytes()
    with pytest.raises(HostError) as refusal:
        SqliteStore(path)
    assert path.read_bytes() == before, "a damaged file was changed"
    assert str(path) in refusal.value.message
    assert refusal.value.hint
    return refusal.value


async def test_a_flipped_bit_is_reported(path: Path) -> None:
    await make(path)
    data = bytearray(path.read_bytes())
    place = data.index(b"b" * 1000)
    data[place] ^= 1
    path.write_bytes(data)
    assert "revision 2 (pods/default/b): its checksum is wrong" in refused(path).message


async def test_a_lost_row_is_reported(path: Path) -> None:
    await make(path)
    db = sqlite3.connect(path)
    db.execute("DELETE FROM log WHERE revision = 3")
    db.commit()
    db.close()
    assert "revision 4 (pods/default/a) does not follow 2" in refused(path).message


@pytest.mark.parametrize("damage", [b"", b"hello" * 1000], ids=["empty", "other"])
async def test_a_file_that_is_no_state_file_is_reported(path: Path, damage: bytes) -> None:
    path.write_bytes(damage)
    refused(path)


async def test_a_truncated_file_is_reported(path: Path) -> None:
    await make(path)
    os.truncate(path, path.stat().st_size // 2)
    refused(path)


async def test_a_zeroed_page_is_reported(path: Path) -> None:
    await make(path)
    data = bytearray(path.read_bytes())
    data[4096:8192] = bytes(4096)
    path.write_bytes(data)
    refused(path)


async def test_a_log_without_its_file_is_reported(path: Path) -> None:
    Path(f"{path}-wal").write_bytes(b"x" * 100)
    with pytest.raises(HostError, match=r"missing, but its write-ahead log state\.db-wal is there"):
        SqliteStore(path)


async def test_a_newer_format_is_refused(path: Path) -> None:
    await make(path)
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 2")
    db.close()
    assert "format 2" in refused(path).message


async def test_a_second_process_is_refused(path: Path) -> None:
    store = SqliteStore(path)
    code = f"from pathlib import Path; from pinnace.store.sqlite import SqliteStore; SqliteStore(Path({str(path)!r}))"
    second = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stderr=subprocess.PIPE)
    _, stderr = await second.communicate()
    assert "is in use by another process" in stderr.decode()
    await put(store, "a")
    await store.close()


# ---------------------------------------------------------------------- a disk that refuses


FULL_DISK = """
    import asyncio, resource, sys
    from pathlib import Path
    from pinnace.store.interface import Header, Key, Revision, StoreFailed
    from pinnace.store.sqlite import SqliteStore

    async def main():
        store = SqliteStore(Path(sys.argv[1]))
        def write(name, size):
            key = Key("pods", "default", name)
            return store.create(key, lambda revision: (Header(key=key), b"x" * size))
        await write("small", 10)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
        answers = await asyncio.gather(write("a", 10), write("b", 500_000), write("c", 10), return_exceptions=True)
        assert all(isinstance(answer, StoreFailed) and answer.errno for answer in answers), answers
        assert len({id(answer) for answer in answers}) == 3
        watch = store.watch(None, since=Revision(0))
        assert [r.key.name for r in store.list("pods").records] == ["small"] and (await anext(watch)).revision == 1
        try:
            await write("d", 10)
        except StoreFailed as error:
            assert store.failure.message == error.message and error.hint
            print(error.errno, error.message)
        await asyncio.wait_for(store.settled(Key("pods", "default", "a")), 1)
        await store.close()

    asyncio.run(main())
"""


def test_a_disk_that_refuses_fails_every_waiting_writer_and_reads_go_on(path: Path) -> None:
    script = [sys.executable, "-c", textwrap.dedent(FULL_DISK), str(path)]
    done = subprocess.run(script, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[0]) in (errno.ENOSPC, errno.EIO)
    # All or nothing: none of the batch is there.
    store = SqliteStore(path)
    assert [record.key.name for record in store.list("pods").records] == ["small"]
    asyncio.run(store.close())


async def test_a_full_disk_is_named_with_its_errno(path: Path) -> None:
    store = SqliteStore(path)
    await put(store, "a")
    store._file._db.execute("PRAGMA max_page_count = 1")  # SQLite's own way to be full
    with pytest.raises(StoreFailed) as full:
        await put(store, "b", b"x" * 100_000)
    assert full.value.errno == errno.ENOSPC
    assert "make room" in full.value.hint
    assert store.get(pod("a")) is not None
    await store.close()


# ---------------------------------------------------------------------- kill -9

WRITER = """
    import asyncio, os, sys
    from pathlib import Path
    from pinnace.store.interface import Header, Key
    from pinnace.store.sqlite import SqliteStore
    from pinnace.store.state import LogLimits

    async def main():
        store = SqliteStore(Path(sys.argv[1]), limits=LogLimits(changes=40))

        async def writer(n):
            key = Key("pods", "default", f"w{n}")
            def build(revision):
                return Header(key=key, fields={"count": str(count)}), b"%d " % count * 500
            there = store.get(key)
            count = 1 if there is None else int(there.header.fields["count"]) + 1
            record = await (store.create(key, build) if there is None else store.update(key, there.revision, build))
            while True:
                os.write(1, b"%d %d %d\\n" % (n, count, record.revision))
                count += 1
                record = await store.update(key, record.revision, build)

        await asyncio.gather(*(writer(n) for n in range(8)))

    asyncio.run(main())
"""


def test_kill_9_at_any_moment_loses_no_acknowledged_write_and_leaves_no_half_one(path: Path) -> None:
    chance = random.Random(7)
    acknowledged: dict[str, tuple[int, int]] = {}
    highest = 0
    for _ in range(12):
        writer = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(WRITER), str(path)], stdout=subprocess.PIPE
        )
        assert writer.stdout is not None
        lines = [writer.stdout.readline()]  # it runs
        timer = threading.Timer(chance.uniform(0.0, 0.15), os.kill, (writer.pid, signal.SIGKILL))
        timer.start()
        lines += writer.stdout.readlines()
        timer.join()
        assert writer.wait() == -signal.SIGKILL
        writer.stdout.close()
        for line in lines:
            if not line.endswith(b"\n"):
                continue
            n, count, revision = map(int, line.split())
            assert revision > highest
            acknowledged[f"w{n}"] = (count, revision)
        store = SqliteStore(path)
        assert store.revision >= max(revision for _, revision in acknowledged.values())
        for name, (count, revision) in acknowledged.items():
            there = store.get(pod(name))
            assert there is not None
            found = int(there.header.fields["count"])
            assert found in (count, count + 1), f"{name}: {count} was acknowledged, {found} is there"
            assert there.value == b"%d " % found * 500
            assert there.revision >= revision
        highest = store.revision
        asyncio.run(store.close())
    assert highest > 200
