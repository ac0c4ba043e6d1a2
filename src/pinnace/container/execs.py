"""A further process in a running container, called through the runtime directly (no monitor). A doer.

The process's description and the runtime's own log travel as memory files, so that nothing is left on disk.
Invariant: when the client goes, or the time is over, the process in the container is killed with its group.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import struct
import termios
import tty
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from pinnace.base import spawn
from pinnace.base.clock import Clock
from pinnace.container.exits import is_in_cgroup
from pinnace.container.monitor import classify_start_failure
from pinnace.container.readiness import wait_readable
from pinnace.container.streams import Chunk, StreamName, write_all

_READ_BYTES = 64 * 1024
_START_TIMEOUT_S = 10.0
_END_TIMEOUT_S = 1.0
_QUEUE_CHUNKS = 16  # a slow client holds up only the process that it started


@dataclass(frozen=True, slots=True)
class ExecOutput:
    """A finished exec. `failure` is the runtime's own message when the process could not be started, else ""."""

    exit_code: int
    stdout: bytes
    stderr: bytes
    failure: str = ""


class _LogLine(msgspec.Struct):
    level: str = ""
    msg: str = ""


class ExecSession:
    """A process in a container; a `Streams`, and `wait` for its exit code. Made by `start_exec`."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        log_fd: int,
        pid_file: Path,
        folder: str,
        master: int,
        clock: Clock,
    ) -> None:
        self._process = process
        self._log_fd = log_fd
        self._pid_file = pid_file
        self._folder = folder
        self._master = master
        self._clock = clock
        self._queue: asyncio.Queue[Chunk | None] = asyncio.Queue(_QUEUE_CHUNKS)
        self._over = False
        self._closed = False
        self._size: tuple[int, int] | None = None
        self.failure = ""
        sources: list[tuple[StreamName, asyncio.StreamReader]] = []
        if process.stdout is not None:
            sources.append(("stdout", process.stdout))
        if process.stderr is not None:
            sources.append(("stderr", process.stderr))
        coroutine = self._pump_terminal() if master >= 0 else self._pump_pipes(sources)
        self._pump = asyncio.get_running_loop().create_task(coroutine, name="exec/pump")

    async def read(self) -> Chunk | None:
        if self._over:
            return None
        chunk = await self._queue.get()
        self._over = chunk is None
        return chunk

    async def write(self, data: bytes) -> None:
        """Send to stdin; what a process that has ended can't read is dropped."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError, OSError):
            if self._master >= 0:
                await write_all(self._master, data)
            elif self._process.stdin is not None and not self._process.stdin.is_closing():
                self._process.stdin.write(data)
                await self._process.stdin.drain()

    async def close_stdin(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()

    def resize(self, height: int, width: int) -> None:
        """Set the size of the terminal, now or, while the process is being started, as soon as it runs."""
        if self._master < 0 or self._process.returncode is not None:
            return
        set_size(self._master, height, width)  # what the runtime copies if it has not begun yet
        self._size = None if self._resize_inside(height, width) else (height, width)

    def _resize_inside(self, height: int, width: int) -> bool:
        """Set the size of the container's own terminal. Runtimes differ in whether they pass a later change on."""
        try:
            pid = int(self._pid_file.read_text())
            terminal = os.open(f"/proc/{pid}/fd/0", os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        except (OSError, ValueError):
            return False
        try:
            set_size(terminal, height, width)
        except OSError:
            return False
        finally:
            os.close(terminal)
        return True

    async def wait(self) -> int:
        """Return the exit code: the process's own; 126 or 127 when it could not be started (then `failure` says why)."""
        code = await self._process.wait()
        if code != 0 and not self.failure:
            self.failure = self._read_failure()
        if self.failure:
            return classify_start_failure(self.failure)
        return code if code >= 0 else 128 - code

    async def close(self) -> None:
        """Kill the process if it still runs, and free everything."""
        if self._closed:
            return
        self._closed = True
        self._pump.cancel()
        await asyncio.gather(self._pump, return_exceptions=True)
        try:
            await self._kill()
        finally:  # what is open is let go of, also when the one who closes is cancelled
            self._free()

    def _free(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        if self._master >= 0:
            os.close(self._master)
            self._master = -1
        os.close(self._log_fd)
        self._pid_file.unlink(missing_ok=True)

    async def _kill(self) -> None:
        if self._process.returncode is None:
            with contextlib.suppress(OSError, ValueError, TimeoutError):
                await self._kill_inside()
        # Its pipes may be full, or a child of the process in the container may have them: nobody waits for their ends.
        self._process._transport.close()  # type: ignore[attr-defined]  # kills the runtime, if it is still there
        await self._process.wait()

    async def _kill_inside(self) -> None:
        """Kill the process in the container, and see the runtime end with it. Raises: OSError, ValueError, TimeoutError."""
        # While the process is being started nobody knows its pid; killing the runtime then would leave it behind.
        async with asyncio.timeout(_START_TIMEOUT_S):
            while self._process.returncode is None and not self._pid_file.exists():
                await self._clock.sleep(0.005)  # reason to poll: the runtime has no other way to tell
        pid = int(self._pid_file.read_text())
        if not is_in_cgroup(pid, self._folder):
            return
        os.kill(pid, signal.SIGKILL)
        async with asyncio.timeout(_END_TIMEOUT_S):
            while self._process.returncode is None:
                await self._clock.sleep(
                    0.005
                )  # reason to poll: asyncio tells of the end only with that of the pipes

    def _read_failure(self) -> str:
        """Return the runtime's last error from its log; "" when the exit code is the process's own."""
        if self._closed:
            return ""
        text = os.pread(self._log_fd, 65536, 0)
        for line in reversed(text.splitlines()):
            with contextlib.suppress(msgspec.DecodeError):
                said = msgspec.json.decode(line, type=_LogLine)
                if said.level in ("error", "fatal") and said.msg:
                    return said.msg
        return ""

    async def _pump_pipes(self, sources: Sequence[tuple[StreamName, asyncio.StreamReader]]) -> None:
        async def pump(name: StreamName, reader: asyncio.StreamReader) -> None:
            while data := await reader.read(_READ_BYTES):
                await self._queue.put(Chunk(name, data))

        async with asyncio.TaskGroup() as group:
            for name, reader in sources:
                group.create_task(pump(name, reader), name=f"exec/{name}")
        await self._queue.put(None)

    async def _pump_terminal(self) -> None:
        while True:
            try:
                data = os.read(self._master, _READ_BYTES)
            except BlockingIOError:
                await wait_readable(self._master)
                continue
            except OSError:  # EIO: the other side is closed
                break
            if not data:
                break
            if self._size is not None:
                self.resize(*self._size)
            await self._queue.put(Chunk("stdout", data))
        await self._queue.put(None)


def set_size(terminal: int, height: int, width: int) -> None:
    """Set a terminal's size; its foreground processes get SIGWINCH. Raises: OSError when it is none."""
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))


async def start_exec(
    runtime_argv: Sequence[str],
    container: str,
    process: bytes,
    *,
    tty_wanted: bool,
    stdin: bool,
    folder: str,
    pid_file: Path,
    clock: Clock,
) -> ExecSession:
    """Start `process` (an OCI process document) in a container. Raises: HostError when the runtime can't be started."""
    log_fd = os.memfd_create("runtime-log", os.MFD_CLOEXEC)
    spec_fd = os.memfd_create("process", os.MFD_CLOEXEC)
    master = slave = -1
    try:
        os.write(spec_fd, process)
        argv = [
            *(*runtime_argv, "--log", f"/proc/self/fd/{log_fd}", "--log-format", "json"),
            *("exec", "--pid-file", str(pid_file), "--process", f"/proc/self/fd/{spec_fd}", container),
        ]
        stdio: int = asyncio.subprocess.PIPE
        if tty_wanted:
            master, slave = os.openpty()
            os.set_blocking(master, False)
            tty.setraw(
                slave
            )  # the container's own terminal echoes; this one, before the runtime sets it, must not
            stdio = slave
        child = await spawn.start(
            argv,
            stdin=stdio if stdin or tty_wanted else asyncio.subprocess.DEVNULL,
            stdout=stdio,
            stderr=stdio,
            pass_fds=(log_fd, spec_fd),
        )
    except BaseException:
        os.close(log_fd)
        if master >= 0:
            os.close(master)
        raise
    finally:
        os.close(spec_fd)
        if slave >= 0:
            os.close(slave)
    return ExecSession(child, log_fd, pid_file, folder, master, clock)


async def run_exec(session: ExecSession, *, timeout_s: float, limit_bytes: int = 1 << 20) -> ExecOutput:
    """Collect a session's output and exit code; of each stream at most `limit_bytes`.

    Raises: TimeoutError when it takes longer; the process is killed then.
    """
    collected: dict[str, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}
    try:
        async with asyncio.timeout(timeout_s):
            while chunk := await session.read():
                room = limit_bytes - len(collected[chunk.stream])
                collected[chunk.stream] += chunk.data[: max(0, room)]
            code = await session.wait()
        return ExecOutput(code, bytes(collected["stdout"]), bytes(collected["stderr"]), session.failure)
    finally:
        await session.close()
