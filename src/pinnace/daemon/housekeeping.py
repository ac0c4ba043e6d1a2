"""Does now and then what nothing tells of: rotates the logs that have grown. A doer."""

from __future__ import annotations

import logging
from collections.abc import Callable

from pinnace.base.clock import Clock
from pinnace.base.tasks import Tasks
from pinnace.sandbox.sessions import Sessions

log = logging.getLogger("pinnace.daemon")

LOGS_S = (
    10.0  # Source: KubeletConfiguration, containerLogMonitorInterval; a poll: every write would wake a watch
)


class Housekeeping:
    """The regular rounds of one instance."""

    def __init__(
        self,
        sandboxes: Sessions,
        clock: Clock,
        on_failure: Callable[[str, BaseException], None] | None = None,
    ) -> None:
        self._sandboxes = sandboxes
        self._clock = clock
        self._tasks = Tasks("housekeeping", on_failure)

    def start(self) -> None:
        self._tasks.spawn(self._rotate_logs(), "logs", forever=True)

    async def close(self) -> None:
        await self._tasks.close()

    async def _rotate_logs(self) -> None:
        while True:
            await self._clock.sleep(LOGS_S)
            try:
                for container in self._sandboxes.rotate_logs():
                    log.debug("the log of %s was rotated", container)
            except OSError as error:
                log.warning("logs can't be rotated: %s", error)
