"""kill -9 at every system call, and in the middle of each write: what was acknowledged is there, and nothing is half there."""

import asyncio
import sys
from itertools import pairwise
from pathlib import Path

from pinnace.store.interface import Revision
from pinnace.store.sqlite import SqliteStore
from tests.unit.store.crash_points import run_stopping_at_each_call

# Three keys are created, changed and deleted in turns, two writers at once, so that batches hold several changes; the log
# is compacted on the way, and a small limit makes SQLite move its write-ahead log into the file again and again.
WRITER = """
import asyncio, os, sys
from pathlib import Path
from pinnace.store.interface import Header, Key
from pinnace.store.sqlite import SqliteStore
from pinnace.store.state import LogLimits

async def main():
    folder = Path(sys.argv[1])
    acknowledged = os.open(folder / "acknowledged", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    store = SqliteStore(folder / "state.db", limits=LogLimits(changes=12))
    store._file._db.execute("PRAGMA wal_autocheckpoint = 12")

    async def write(name, rounds):
        key = Key("pods", "default", name)
        def build(revision):
            return Header(key=key, uid=str(revision)), b"%d " % revision * 300
        for turn in range(rounds):
            there = store.get(key)
            if there is None:
                done = await store.create(key, build)
            elif turn % 5 == 4:
                done = await store.delete(key, there.revision, build)
            else:
                done = await store.update(key, there.revision, build)
            os.write(acknowledged, b"%s %d %d\\n" % (name.encode(), done.revision, turn % 5 == 4 and there is not None))

    await asyncio.gather(write("a", 14), write("b", 14))
    await write("c", 3)
    await store.close()

asyncio.run(main())
"""

FILES = ("state.db", "state.db-wal", "acknowledged")
Snapshot = dict[str, bytes]


def read_files(folder: Path) -> Snapshot:
    return {name: (folder / name).read_bytes() for name in FILES if (folder / name).exists()}


def torn(before: Snapshot, after: Snapshot) -> Snapshot | None:
    """Return what lies between two states when the one write that parts them is cut in its middle."""
    changed = [name for name in FILES[:2] if name in after and before.get(name) != after[name]]
    if len(changed) != 1 or changed[0] not in before:
        return None  # a file comes into being by a rename, whole
    (name,) = changed
    old, new = before[name], after[name]
    if len(new) < len(old):
        return None  # a truncation happens or doesn't
    different = [i for i in range(len(new)) if i >= len(old) or old[i] != new[i]]
    first, last = different[0], different[-1] + 1
    middle = (first + last) // 2
    return {**before, name: new[:middle] + old[middle:]}


def check(folder: Path, snapshot: Snapshot) -> Revision:
    for name in FILES[:2]:
        (folder / name).unlink(missing_ok=True)
    for name in FILES[:2]:
        if name in snapshot:
            (folder / name).write_bytes(snapshot[name])
    store = SqliteStore(folder / "state.db")
    try:
        last: dict[str, tuple[int, bool]] = {}
        for line in snapshot.get("acknowledged", b"").splitlines():
            name, revision, gone = line.decode().split()
            last[name] = (int(revision), gone == "1")
        assert store.revision >= max((revision for revision, _ in last.values()), default=0)
        there = {record.key.name: record for record in store.list("pods").records}
        for name, (revision, gone) in last.items():
            if name not in there:
                assert gone or store.revision > revision, f"{name}, acknowledged at {revision}, is lost"
            else:
                assert there[name].revision >= revision
        for record in there.values():
            assert record.value == b"%d " % record.revision * 300
            assert record.header.uid == str(record.revision)
        return store.revision
    finally:
        asyncio.run(store.close())


def test_kill_9_at_every_system_call_loses_nothing(tmp_path: Path) -> None:
    live, look_at = tmp_path / "live", tmp_path / "then"
    live.mkdir()
    look_at.mkdir()
    snapshots: list[Snapshot] = []

    def look() -> None:
        now = read_files(live)
        if not snapshots or now != snapshots[-1]:
            snapshots.append(now)

    assert run_stopping_at_each_call([sys.executable, "-c", WRITER, str(live)], look) == 0
    middles = [torn(*pair) for pair in pairwise(snapshots)]
    revisions = [check(look_at, one) for one in snapshots]
    assert revisions == sorted(revisions), "a revision went back"
    assert revisions[-1] == 31
    assert len(set(revisions)) > 15, "the tracer saw too few states for this test to mean anything"
    for one in middles:
        if one is not None:
            check(look_at, one)
