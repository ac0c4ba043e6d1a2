"""Measures the store: durable writes per second, and what 10,000 pods cost.

Run: python benchmarks/store_writes.py [FOLDER]   (FOLDER is on the disk to measure; default: a temporary one)

The peer, in the same run on the same disk: SQLite itself, one INSERT and one fsync per transaction, no batches.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sqlite3
import sys
import tempfile
import time
from pathlib import Path

from pinnace.store.interface import Header, Key
from pinnace.store.log_store import LogStore
from pinnace.store.memory import MemoryStore
from pinnace.store.sqlite import SqliteStore

SECONDS = 3.0
VALUE = b'{"kind":"Pod","metadata":{"name":"web"},"spec":"' + os.urandom(725).hex().encode() + b'"}'  # 1.5 kB


def measure_peer(folder: Path) -> float:
    db = sqlite3.connect(folder / "peer.db", isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("CREATE TABLE log (revision INTEGER PRIMARY KEY, value BLOB)")
    writes, end = 0, time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        db.execute("INSERT INTO log (value) VALUES (?)", (VALUE,))
        writes += 1
    db.close()
    return writes / SECONDS


async def measure_writes(store: LogStore, writers: int) -> float:
    end = time.perf_counter() + SECONDS
    writes = 0

    async def write(number: int) -> None:
        nonlocal writes
        key = Key("pods", "default", f"w{writers}-{number}")
        header = Header(key=key, uid=str(number), labels={"app": "web"}, fields={"spec.nodeName": "n1"})
        record = await store.create(key, lambda revision: (header, VALUE))
        while time.perf_counter() < end:
            record = await store.update(key, record.revision, lambda revision: (header, VALUE))
            writes += 1

    await asyncio.gather(*(write(number) for number in range(writers)))
    return writes / SECONDS


def resident_mib() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


async def fill(store: LogStore, count: int) -> None:
    async def one(number: int) -> None:
        key = Key("pods", "default", f"web-{number:05}")
        header = Header(
            key=key,
            uid=f"{number:032x}",
            labels={"app": "web", "pod-template-hash": "5d5f7b8c9"},
            owners=("0" * 32,),
            fields={
                "spec.nodeName": f"node-{number % 100}",
                "status.phase": "Running",
                "metadata.name": key.name,
            },
        )
        await store.create(key, lambda revision: (header, VALUE + b"%d" % revision))

    for start in range(0, count, 500):
        await asyncio.gather(*(one(number) for number in range(start, start + 500)))


async def main(folder: Path) -> None:
    print(f"peer: SQLite alone, one writer, 1.5 kB     {measure_peer(folder):9,.0f} writes/s")
    for name, store in (("SqliteStore", SqliteStore(folder / "state.db")), ("MemoryStore", MemoryStore())):
        for writers in (1, 16, 64):
            print(
                f"{name}, {writers:2} writers, 1.5 kB             {await measure_writes(store, writers):9,.0f} writes/s"
            )
        await store.close()

    path = folder / "ten-thousand.db"
    store = SqliteStore(path)
    await fill(store, 10_000)
    await store.close()
    process = await asyncio.create_subprocess_exec(
        sys.executable, __file__, "--open", path
    )  # fresh: true memory figure
    await process.wait()


async def measure_opening(path: Path) -> None:
    before, began = resident_mib(), time.perf_counter()
    store = SqliteStore(path)
    seconds = time.perf_counter() - began
    gc.collect()
    print(
        f"10,000 pods of 1.5 kB: opened in {seconds * 1000:,.0f} ms, {resident_mib() - before:,.0f} MiB more resident"
    )
    began = time.perf_counter()
    store.list("pods")
    print(f"10,000 pods listed as bytes in {(time.perf_counter() - began) * 1000:,.1f} ms", flush=True)
    await store.close()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--open"]:
        asyncio.run(measure_opening(Path(sys.argv[2])))
    else:
        with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as place:
            asyncio.run(main(Path(place)))
