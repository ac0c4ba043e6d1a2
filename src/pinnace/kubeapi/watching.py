"""Streams changes to one client, as Kubernetes' watch does.

Called by the handler for every watch. `plan_start` decides where the stream begins; the rest carries it out. The stream
never skips a change: a client that is too slow, or asks for what is forgotten, gets an ERROR event with code 410 and
lists again. Source: Kubernetes v1.36, the API concepts page, "Efficient detection of changes" and "Streaming lists".
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
from aiohttp import web

from pinnace.base.errors import ApiError, PinnaceError, Reason
from pinnace.kube.kinds import Kind
from pinnace.kubeapi.answers import add_warnings
from pinnace.kubeapi.calls import Call
from pinnace.kubeapi.errors import build_status, to_api_error
from pinnace.kubeapi.list_options import ListOptions, parse_revision, read_list_options
from pinnace.kubeapi.negotiation import WATCH_FORMS, YAML, negotiate, not_acceptable
from pinnace.kubeapi.paging import check_reached
from pinnace.kubeapi.presenting import Presenter
from pinnace.kubeapi.selection import Selection, select
from pinnace.kubeapi.watch_wires import ChunkWire, SocketWire, WatchWire, wants_socket
from pinnace.store.interface import Change, Record, Revision, Watch

_encode = msgspec.json.Encoder().encode

INITIAL_EVENTS_END = (
    "k8s.io/initial-events-end"  # Source: Kubernetes v1.36, meta/v1, InitialEventsAnnotationKey
)
_BATCH_BYTES = 64 * 1024
# How much longer than its watch a client may take to read what was sent; then the connection goes.
_LINGER_S = 30.0


@dataclass(frozen=True, slots=True)
class Start:
    """How a watch begins.

    Shape: `since` None means the present; `initial` sends all present objects as ADDED first; `mark_end` says with a
    bookmark that these were all. The present must not be older than `reached`.
    """

    since: Revision | None
    initial: bool
    mark_end: bool
    reached: Revision = Revision(0)


def plan_start(options: ListOptions) -> Start:
    """Return how the watch begins; one that names no revision gets the present objects first.

    Raises: ApiError BadRequest.
    """
    revision = parse_revision(options.revision) if options.names_revision else None
    initial = options.initial if options.initial is not None else revision is None
    if not initial:
        return Start(revision, False, False)
    return Start(None, True, options.bookmarks, revision or Revision(0))


def classify(change: Change, selection: Selection) -> tuple[str, Record] | None:
    """Return the event that a change is to a client who sees only what is selected; None when it isn't concerned.

    An object that stops matching is DELETED, with its last matching state at the new revision; one that starts is ADDED.
    """
    if selection.is_everything:
        return change.type, change.record
    was = change.previous is not None and selection.matches(change.previous)
    if change.type == "DELETED":
        known = was or (change.previous is None and selection.matches(change.record))
        return ("DELETED", change.record) if known else None
    now = selection.matches(change.record)
    if now:
        return ("MODIFIED" if was else "ADDED"), change.record
    if was and change.previous is not None:
        return "DELETED", at_revision(change.previous, change.record.revision)
    return None


def at_revision(record: Record, revision: Revision) -> Record:
    """Return a former state with the revision at which it ceased to be seen, so that a watch can resume from it."""
    document = msgspec.json.decode(record.value)
    document.setdefault("metadata", {})["resourceVersion"] = str(revision)
    return Record(record.header, revision, _encode(document))


async def serve_watch(call: Call) -> web.StreamResponse:
    """Stream until the client leaves, the time is over, or the store ends.

    Raises: ApiError before the first byte only; afterwards errors are events.
    """
    wanted = negotiate(call.accept, WATCH_FORMS)
    if wanted.media_type == YAML:
        raise not_acceptable()  # a stream of YAML has no frames
    presenter = Presenter(call.api.clock, call.kind, wanted, call.query)
    options = read_list_options(call.query, watch=True)
    selection = select(call.api, call.kind, call.query, name=call.name)
    start = plan_start(options)
    stream = _Stream(call, presenter, selection, options)
    wire: WatchWire = SocketWire(call.request) if wants_socket(call.request) else ChunkWire(call.request)
    add_warnings(wire.response, call.warnings)
    await wire.open(wanted.media_type)
    with call.means.figures.watching(call.kind):
        try:
            async with asyncio.timeout(stream.timeout_s + _LINGER_S):
                await _send(wire, stream, start)
        except TimeoutError:
            wire.abort()
        except ConnectionError:
            pass
    return wire.response


async def _send(wire: WatchWire, stream: "_Stream", start: Start) -> None:
    try:
        async with wire.until_hangup():
            async for piece in stream.run(start, wire):
                await wire.send(piece)
    except PinnaceError as error:
        await wire.send(render_event("ERROR", _encode(build_status(to_api_error(error)))))
    await wire.close()


def render_event(type_: str, document: bytes) -> bytes:
    """Return one line of the stream."""
    return b'{"type":"%b","object":%b}\n' % (type_.encode(), document.rstrip())


class _LastLine:
    """The line that was rendered last: a hundred watchers of one kind get the same one in a row."""

    def __init__(self) -> None:
        self._key: tuple[Any, ...] = ()
        self._line = b""

    def render(self, type_: str, record: Record, kind: Kind[Any], presenter: Presenter) -> bytes:
        """Return the line of an event with the whole object in it."""
        key = (type_, record, kind)
        if len(self._key) == 3 and self._key[1] is record and self._key[0] == type_ and self._key[2] is kind:
            return self._line
        self._key, self._line = key, render_event(type_, presenter.in_event(record, first=False))
        return self._line


_LAST = _LastLine()


class _Stream:
    """One client's stream of lines. Units: `timeout_s` seconds."""

    def __init__(self, call: Call, presenter: Presenter, selection: Selection, options: ListOptions) -> None:
        self._call = call
        self._presenter = presenter
        self._selection = selection
        self._first = True
        self._sent = call.means.figures.watch_events
        settings = call.means.settings
        chance = call.api.chance.random()
        # Source: Kubernetes v1.37, apiserver/pkg/endpoints/handlers/get.go, handleWatch: 0 is the server's own choice.
        self.timeout_s = float(options.timeout_s or settings.watch_timeout_s * (1 + chance))
        self._bookmarks = options.bookmarks
        self._bookmark_interval_s = settings.bookmark_interval_s

    async def run(self, start: Start, wire: WatchWire) -> AsyncIterator[bytes]:
        """Yield pieces of whole lines; what comes while nobody waits goes to the wire at once."""
        api, kind, namespace = self._call.api, self._call.kind, self._call.namespace or None
        check_reached(api, start.reached)
        records: tuple[Record, ...] = ()
        since = start.since
        if since is None:
            # Listing and watch start in the same turn of the loop: no change can come between them.
            listing = api.list_raw(kind, namespace)
            since = listing.revision
            records = listing.records if start.initial else ()
        watch = self._open(since)
        try:
            for piece in self._render_initial(records):
                yield piece
            if start.mark_end:
                yield self._render_bookmark(since, {INITIAL_EVENTS_END: "true"})
            watch.sink = self._pusher(wire)
            async for piece in self._follow(watch):
                yield piece
        finally:
            watch.close()

    def _open(self, since: Revision) -> Watch:
        """Raises: Compacted; ApiError Expired for a revision of another store, from which nobody can go on."""
        api, kind = self._call.api, self._call.kind
        if since > api.store.revision:
            why = f"too large resource version: {since}, current: {api.store.revision}"
            raise ApiError(Reason.EXPIRED, why)
        watch = api.store.watch(kind.resource, self._call.namespace or None, since=since)
        if kind.custom is not None:
            api.kinds.close_with(kind, watch)
        return watch

    def _render_initial(self, records: tuple[Record, ...]) -> Iterator[bytes]:
        batch: list[bytes] = []
        size = 0
        for record in records:
            if not self._selection.matches(record):
                continue
            line = self._render(("ADDED", record))
            batch.append(line)
            size += len(line)
            if size > _BATCH_BYTES:
                yield b"".join(batch)
                batch, size = [], 0
        if batch:
            yield b"".join(batch)

    async def _follow(self, watch: Watch) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        end = loop.time() + self.timeout_s
        next_mark = loop.time() + self._bookmark_interval_s if self._bookmarks else end
        while (changes := await watch.some(min(end, next_mark) - loop.time())) is not None:
            events = [classify(change, self._selection) for change in changes]
            lines = [self._render(event) for event in events if event is not None]
            now = loop.time()
            if self._bookmarks and now >= next_mark:
                lines.append(self._render_bookmark(watch.revision, {}))
                next_mark = now + self._bookmark_interval_s
            if lines:
                yield lines[0] if len(lines) == 1 else b"".join(lines)
            if now >= end:
                return

    def _pusher(self, wire: WatchWire) -> Callable[[Change], bool]:
        def push(change: Change) -> bool:
            if not wire.has_room():
                return False
            try:
                event = classify(change, self._selection)
                if event is not None:
                    wire.push(self._render(event))
            except Exception:  # noqa: BLE001 - the reader meets it again, and can say so to the client
                return False
            return True

        return push

    def _render(self, event: tuple[str, Record]) -> bytes:
        type_, record = event
        first, self._first = self._first, False
        self._sent[self._call.kind] += 1
        if not self._presenter.is_plain:
            return render_event(type_, self._presenter.in_event(record, first=first))
        return _LAST.render(type_, record, self._call.kind, self._presenter)

    def _render_bookmark(self, revision: Revision, annotations: dict[str, str]) -> bytes:
        return render_event("BOOKMARK", self._presenter.bookmark(revision, annotations))
