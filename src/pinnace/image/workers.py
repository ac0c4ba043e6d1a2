"""Starts worker processes on demand, hands them jobs, ends them when they are idle.

Called by `layers` and `archive`, and by rooms above for heavy work of their own (any `pinnace.` function of a job and a
report). Cancelling a call kills its worker: whoever called throws away what the job had half done.
Invariant: at most `limit` processes; a worker runs one job at a time; none is left after `close`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from typing import Any, TypeVar, get_type_hints

import msgspec

from pinnace.base import spawn
from pinnace.base.errors import HostError, PinnaceError
from pinnace.image import frames

log = logging.getLogger("pinnace.image")

R = TypeVar("R")

IDLE_S = 10.0
STDERR_SHOWN = 2000

OnProgress = Callable[[frames.Progress], None]


class Workers:
    """The worker processes of one daemon."""

    def __init__(self, *, limit: int | None = None, idle_s: float = IDLE_S) -> None:
        self._slots = asyncio.Semaphore(limit or max(2, min(4, os.cpu_count() or 1)))
        self._idle_s = idle_s
        self._idle: list[_Worker] = []
        self._busy: set[_Worker] = set()
        self._ending: set[asyncio.Task[None]] = set()

    @property
    def count(self) -> int:
        """How many processes there are."""
        return len(self._idle) + len(self._busy)

    async def call(
        self, function: Callable[[Any, Any], R], job: msgspec.Struct, on_progress: OnProgress | None = None
    ) -> R:
        """Run `function(job, report)` in a worker process and return what it returned.

        Raises: what the function raised, as the same type; HostError when the process died.
        Example: await workers.call(jobs.seal, SealJob(tree="/x")) is a TreeFacts.
        """
        request = frames.Request(
            f"{function.__module__}:{function.__name__}", msgspec.Raw(msgspec.json.encode(job))
        )
        async with self._slots:
            worker = self._idle.pop() if self._idle else await _Worker.start()
            worker.wake()
            self._busy.add(worker)
            try:
                value = await worker.ask(request, on_progress)
            except PinnaceError:
                if worker.broken:
                    await worker.kill()
                raise
            except BaseException:
                await worker.kill()
                raise
            finally:
                self._busy.discard(worker)
                if not worker.broken:
                    self._rest(worker)
        return msgspec.json.decode(value, type=get_type_hints(function)["return"])  # type: ignore[no-any-return]

    async def close(self) -> None:
        """End all workers, also busy ones."""
        for worker in (*self._idle, *self._busy):
            await worker.kill()
        self._idle.clear()
        if self._ending:
            await asyncio.gather(*self._ending)

    def _rest(self, worker: _Worker) -> None:
        self._idle.append(worker)
        worker.timer = asyncio.get_running_loop().call_later(self._idle_s, self._retire, worker)

    def _retire(self, worker: _Worker) -> None:
        self._idle.remove(worker)
        ending = asyncio.get_running_loop().create_task(worker.kill(), name="image/worker-end")
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)


class _Worker:
    """One process."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.broken = False
        self.timer: asyncio.TimerHandle | None = None
        self._said = b""
        self._listening = asyncio.get_running_loop().create_task(self._listen(), name="image/worker-stderr")

    @classmethod
    async def start(cls) -> _Worker:
        argv = (sys.executable, "-P", "-m", "pinnace.image.worker", str(os.getpid()))
        return cls(await spawn.start(argv, stdin=PIPE, stdout=PIPE, stderr=PIPE))

    async def ask(self, request: frames.Request, on_progress: OnProgress | None) -> msgspec.Raw:
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin is not None and stdout is not None
        try:
            stdin.write(frames.render(request))
            await stdin.drain()
            while True:
                header = await stdout.readexactly(frames.HEADER.size)
                answer = frames.parse_answer(await stdout.readexactly(frames.parse_length(header)))
                if isinstance(answer, frames.Result):
                    return answer.value
                if isinstance(answer, frames.Failure):
                    raise frames.build_error(answer)
                if on_progress is not None:
                    on_progress(answer)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            self.broken = True
            raise await self._death(request.function) from error

    def wake(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    async def kill(self) -> None:
        self.broken = True
        self.wake()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        await asyncio.shield(self.process.wait())
        await self._listening
        if self.process.stdin is not None:
            self.process.stdin.close()

    async def _death(self, function: str) -> HostError:
        code = await self.process.wait()
        await self._listening
        said = self._said.decode(errors="replace").strip()[-STDERR_SHOWN:]
        ending = f"signal {-code}" if code < 0 else f"code {code}"
        hint = "was it killed for lack of memory? see dmesg" if code == -signal.SIGKILL else ""
        return HostError(
            f"the worker process ended with {ending} while it ran {function}" + (f": {said}" if said else ""),
            stderr=said,
            returncode=code,
            hint=hint,
        )

    async def _listen(self) -> None:
        stderr = self.process.stderr
        assert stderr is not None
        while data := await stderr.read(4096):
            self._said = (self._said + data)[-2 * STDERR_SHOWN :]
            log.warning("worker %d: %s", self.process.pid, data.decode(errors="replace").rstrip())
