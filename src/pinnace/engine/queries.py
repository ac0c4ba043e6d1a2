"""Answers questions about containers, and opens sessions with those that run: list, inspect, logs, attach, exec. A doer.

Called by `ownapi/`. Changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

from pinnace.base.errors import ApiError, Reason
from pinnace.container.execs import ExecSession
from pinnace.container.logs import LogOptions, read_log
from pinnace.container.streams import Chunk
from pinnace.engine import status
from pinnace.engine.book import Book, Entry
from pinnace.engine.filters import Subject, matches, parse_filters
from pinnace.engine.maker import Maker
from pinnace.engine.prober import Prober
from pinnace.engine.request import ExecRequest
from pinnace.engine.views import inspect_document, list_row
from pinnace.image.store import ImageStore
from pinnace.sandbox.sandboxes import Sandboxes


class Queries:
    """The readings of one engine."""

    def __init__(
        self, book: Book, maker: Maker, sandboxes: Sandboxes, images: ImageStore, prober: Prober
    ) -> None:
        self._book = book
        self._maker = maker
        self._sandboxes = sandboxes
        self._images = images
        self._prober = prober

    def list(self, *, all_states: bool = False, filters: Iterable[str] = ()) -> list[dict[str, Any]]:
        """Return the rows of `ps`, newest first. A filter by status or exit code shows ended ones too. Raises: UserError."""
        wanted = parse_filters(filters)
        every = all_states or "status" in wanted or "exited" in wanted
        found = [
            entry
            for entry in self._book
            if (every or entry.is_running) and matches(self._subject(entry), wanted)
        ]
        return [list_row(entry.container) for entry in reversed(found)]

    def _subject(self, entry: Entry) -> Subject:
        image = self._images.resolve(entry.spec.image_id)
        names = tuple(reference.familiar for reference in image.references) if image else ()
        return Subject(entry.container, names)

    def inspect(self, reference: str) -> dict[str, Any]:
        """Return Docker's inspect document. Raises: ApiError NotFound."""
        entry = self._book.find(reference)
        handle = self._sandboxes.get_container(entry.id)
        return inspect_document(
            entry.container,
            volumes=self._maker.volume_folders(entry.container),
            log_path=str(self._maker.log_path(entry.id)),
            rootfs=handle.rootfs if handle is not None else "",
            health=self._prober.find(entry.id),
        )

    def logs(self, reference: str, options: LogOptions) -> AsyncIterator[Chunk]:
        """Give a container's log, of all its runs; with `follow`, until it has ended and isn't about to start again."""
        return self._read_log(self._book.find(reference), options)

    def _read_log(self, entry: Entry, options: LogOptions) -> AsyncIterator[Chunk]:
        return read_log(self._maker.log_path(entry.id), options, ended=entry.idle.wait)

    async def read_rest(self, entry: Entry, given: Mapping[str, int]) -> AsyncIterator[Chunk]:
        """Give from the log what a reader of the stdio, who was too slow, has not got; `given` counts his bytes of each stream.

        He was attached from the start, so that the log begins where his output did (but for earlier runs).
        """
        skip = dict(given)
        async for chunk in self._read_log(entry, LogOptions(follow=True)):
            drop = min(skip.get(chunk.stream, 0), len(chunk.data))
            skip[chunk.stream] = skip.get(chunk.stream, 0) - drop
            if drop < len(chunk.data):
                yield Chunk(chunk.stream, chunk.data[drop:])
            await asyncio.sleep(0)

    def resize(self, reference: str, height: int, width: int) -> None:
        """Set the size of a container's terminal."""
        self._sandboxes.resize(self._book.find(reference).id, height, width)

    async def exec(self, reference: str, request: ExecRequest) -> ExecSession:
        """Start one more process in a running container; `close` the session in the end. Raises: ApiError, UserError, HostError."""
        entry = self.find_running(reference, "exec in")
        return await self._sandboxes.exec(
            entry.id,
            request.command,
            tty=request.tty,
            stdin=request.stdin,
            env=request.env,
            user=request.user,
            cwd=request.workdir,
            privileged=request.privileged,
        )

    def find_running(self, reference: str, verb: str) -> Entry:
        """Return a container that runs; `verb` is what can't be done else. Raises: ApiError NotFound, Conflict."""
        entry = self._book.find(reference)
        if entry.status.state == status.RUNNING:
            return entry
        if entry.status.state == status.RESTARTING:
            message = f"Container {entry.id} is restarting, wait until the container is running"
        else:
            message = f"container {entry.id} is not running"
        raise ApiError(
            Reason.CONFLICT,
            message,
            kind="containers",
            name=entry.spec.name,
            hint=f"to {verb} it, start it: pinnace start {reference}",
        )
