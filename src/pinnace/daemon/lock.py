"""The instance's lock: one daemon for each instance. The lock is the kernel's, so that a stale pid file locks nothing."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from pinnace.base.errors import UserError


class InstanceLock:
    """Holds `pinnace.pid`, locked, for the daemon's life."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1

    @property
    def path(self) -> Path:
        """Where the lock is."""
        return self._path

    @property
    def held(self) -> bool:
        """Whether the lock is ours."""
        return self._fd >= 0

    def try_acquire(self) -> int | None:
        """Take the lock, write our pid and return None; or return the pid of the holder, 0 if it hasn't written it yet."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pid = os.pread(fd, 32, 0).decode().strip()
                os.close(fd)
                return int(pid) if pid.isdigit() else 0
            if self._is_ours(fd):
                break
            os.close(fd)  # its last holder removed it between our open and our lock
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        self._fd = fd
        return None

    def _is_ours(self, fd: int) -> bool:
        try:
            return os.stat(self._path).st_ino == os.fstat(fd).st_ino
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Remove the file and let go of the lock."""
        if self._fd >= 0:
            self._path.unlink(missing_ok=True)
            os.close(self._fd)
            self._fd = -1


def describe_holder(name: str, pid: int) -> UserError:
    """Return the error of a second daemon for an instance that runs."""
    return UserError(
        f"the instance {name!r} runs already" + (f" (pid {pid})" if pid else ""),
        "pinnace status; for a second one beside it: PINNACE_NAME=other pinnace up --api-port 0",
    )
