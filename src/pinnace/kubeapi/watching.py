"""Streams changes to one client, as Kubernetes' watch does.

Called by the handler for every watch. `plan_start` decides where the stream begins; the rest carries it out. The stream
never skips a change: a client that is too slow, or asks for what is forgotten, gets an ERROR event with code 410 and
lists again. Source: Kubernetes v1.36, the API concepts page, "Efficient detection of changes" and "Streaming lists".
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
from aiohttp import web

from pinnace.base.errors import ApiError, Cause, PinnaceError, Reason
from pinnace.kubeapi.calls import Call
from pinnace.kubeapi.errors import build_status, to_api_error
from pinnace.kubeapi.negotiation import WATCH_FORMS, negotiate
from pinnace.kubeapi.paging import parse_revision
from pinnace.kubeapi.presenting import Presenter
from pinnace.kubeapi.query import Query
from pinnace.kubeapi.selection import Selection, select
from pinnace.store.interface import Change, Record, Revision

_encode = msgspec.json.Encoder().encode

INITIAL_EVENTS_END = (
    "k8s.io/initial-events-end"  # Source: Kubernetes v1.36, meta/v1, InitialEventsAnnotationKey
)
_BATCH_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Start:
    """How a watch begins.

    Shape: `since` None means the present; `initial` sends all present objects as ADDED first; `mark_end` says with a
    bookmark that these were all.
    """

    since: Revision | None
    initial: bool
    mark_end: bool


def plan_start(query: Query) -> Start:
    """Return how the watch begins. Raises: ApiError Invalid, BadRequest."""
    text, match = query.text("resourceVersion"), query.text("resourceVersionMatch")
    streamed = query.flag("sendInitialEvents") if "sendInitialEvents" in query else None
    if streamed is None:
        if match:
            raise _forbidden_option(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            )
        from_now = text in ("", "0")
        return Start(None if from_now else parse_revision(text), from_now, False)
    if match != "NotOlderThan":
        raise _forbidden_option(
            "resourceVersionMatch", "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
        )
    if text not in ("", "0"):
        parse_revision(text)
    if streamed:
        return Start(None, True, query.flag("allowWatchBookmarks"))
    return Start(None if text in ("", "0") else parse_revision(text), False, False)


def _forbidden_option(field: str, why: str) -> ApiError:
    return ApiError(
        Reason.INVALID,
        f'ListOptions.meta.k8s.io "" is invalid: {field}: Forbidden: {why}',
        kind="ListOptions",
        group="meta.k8s.io",
        causes=(Cause("FieldValueForbidden", f"Forbidden: {why}", field),),
    )


def classify(change: Change, selection: Selection) -> tuple[str, Record] | None:
    """Return the event that a change is to a client who sees only what is selected; None when it isn't concerned.

    An object that stops matching is DELETED, with its last matching state at the new revision; one that starts is ADDED.
    """
    if selection.is_everything:
        return change.type, change.record
    was = change.previous is not None and selection.matches(change.previous)
    if change.type == "DELETED":
        # `previous` is what the client knows; a deletion may come with a last change of labels.
        return ("DELETED", change.record) if was or selection.matches(change.record) else None
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
    presenter = Presenter(call.api.clock, call.kind, wanted, call.query)
    selection = select(call.api, call.kind, call.query, name=call.name)
    start = plan_start(call.query)
    stream = _Stream(call, presenter, selection)
    headers = {"Content-Type": wanted.media_type, "Cache-Control": "no-cache, private"}
    response = web.StreamResponse(headers=headers)
    response.enable_chunked_encoding()
    await response.prepare(call.request)
    try:
        async for piece in stream.run(start):
            await response.write(piece)
    except PinnaceError as error:
        await response.write(render_event("ERROR", _encode(build_status(to_api_error(error)))))
    except ConnectionError:
        return response
    await response.write_eof()
    return response


def render_event(type_: str, document: bytes) -> bytes:
    """Return one line of the stream."""
    return b'{"type":"%b","object":%b}\n' % (type_.encode(), document.rstrip())


class _Stream:
    """One client's stream of lines."""

    def __init__(self, call: Call, presenter: Presenter, selection: Selection) -> None:
        self._call = call
        self._presenter = presenter
        self._selection = selection
        self._first = True
        settings = call.means.settings
        timeout = call.query.number("timeoutSeconds")
        chance = call.api.chance.random()
        self._timeout_s = float(timeout) if timeout else settings.watch_timeout_s * (1 + chance)
        self._bookmarks = call.query.flag("allowWatchBookmarks")
        self._bookmark_interval_s = settings.bookmark_interval_s

    async def run(self, start: Start) -> AsyncIterator[bytes]:
        """Yield pieces of whole lines."""
        api, kind, namespace = self._call.api, self._call.kind, self._call.namespace or None
        records: tuple[Record, ...] = ()
        since = start.since
        if since is None:
            # Listing and watch start in the same turn of the loop: no change can come between them.
            listing = api.list_raw(kind, namespace)
            since = listing.revision
            records = listing.records if start.initial else ()
        watch = api.store.watch(kind.resource, namespace, since=since)
        try:
            for piece in self._render_initial(records):
                yield piece
            if start.mark_end:
                yield self._render_bookmark(since, {INITIAL_EVENTS_END: "true"})
            async for piece in self._follow(watch):
                yield piece
        finally:
            watch.close()

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

    async def _follow(self, watch: Any) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        end = loop.time() + self._timeout_s
        next_mark = loop.time() + self._bookmark_interval_s if self._bookmarks else end
        while True:
            try:
                async with asyncio.timeout_at(min(end, next_mark)):
                    change = await anext(watch)
            except StopAsyncIteration:
                return
            except TimeoutError:
                if self._bookmarks:
                    yield self._render_bookmark(watch.revision, {})
                if loop.time() >= end:
                    return
                next_mark = loop.time() + self._bookmark_interval_s
                continue
            event = classify(change, self._selection)
            if event is not None:
                yield self._render(event)

    def _render(self, event: tuple[str, Record]) -> bytes:
        type_, record = event
        first, self._first = self._first, False
        return render_event(type_, self._presenter.in_event(record, first=first))

    def _render_bookmark(self, revision: Revision, annotations: dict[str, str]) -> bytes:
        return render_event("BOOKMARK", self._presenter.bookmark(revision, annotations))
