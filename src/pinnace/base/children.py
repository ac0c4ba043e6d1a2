"""Starts child processes without holding up the loop: the kernel's work is done in a thread, with the interpreter let go.

Called by `spawn` only. What uvloop and CPython do themselves stops the whole process until the child has called exec: on a
busy machine that is tens of milliseconds, in which nobody is answered. glibc's posix_spawn shares the memory instead of
copying its map, and stops only the thread that calls it.
Invariant: a child is reaped by whoever started it; a start that is cancelled leaves no process.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import os
import signal
import subprocess
from asyncio.base_subprocess import BaseSubprocessTransport
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process, SubprocessStreamProtocol
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from pinnace.base.priority import lower_this_thread

SETSIGDEF, SETSIGMASK, SETSID = 0x04, 0x08, 0x80  # Source: spawn.h, POSIX_SPAWN_…
# What Python ignores, and a child must not. Source: CPython, _Py_RestoreSignals
RESTORED_SIGNALS = (signal.SIGPIPE, signal.SIGXFSZ)
STRUCT_BYTES = 512  # more than posix_spawnattr_t, posix_spawn_file_actions_t and sigset_t take anywhere
STREAM_LIMIT_BYTES = 1 << 16  # Source: asyncio.streams, _DEFAULT_LIMIT
THREADS = 4

_libc = ctypes.CDLL(None)
# Of their own: nothing slow is before them. Children get the priority of the thread that starts them.
_threads = ThreadPoolExecutor(THREADS, thread_name_prefix="spawn", initializer=lower_this_thread)


class End:
    """Our end of a pipe, as a loop wants it.

    uvloop closes the descriptor itself, and then the object too: by then the number may be somebody else's.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._is_ours = True

    def fileno(self) -> int:
        return self._descriptor

    def hand_over(self, loop: asyncio.AbstractEventLoop) -> None:
        """Leave the closing to a loop that does it."""
        self._is_ours = not type(loop).__module__.startswith("uvloop")

    def close(self) -> None:
        if self._is_ours:
            self._is_ours = False
            os.close(self._descriptor)


@dataclass(slots=True)
class Child:
    """A process that was started, as asyncio's transport wants it: with the ends of its pipes that are ours."""

    pid: int
    stdin: End | None = None
    stdout: End | None = None
    stderr: End | None = None
    returncode: int | None = None

    @property
    def ends(self) -> list[End]:
        return [end for end in (self.stdin, self.stdout, self.stderr) if end is not None]

    def poll(self) -> int | None:
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What to start. `stdio` are asyncio's constants, descriptors, or None for our own."""

    argv: tuple[str, ...]
    stdio: tuple[int | None, int | None, int | None]
    env: Mapping[str, str] | None = None
    cwd: str | None = None
    pass_fds: tuple[int, ...] = ()
    new_session: bool = True


async def launch(wanted: Launch) -> Process:
    """Start a process. Raises: OSError."""
    starting = asyncio.get_running_loop().create_task(_launch(wanted), name="base/launch")
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        await asyncio.wait([starting])  # a start can't be broken off halfway: its pipes would stay
        if starting.exception() is None:
            await discard(starting.result())
        raise


async def discard(process: Process) -> None:
    """Kill a process, with its session if it leads one, reap it, and close its pipes."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process._transport.close()  # type: ignore[attr-defined]  # kills it, too
    await process.wait()


async def _launch(wanted: Launch) -> Process:
    loop = asyncio.get_running_loop()
    child = await loop.run_in_executor(_threads, _start, wanted)
    for end in child.ends:
        end.hand_over(loop)
    protocol = SubprocessStreamProtocol(limit=STREAM_LIMIT_BYTES, loop=loop)
    waiter = loop.create_future()
    transport = _Transport(loop, protocol, child, waiter)
    try:
        await waiter
    except BaseException:
        transport.close()
        raise
    finally:
        transport.watch()  # not before its pipes are connected: asyncio takes an earlier end for a bug
    return Process(transport, protocol, loop)


class _Transport(BaseSubprocessTransport):
    """asyncio's own transport around a child that runs already; its end is seen by its pidfd."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        protocol: SubprocessStreamProtocol,
        child: Child,
        waiter: asyncio.Future[Any],
    ) -> None:
        self._child = child
        self._own_loop = loop
        self._pidfd = os.pidfd_open(child.pid)
        super().__init__(loop, protocol, (), False, None, None, None, 0, waiter)

    def _start(self, *args: Any, **kwargs: Any) -> None:
        self._proc = self._child  # type: ignore[assignment]

    def watch(self) -> None:
        """Reap the child when it ends."""
        self._own_loop.add_reader(self._pidfd, self._ended)

    def _ended(self) -> None:
        self._own_loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._process_exited(_reap(self._child))


def _reap(child: Child) -> int:
    try:
        _, status = os.waitpid(child.pid, 0)
    except ChildProcessError:  # somebody else took the answer
        child.returncode = 255
    else:
        child.returncode = os.waitstatus_to_exitcode(status)
    return child.returncode


# --- in the thread -------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Stdio:
    """Descriptors of a child's three streams, and our ends of its pipes."""

    theirs: list[int] = field(default_factory=list)  # -1 where it keeps ours
    ours: list[End | None] = field(default_factory=list)
    opened: list[int] = field(default_factory=list)


def _start(wanted: Launch) -> Child:
    stdio = _Stdio()
    try:
        for number, kind in enumerate(wanted.stdio):
            _open_stream(stdio, number, kind)
        pid = _spawn(wanted, stdio.theirs)
    except BaseException:
        for end in filter(None, stdio.ours):
            end.close()
        raise
    finally:
        for descriptor in stdio.opened:
            os.close(descriptor)
    stdin, stdout, stderr = stdio.ours
    return Child(pid, stdin, stdout, stderr)


def _open_stream(stdio: _Stdio, number: int, kind: int | None) -> None:
    ours: End | None = None
    theirs = -1
    if kind == PIPE:
        reading, writing = os.pipe()
        theirs, our_end = (reading, writing) if number == 0 else (writing, reading)
        stdio.opened.append(theirs)
        ours = End(our_end)
    elif kind == DEVNULL:
        theirs = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        stdio.opened.append(theirs)
    elif kind == STDOUT:
        theirs = stdio.theirs[1] if stdio.theirs[1] >= 0 else 1
    elif kind is not None:
        theirs = kind
    stdio.theirs.append(theirs)
    stdio.ours.append(ours)


def _spawn(wanted: Launch, stdio: Sequence[int]) -> int:
    env = dict(os.environ if wanted.env is None else wanted.env)
    program = _find(wanted.argv[0], env)
    if _addchdir is None:
        return _spawn_with_popen(wanted, program, stdio)
    with _made("posix_spawn_file_actions") as actions, _made("posix_spawnattr") as attributes:
        if wanted.cwd is not None:
            _check(_addchdir(actions, os.fsencode(wanted.cwd)))
        for number, descriptor in enumerate(stdio):
            if descriptor >= 0:
                _check(_libc.posix_spawn_file_actions_adddup2(actions, descriptor, number))
        for descriptor in wanted.pass_fds:  # onto itself: that takes the close-on-exec mark away
            _check(_libc.posix_spawn_file_actions_adddup2(actions, descriptor, descriptor))
        for descriptor in _find_inherited(wanted.pass_fds):
            _check(_libc.posix_spawn_file_actions_addclose(actions, descriptor))
        flags = SETSIGDEF | SETSIGMASK | (SETSID if wanted.new_session else 0)
        _check(_libc.posix_spawnattr_setflags(attributes, ctypes.c_short(flags)))
        signals = ctypes.create_string_buffer(STRUCT_BYTES)
        _libc.sigemptyset(signals)
        _check(_libc.posix_spawnattr_setsigmask(attributes, signals))
        for number in RESTORED_SIGNALS:
            _libc.sigaddset(signals, number)
        _check(_libc.posix_spawnattr_setsigdefault(attributes, signals))
        pid = ctypes.c_int()
        argv, environ = _array(wanted.argv), _array([f"{name}={value}" for name, value in env.items()])
        _check(
            _libc.posix_spawn(ctypes.byref(pid), os.fsencode(program), actions, attributes, argv, environ),
            program,
        )
        return pid.value


def _spawn_with_popen(wanted: Launch, program: str, stdio: Sequence[int]) -> int:
    """For a C library that can't change the directory: the same, but everything stops meanwhile."""
    theirs = [None if descriptor < 0 else descriptor for descriptor in stdio]
    process = subprocess.Popen(
        wanted.argv,
        executable=program,
        stdin=theirs[0],
        stdout=theirs[1],
        stderr=theirs[2],
        env=wanted.env,
        cwd=wanted.cwd,
        pass_fds=wanted.pass_fds,
        start_new_session=wanted.new_session,
    )
    process.returncode = 0  # it is ours to reap: Popen must not try when it is forgotten
    return process.pid


def _find(name: str, env: Mapping[str, str]) -> str:
    """Return the program's path, looked up in the child's own PATH. Raises: FileNotFoundError."""
    if "/" in name:
        return name
    for folder in os.get_exec_path(env):
        path = os.path.join(folder, name)
        if os.access(path, os.X_OK) and os.path.isfile(path):
            return path
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)


def _find_inherited(passed: Sequence[int]) -> list[int]:
    """Return the descriptors that a child would get without being meant to: those that we were started with ourselves."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        descriptor = int(name)
        with contextlib.suppress(OSError):  # the one that listed them
            if descriptor > 2 and descriptor not in passed and os.get_inheritable(descriptor):
                found.append(descriptor)
    return found


def _find_addchdir() -> Callable[..., int] | None:
    return getattr(_libc, "posix_spawn_file_actions_addchdir_np", None)


_addchdir = _find_addchdir()


@contextlib.contextmanager
def _made(kind: str) -> Any:
    """A C struct that is set up and taken down."""
    struct = ctypes.create_string_buffer(STRUCT_BYTES)
    _check(getattr(_libc, f"{kind}_init")(struct))
    try:
        yield struct
    finally:
        getattr(_libc, f"{kind}_destroy")(struct)


def _array(words: Sequence[str]) -> Any:
    encoded = [os.fsencode(word) for word in words]
    if any(b"\0" in word for word in encoded):
        raise ValueError("embedded null byte")
    return (ctypes.c_char_p * (len(encoded) + 1))(*encoded, None)


def _check(code: int, name: str = "posix_spawn") -> None:
    if code:
        raise OSError(code, os.strerror(code), name)
