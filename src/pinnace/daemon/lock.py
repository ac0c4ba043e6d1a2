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

    def acquire(self, name: str) -> None:
        """Take the lock and write our pid. Raises: UserError, naming the daemon that holds it."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.pread(fd, 32, 0).decode().strip()
            os.close(fd)
            raise UserError(
                f"the instance {name!r} runs already" + (f" (pid {pid})" if pid else ""),
                "pinnace status; for a second one beside it: PINNACE_NAME=other pinnace up --api-port 0",
            ) from None
        if not self._is_ours(fd):  # its last holder removed it between our open and our lock
            os.close(fd)
            self.acquire(name)
            return
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        self._fd = fd

    def _is_ours(self, fd: int) -> bool:
        try:
            return os.stat(self._path).st_ino == os.fstat(fd).st_ino
        except FileNotFoundError:
            return False

    @property
    def held(self) -> bool:
        """Whether the lock is ours."""
        return self._fd >= 0

    def release(self) -> None:
        """Remove the file and let go of the lock."""
        if self._fd >= 0:
            self._path.unlink(missing_ok=True)
            os.close(self._fd)
            self._fd = -1
