"""Records what happens to objects as Events; decided in `events.py` and `event_spam.py`.

Used by the facade. Never fails its caller: what can't be recorded is said in the log.
Invariant: occurrences about one object are recorded one after the other, so that equal ones are counted, not repeated.
"""

import logging
from typing import Any

from pinnace.api import events as occurrences
from pinnace.api.context import SYSTEM
from pinnace.api.event_spam import EventSpam
from pinnace.api.prepare import Part
from pinnace.api.reads import Reader, key_of
from pinnace.api.write import Writer
from pinnace.base.clock import Clock
from pinnace.base.errors import ApiError, PinnaceError
from pinnace.base.locks import KeyedLocks
from pinnace.kube.kinds import EVENT
from pinnace.kube.objects.core_v1 import Event

log = logging.getLogger("pinnace.api")


class Recorder:
    """Writes Events."""

    def __init__(self, reader: Reader, writer: Writer, clock: Clock) -> None:
        self._reader = reader
        self._writer = writer
        self._clock = clock
        self._spam = EventSpam()
        self._locks = KeyedLocks()
        self._stamp = 0

    async def record(
        self,
        regarding: Any,
        type: str,
        reason: str,
        message: str,
        *,
        component: str,
        host: str = "",
        action: str = "",
    ) -> Event | None:
        """Record an occurrence; None when it is not kept."""
        now = self._clock.now()
        event = occurrences.make_event(
            occurrences.refer_to(regarding),
            type,
            reason,
            message,
            component=component,
            host=host,
            action=action,
            unique=self._next_name(now),
            now=now,
        )
        try:
            async with self._locks.hold(event.involved_object.uid or event.involved_object.name):
                return await self._count_or_create(event, now)
        except PinnaceError as error:
            # In a namespace that goes nothing can be created, and what goes with it says a lot.
            level = logging.DEBUG if _namespace_goes(error) else logging.WARNING
            log.log(level, "event %s of %s not recorded: %s", reason, event.metadata.name, error)
            return None

    def _next_name(self, now: float) -> str:
        """Return the time in nanoseconds, in hexadecimal digits: lists are in order of names, so in that of occurrence."""
        self._stamp = max(self._stamp + 1, int(now * 1e9))
        return f"{self._stamp:016x}"

    async def _count_or_create(self, event: Event, now: float) -> Event | None:
        stored = self._reader.by_field(EVENT, "involvedObject.uid", event.involved_object.uid)
        found = occurrences.correlate(stored, event, now)
        times = 1
        if not event.event_time:  # the newer form has its series, and no such limit
            times = self._spam.take(
                occurrences.source_of(event), occurrences.identity_of(found.repeats or found.event), now
            )
        if not times:
            log.debug("event %s of %s not recorded: too many of them", event.reason, event.metadata.name)
            return None
        repeats = found.repeats
        if repeats is None:
            return await self._writer.create(EVENT, found.event, None, SYSTEM)
        key = key_of(EVENT, repeats.metadata.namespace, repeats.metadata.name)

        def repeated(old: Event) -> Event:
            return occurrences.repeat(old, found.event, now, times=times)

        return await self._writer.change(EVENT, key, repeated, Part.MAIN, SYSTEM, prepared=True)


def _namespace_goes(error: PinnaceError) -> bool:
    return isinstance(error, ApiError) and any(
        cause.reason == "NamespaceTerminating" for cause in error.causes
    )
