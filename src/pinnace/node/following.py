"""Follows kinds of objects for the agent: every change is noted, and a watch that ends is begun anew. A doer.

Invariant: what changed or went while no watch was open is looked at once the next one is.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from pinnace.api.facade import Api, ObjectChange
from pinnace.base.clock import Clock
from pinnace.base.errors import ApiError
from pinnace.base.tasks import Tasks
from pinnace.kube.kinds import Kind

log = logging.getLogger("pinnace.node")

WATCH_RETRY_S = 1.0

Note = Callable[[ObjectChange[Any]], None]


class Following:
    """The watches of one node. `on_begin` is called when a watch begins: to look at all that is known anew."""

    def __init__(self, api: Api, clock: Clock, tasks: Tasks, on_begin: Callable[[], None]) -> None:
        self._api = api
        self._clock = clock
        self._tasks = tasks
        self._on_begin = on_begin

    def follow(self, kind: Kind[Any], note: Note) -> None:
        """Call `note`, which must not await, for every object that is there and every change from now on."""
        self._tasks.spawn(self._run(kind, note), kind.plural, forever=True)

    async def _run(self, kind: Kind[Any], note: Note) -> None:
        while True:
            watch = self._api.watch(kind)
            self._on_begin()
            try:
                async for change in watch:
                    _guard(note, change)
            except ApiError as error:  # too old a revision: the next watch begins with all that is there
                log.info("watch of %s starts anew: %s", kind.plural, error)
            finally:
                watch.close()
            await self._clock.sleep(WATCH_RETRY_S)


def _guard(note: Note, change: ObjectChange[Any]) -> None:
    try:
        note(change)
    except Exception:  # one object that can't be read must not deafen the node
        meta = change.object.metadata
        log.exception("%s of %s/%s", change.type, meta.namespace, meta.name)
