"""Keeps Container objects in the store as the engine knows them. A doer.

A creation and a deletion are on disk when they return; a status is written a moment later, the newest one only, so that a
container that lives for a blink costs no write between its birth and its end. What is lost by that when the daemon dies,
the next one reads off the sandbox's records. Invariant: a status is never written for an object that is being deleted.
"""

from __future__ import annotations

import asyncio
import logging

from msgspec.structs import replace

from pinnace.api.facade import Api
from pinnace.base.clock import Clock
from pinnace.base.errors import ApiError, PinnaceError, Reason
from pinnace.base.tasks import Tasks
from pinnace.kube.kinds import CONTAINER
from pinnace.kube.objects.pinnace_v1 import Container, ContainerStatus

log = logging.getLogger("pinnace.engine")

WRITE_DELAY_S = 0.2


class Records:
    """The Container objects of one instance."""

    def __init__(self, api: Api, clock: Clock) -> None:
        self._api = api
        self._clock = clock
        self._tasks = Tasks("engine-records")
        self._dirty: dict[str, ContainerStatus] = {}
        self._wake = asyncio.Event()

    def start(self) -> None:
        """Begin to write what is noted."""
        self._tasks.spawn(self._run(), "write statuses", forever=True)

    async def close(self) -> None:
        """Write what is still to be written, and end."""
        await self._tasks.close()
        for container_id in list(self._dirty):
            await self.flush(container_id)

    def list(self) -> tuple[Container, ...]:
        return self._api.list(CONTAINER)

    async def create(self, container: Container) -> None:
        """Write a new object. Raises: ApiError."""
        await self._api.create(container)

    def note(self, container: Container) -> None:
        """Have the status written soon."""
        self._dirty[container.metadata.name] = container.status
        self._wake.set()

    async def flush(self, container_id: str) -> None:
        """Write a noted status now."""
        status = self._dirty.pop(container_id, None)
        if status is None:
            return
        try:
            await self._api.change(CONTAINER, "", container_id, lambda old: replace(old, status=status))
        except ApiError as error:
            if error.reason is not Reason.NOT_FOUND:
                log.error("the status of container %s can't be written: %s", container_id[:12], error.message)

    async def delete(self, container_id: str) -> None:
        """Remove the object; fine when it is gone."""
        self._dirty.pop(container_id, None)
        try:
            await self._api.delete(CONTAINER, "", container_id)
        except ApiError as error:
            if error.reason is not Reason.NOT_FOUND:
                raise

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            await self._clock.sleep(WRITE_DELAY_S)
            self._wake.clear()
            for container_id in list(self._dirty):
                try:
                    await self.flush(container_id)
                except PinnaceError as error:
                    log.error("the status of container %s can't be written: %s", container_id[:12], error)
