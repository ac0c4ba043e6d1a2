"""Keeps the pulls that containers of this node wait for: each beside the turns, so that its pod can be deleted meanwhile. A doer.

Invariant: one pull for each container; when it has ended, however, `on_end` is called, unless its pod has gone before.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from pinnace.base.tasks import Tasks
from pinnace.kube.objects.core_v1 import Container, Pod
from pinnace.node.facts import PodImage
from pinnace.node.lifecycle import PULL_ERROR
from pinnace.node.machine import PodImages, StartFailure, Tell

log = logging.getLogger("pinnace.node")

OnEnd = Callable[[Pod, Container, int, PodImage | StartFailure], None]


class Pulls:
    """The pulls of one node. `tell` records an event about a container; `on_end` takes what a pull for an attempt gave."""

    def __init__(
        self,
        images: PodImages,
        tasks: Tasks,
        tell: Callable[[Pod, Container, str, str, str], None],
        on_end: OnEnd,
    ) -> None:
        self._images = images
        self._tasks = tasks
        self._tell = tell
        self._on_end = on_end
        self._running: dict[str, dict[str, asyncio.Task[None]]] = {}

    def ensure(self, pod: Pod, container: Container, attempt: int) -> None:
        """Begin to pull for a container, unless that is under way."""
        uid, name = pod.metadata.uid, container.name
        running = self._running.setdefault(uid, {})
        if name not in running:
            running[name] = self._tasks.spawn(self._run(pod, container, attempt), f"pull {uid}/{name}")

    def cancel(self, uid: str) -> None:
        """End the pulls of a pod that wants nothing any more; nobody hears of them."""
        for task in self._running.pop(uid, {}).values():
            task.cancel()

    def give_up(self, uid: str, name: str) -> bool:
        """End the pull of one container; nobody hears of it. Returns whether there was one."""
        task = self._running.get(uid, {}).pop(name, None)
        if task is not None:
            task.cancel()
        return task is not None

    async def _run(self, pod: Pod, container: Container, attempt: int) -> None:
        def tell(kind: str, reason: str, message: str) -> None:
            self._tell(pod, container, kind, reason, message)

        told: Tell = tell
        ended: PodImage | StartFailure
        try:
            ended = await self._images.pull(pod, container, told)
        except StartFailure as failure:
            ended = failure
        except Exception as error:  # the container must not wait for ever; the pull is tried again
            log.exception("pulling for pod %s", pod.metadata.uid)
            ended = StartFailure(PULL_ERROR, f"unexpected {type(error).__name__}: {error}")
        running = self._running.get(pod.metadata.uid, {})
        running.pop(container.name, None)
        if not running:
            self._running.pop(pod.metadata.uid, None)
        self._on_end(pod, container, attempt, ended)
