"""Does the health checks of containers that run, and tells what came of them. A doer; one task for each container.

Called by `lives` when a container begins and ends. What the results mean is decided in `health`.
Invariant: a container has one task at most, and only while it runs; a check that hangs is killed in time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from pinnace.base.clock import Clock
from pinnace.base.errors import PinnaceError
from pinnace.base.tasks import Tasks
from pinnace.engine import health
from pinnace.engine.health import Health, Result
from pinnace.kube.objects.pinnace_v1 import HealthProbe
from pinnace.sandbox.sandboxes import Sandboxes

OnHealth = Callable[[Health], None]


class Prober:
    """The checks of one engine's containers."""

    def __init__(self, sandboxes: Sandboxes, clock: Clock) -> None:
        self._sandboxes = sandboxes
        self._clock = clock
        self._tasks = Tasks("engine-health")
        self._running: dict[str, asyncio.Task[None]] = {}
        self._known: dict[str, Health] = {}

    def find(self, container_id: str) -> Health | None:
        """Return what is known of a container's health since it began; None where nothing is checked."""
        return self._known.get(container_id)

    def begin(
        self, container_id: str, probe: HealthProbe | None, started: float, before: Health, tell: OnHealth
    ) -> None:
        """Begin to check a container that began at `started`; `before` is what a daemon before this one knew."""
        self.end(container_id)
        argv = health.compute_argv(probe)
        if probe is None or not argv:
            return
        self._known[container_id] = before
        task = self._tasks.spawn(
            self._check(container_id, probe, argv, started, tell), f"check {container_id[:12]}"
        )
        self._running[container_id] = task

    def end(self, container_id: str) -> None:
        """Stop checking; what was known stays until `forget` or the next beginning."""
        task = self._running.pop(container_id, None)
        if task is not None:
            task.cancel()

    def forget(self, container_id: str) -> None:
        """Stop, and forget the results."""
        self.end(container_id)
        self._known.pop(container_id, None)

    async def close(self) -> None:
        """Stop all checks."""
        await self._tasks.close()

    async def _check(
        self, container_id: str, probe: HealthProbe, argv: tuple[str, ...], started: float, tell: OnHealth
    ) -> None:
        while True:
            known = self._known[container_id]
            await self._clock.sleep(health.compute_wait_s(probe, known, self._clock.now() - started))
            result = await self._do(container_id, argv, health.compute_timeout_s(probe))
            after = health.judge(probe, known, result, started)
            self._known[container_id] = after
            if (after.status, after.streak) != (known.status, known.streak):
                tell(after)

    async def _do(self, container_id: str, argv: tuple[str, ...], timeout_s: float) -> Result:
        start = self._clock.now()
        code, output = health.NO_RESULT, b""
        try:
            done = await self._sandboxes.run_exec(container_id, argv, timeout_s=timeout_s)
            code, output = done.exit_code, done.failure.encode() or done.stdout + done.stderr
            code = health.NO_RESULT if done.failure else code
        except TimeoutError:
            output = f"Health check exceeded timeout ({timeout_s:g}s)".encode()
        except PinnaceError as error:
            output = error.message.encode()
        return Result(start, self._clock.now(), code, health.clip(output))
