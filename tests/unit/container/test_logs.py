"""Records, tails, filters and rotation of CRI logs. Expected values: by hand, and Kubernetes' page on the format."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from pinnace.container.logs import (
    LogFilter,
    LogOptions,
    Record,
    find_tail,
    parse_record,
    read_log,
    rotate_log,
)

T0 = "2026-01-02T03:04:05.000000001+00:00"
Z0 = "2026-01-02T03:04:05.000000001Z"


def line(text: str, *, stream: str = "stdout", tag: str = "F", time: str = T0) -> bytes:
    return f"{time} {stream} {tag} {text}\n".encode()


async def collect(path: Path, **options: object) -> bytes:
    return b"".join([chunk.data async for chunk in read_log(path, LogOptions(**options))])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "record"),
    [
        (f"{T0} stdout F hi there", Record(Z0, "stdout", True, b"hi there\n")),
        (f"{T0} stderr P part", Record(Z0, "stderr", False, b"part")),
        (f"{T0} stdout F ", Record(Z0, "stdout", True, b"\n")),
        (f"{T0} stdout F", Record(Z0, "stdout", True, b"\n")),
        (f"{T0} stdout P:x y", Record(Z0, "stdout", False, b"y")),
        ("garbage", None),
        (f"{T0} stdin F x", None),
    ],
)
def test_record(text: str, record: Record | None) -> None:
    assert parse_record(text.encode()) == record


async def test_parts_are_joined_and_stamped_once(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(line("a", tag="P") + line("oops", stream="stderr") + line("b") + line("c"))
    assert await collect(path) == b"aoops\nb\nc\n"
    assert (
        await collect(path, timestamps=True, streams=frozenset({"stdout"})) == f"{Z0} ab\n{Z0} c\n".encode()
    )


@pytest.mark.parametrize(
    ("count", "expected"), [(0, b""), (1, b"c\n"), (2, b"bb\nc\n"), (3, b"a\nbb\nc\n"), (9, b"a\nbb\nc\n")]
)
async def test_tail_counts_lines_not_records(tmp_path: Path, count: int, expected: bytes) -> None:
    path = tmp_path / "log"
    path.write_bytes(line("a") + line("b", tag="P") + line("b") + line("c"))
    assert await collect(path, tail=count) == expected


async def test_tail_counts_a_line_without_an_end(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(line("a") + line("b") + line("c", tag="P"))
    assert await collect(path, tail=2) == b"b\nc"


def test_tail_is_right_over_many_blocks(tmp_path: Path) -> None:
    path = tmp_path / "log"
    lines = [line(f"{number} " + "x" * (number % 300)) for number in range(5000)]
    path.write_bytes(b"".join(lines))
    descriptor = os.open(path, os.O_RDONLY)
    try:
        for count in (1, 7, 1000, 4999, 5000):
            assert find_tail(descriptor, count) == sum(map(len, lines[: 5000 - count]))
    finally:
        os.close(descriptor)


async def test_since_until_and_limit(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"".join(line(f"{second}", time=f"2026-01-01T00:00:0{second}Z") for second in range(6)))
    base = 1767225600.0  # date -d 2026-01-01T00:00:00Z +%s
    assert await collect(path, since=base + 4) == b"4\n5\n"
    assert await collect(path, since=base + 1, until=base + 2) == b"1\n2\n"
    assert await collect(path, limit_bytes=3) == b"0\n1"
    assert await collect(path, limit_bytes=0) == b""


async def test_missing_log_is_an_empty_one(tmp_path: Path) -> None:
    assert await collect(tmp_path / "log") == b""


async def test_follow_goes_over_rotations_and_ends_with_the_container(tmp_path: Path) -> None:
    path, ended = tmp_path / "log", asyncio.Event()
    collected = b""

    async def follow() -> None:
        nonlocal collected
        async for chunk in read_log(path, LogOptions(follow=True), ended=ended.wait):
            collected += chunk.data
            progress.set()

    async def until(text: bytes) -> None:
        async with asyncio.timeout(10):
            while collected != text:
                progress.clear()
                await progress.wait()

    progress = asyncio.Event()
    task = asyncio.ensure_future(follow())
    with path.open("ab", buffering=0) as old:
        old.write(line("one"))
        await until(b"one\n")
        rotate_log(path)
        old.write(line("late in the old one"))  # the monitor has not been told yet
        await until(b"one\nlate in the old one\n")
    path.write_bytes(line("new"))
    await until(b"one\nlate in the old one\nnew\n")
    with path.open("ab") as stream:
        stream.write(line("last"))
    ended.set()
    await asyncio.wait_for(task, 10)
    assert collected.endswith(b"new\nlast\n")


def test_rotation_keeps_only_so_many(tmp_path: Path) -> None:
    path = tmp_path / "log"
    for number in range(5):
        path.write_text(str(number))
        rotate_log(path, keep=2)
    assert {one.name: one.read_text() for one in tmp_path.iterdir()} == {"log.1": "4", "log.2": "3"}


def test_filter_is_full_at_its_limit() -> None:
    keep = LogFilter(LogOptions(limit_bytes=2))
    assert keep.feed(Record(Z0, "stdout", True, b"abc\n")) is not None
    assert keep.is_full
    assert keep.feed(Record(Z0, "stdout", True, b"d\n")) is None
