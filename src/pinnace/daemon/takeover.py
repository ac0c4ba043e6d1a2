"""Takes an instance's lock: waits for a daemon that is on its way out, or ends one that must go. A doer.

Called by `instance` (up) and `clear` (down). A daemon takes its socket away first of all when it ends and opens it last
when it starts, so that one that holds the lock and has no socket is on its way.
"""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

from pinnace.base.clock import Clock
from pinnace.container.readiness import wait_readable
from pinnace.daemon.lock import InstanceLock, describe_holder

WAIT_S = 15.0  # for a daemon that ends or starts
END_S = 30.0  # for one that was asked to end
POLL_S = 0.05  # a lock tells nobody that it is free


async def wait_for_lock(lock: InstanceLock, socket: Path, name: str, clock: Clock) -> None:
    """Take the lock. Raises: UserError when a daemon runs that is there to stay."""
    deadline = clock.monotonic() + WAIT_S
    while (pid := lock.try_acquire()) is not None:
        if socket.exists() or clock.monotonic() >= deadline:
            raise describe_holder(name, pid)
        await clock.sleep(POLL_S)


async def end_holder(lock: InstanceLock, name: str, clock: Clock, *, end_s: float = END_S) -> list[str]:
    """Have the daemon that holds the lock end, and take the lock; return what there is to say about it.

    One that doesn't end when asked to is killed: containers don't depend on it, and what was acknowledged is on disk.
    Raises: UserError when the lock can't be had all the same.
    """
    told = []
    deadline = clock.monotonic() + end_s + WAIT_S
    while (pid := lock.try_acquire()) is not None:
        if pid and not await _end(pid, end_s):
            told.append(f"{name}: its daemon (pid {pid}) did not end within {end_s:g} s and was killed")
        if clock.monotonic() >= deadline:
            raise describe_holder(name, pid)
        await clock.sleep(POLL_S)
    return told


async def _end(pid: int, end_s: float) -> bool:
    """Ask a process to end, and kill it if it doesn't; say whether it ended by itself."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        signal.pidfd_send_signal(descriptor, signal.SIGTERM)
        try:
            async with asyncio.timeout(end_s):
                await wait_readable(descriptor)
        except TimeoutError:
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            await wait_readable(descriptor)
            return False
    except ProcessLookupError:
        pass
    finally:
        os.close(descriptor)
    return True
