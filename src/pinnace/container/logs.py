"""Reads container logs in the CRI format, also while they grow and are rotated. A doer; inotify, no polling.

One record a line: TIME STREAM TAG TEXT, where the tag is F for a full line and P for a part that the next record goes on
with. Source: Kubernetes, "CRI container log format" (design proposals, kubelet-cri-logging).
Called by `sandbox/` for pods' and containers' logs. Invariant: a record is given once, whole, and in order, across rotations.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pinnace.base.errors import HostError
from pinnace.base.times import parse_time
from pinnace.container.readiness import wait_readable
from pinnace.container.streams import Chunk, StreamName
from pinnace.container.system import IN_CREATE, IN_MODIFY, IN_MOVED_TO, inotify_add, inotify_init

_BLOCK_BYTES = 128 * 1024
_TURN_BYTES = 16 * 1024  # what is parsed in one turn of the loop: some 400 short lines, a few milliseconds
_MAX_ROTATED = 4


@dataclass(frozen=True, slots=True)
class LogOptions:
    """Which part of a log, and how. `tail` counts lines; `since` and `until` are seconds since 1970."""

    follow: bool = False
    tail: int | None = None
    since: float | None = None
    until: float | None = None
    timestamps: bool = False
    limit_bytes: int | None = None
    streams: frozenset[StreamName] = frozenset(("stdout", "stderr"))


@dataclass(frozen=True, slots=True)
class Record:
    """One record. `text` ends with a newline unless it is a part (`full` is False)."""

    time: str
    stream: StreamName
    full: bool
    text: bytes


def parse_record(line: bytes) -> Record | None:
    """Return the record in a line (without its newline); None when the line is none.

    Example: b"2026-01-02T03:04:05.6+00:00 stdout F hi" is (2026-01-02T03:04:05.6Z, stdout, full, b"hi\\n").
    """
    fields = line.split(b" ", 3)
    if len(fields) < 3 or fields[1] not in (b"stdout", b"stderr"):
        return None
    time, stream, tag = fields[0].decode(errors="replace"), fields[1], fields[2].split(b":")[0]
    full = tag != b"P"
    text = fields[3] if len(fields) == 4 else b""
    if time.endswith("+00:00"):
        time = f"{time[:-6]}Z"
    return Record(time, "stdout" if stream == b"stdout" else "stderr", full, text + b"\n" if full else text)


class LogFilter:
    """Turns records into chunks for one reader: time, streams, timestamps, and the limit. Pure.

    `is_full` says that nothing more will be given.
    """

    def __init__(self, options: LogOptions) -> None:
        self._options = options
        self._left = options.limit_bytes
        self._inside: dict[str, bool] = {}
        self.is_full = options.limit_bytes == 0

    def feed(self, record: Record) -> Chunk | None:
        options = self._options
        begins = not self._inside.get(record.stream, False)
        self._inside[record.stream] = not record.full
        if self.is_full or record.stream not in options.streams:
            return None
        if options.since is not None and _seconds(record.time) < options.since:
            return None
        if options.until is not None and _seconds(record.time) > options.until:
            self.is_full = True
            return None
        data = record.text
        if options.timestamps and begins:
            data = record.time.encode() + b" " + data
        if self._left is not None:
            data = data[: self._left]
            self._left -= len(data)
            self.is_full = self._left <= 0
        return Chunk(record.stream, data)


def _seconds(time: str) -> float:
    try:
        return parse_time(time)
    except ValueError:
        return 0.0


async def read_log(
    path: Path, options: LogOptions, *, ended: Callable[[], Awaitable[object]] | None = None
) -> AsyncIterator[Chunk]:
    """Give a log's chunks. With `follow` it goes on until `ended` returns and all is read; without `ended`, for ever.

    A log that doesn't exist yet is an empty one. Raises: HostError when the file can't be read.
    """
    reader = _Reader(path, LogFilter(options))
    waiter: asyncio.Future[Any] | None = None
    inotify = inotify_init() if options.follow else -1
    try:
        if options.follow:
            # Watched before the first read, so that nothing that is written in between is missed. The folder's watch
            # tells of a new file after a rotation and, since conmon keeps it open, of each write to the one in it.
            inotify_add(inotify, path.parent, IN_MODIFY | IN_CREATE | IN_MOVED_TO)
            if ended is not None:
                waiter = asyncio.ensure_future(_await(ended))
        reader.open(options.tail)
        while True:
            over = waiter is None and not options.follow
            if waiter is not None and waiter.done():
                over = True
            async for chunk in reader.read_present():
                yield chunk
            if over or reader.is_full:
                return
            await _wait_change(inotify, waiter)
    except OSError as error:
        raise HostError(f"the log {path} can't be read: {error.strerror}", errno=error.errno) from error
    finally:
        if waiter is not None:
            waiter.cancel()
        reader.close()
        if (
            inotify >= 0
        ):  # in a thread: the kernel waits until nobody looks at the watches any more, 10 ms and more
            await asyncio.shield(asyncio.get_running_loop().run_in_executor(None, os.close, inotify))


async def _await(ended: Callable[[], Awaitable[object]]) -> object:
    return await ended()


async def _wait_change(inotify: int, waiter: asyncio.Future[Any] | None) -> None:
    changed: asyncio.Future[Any] = asyncio.ensure_future(wait_readable(inotify))
    waiting = [changed] if waiter is None else [changed, waiter]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        changed.cancel()
        await asyncio.gather(changed, return_exceptions=True)
    try:
        os.read(inotify, 65536)
    except BlockingIOError:
        return


class _Reader:
    """A log file that is being read, and the one that follows it at the same path."""

    def __init__(self, path: Path, keep: LogFilter) -> None:
        self._path = path
        self._filter = keep
        self._descriptor = -1
        self._rest = b""

    @property
    def is_full(self) -> bool:
        return self._filter.is_full

    def open(self, tail: int | None) -> None:
        try:
            self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        if tail is not None:
            os.lseek(self._descriptor, find_tail(self._descriptor, tail), os.SEEK_SET)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    async def read_present(self) -> AsyncIterator[Chunk]:
        """Give all that there is now, going over to the next file when this one was rotated away."""
        for _ in range(1000):
            rotated = (
                self._is_rotated()
            )  # asked before the last read: then nothing can be written to the old one any more
            while data := self._read_block():
                for chunk in _join(self._feed(data)):
                    yield chunk
                if self.is_full:
                    return
                await asyncio.sleep(0)  # a long log must not hold up the loop
            if not rotated:
                return
            self.close()
            self._rest = b""
            self.open(None)

    def _read_block(self) -> bytes:
        return os.read(self._descriptor, _TURN_BYTES) if self._descriptor >= 0 else b""

    def _is_rotated(self) -> bool:
        try:
            now = os.stat(self._path)
        except FileNotFoundError:
            return False  # renamed; the monitor makes the new one when it is told
        if self._descriptor < 0:
            return True
        held = os.fstat(self._descriptor)
        return (now.st_dev, now.st_ino) != (held.st_dev, held.st_ino)

    def _feed(self, data: bytes) -> Iterator[Chunk]:
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            record = parse_record(line)
            chunk = self._filter.feed(record) if record else None
            if chunk is not None and chunk.data:
                yield chunk


def _join(chunks: Iterator[Chunk]) -> Iterator[Chunk]:
    """Put neighbours of the same stream together: one write to the client rather than one a line."""
    stream: StreamName = "stdout"
    held: list[bytes] = []
    for chunk in chunks:
        if held and chunk.stream != stream:
            yield Chunk(stream, b"".join(held))
            held = []
        stream = chunk.stream
        held.append(chunk.data)
    if held:
        yield Chunk(stream, b"".join(held))


def find_tail(descriptor: int, lines: int) -> int:
    """Return the offset at which the last `lines` lines begin, with the parts that belong to them.

    A line that has no end yet (or never got one) is a line too, as for tail(1). Example: of "a F", "b P", "b F" the last
    one begins at "b P"; of "a F", "b P" as well.
    """
    position = os.fstat(descriptor).st_size
    if lines <= 0:
        return position
    rest = b""
    found = 0
    is_last = True
    while position > 0:
        size = min(_BLOCK_BYTES, position)
        position -= size
        block = os.pread(descriptor, size, position) + rest
        parts = block.split(b"\n")
        # parts[0] may have begun in an earlier block: keep it for that one.
        offset = position + len(block)
        for index in range(len(parts) - 1, 0 if position > 0 else -1, -1):
            line = parts[index]
            offset -= len(line)
            if line and (_is_full(line) or is_last):
                is_last = False
                found += 1
                if found > lines:
                    return offset + len(line) + 1
            offset -= 1
        rest = parts[0]
    return 0


def _is_full(line: bytes) -> bool:
    fields = line.split(b" ", 3)
    return len(fields) >= 3 and fields[2].split(b":")[0] != b"P"


def rotate_log(path: Path, keep: int = _MAX_ROTATED) -> None:
    """Rename a log to PATH.1, PATH.1 to PATH.2 …, and remove the oldest; the caller then has the monitor reopen it."""
    if keep <= 0:
        return
    numbered = [path.with_name(f"{path.name}.{number}") for number in range(1, keep + 1)]
    numbered[-1].unlink(missing_ok=True)
    for older, newer in zip(reversed(numbered[1:]), reversed(numbered[:-1]), strict=True):
        if newer.exists():
            newer.rename(older)
    if path.exists():
        path.rename(numbered[0])
