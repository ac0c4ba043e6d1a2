"""Stops a process at every system call of every thread of it, so that a test sees each state a kill -9 could leave.

What a killed process leaves in its files is what they hold at that moment: the page cache is the kernel's. So one traced run
gives all crash points, where killing it once per point would take a run for each. Needs no privilege: a parent may
trace its own child.
Source: ptrace(2), PTRACE_O_TRACECLONE, PTRACE_O_TRACESYSGOOD, PTRACE_O_EXITKILL.
"""

import ctypes
import os
import signal
from collections.abc import Callable, Sequence

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
_LIBC.ptrace.restype = ctypes.c_long

_TRACEME, _SYSCALL, _SETOPTIONS = 0, 24, 0x4200
_TRACESYSGOOD, _TRACECLONE, _EXITKILL = 0x1, 0x8, 0x100000
_SYSCALL_STOP = signal.SIGTRAP | 0x80
_WALL = 0x40000000


def _ptrace(request: int, pid: int, data: int = 0) -> None:
    if _LIBC.ptrace(request, pid, None, data) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def run_stopping_at_each_call(argv: Sequence[str], look: Callable[[], None]) -> int:
    """Run a program; call `look` while it stands before and after each system call. Return its exit code."""
    child = os.fork()
    if not child:
        try:
            _ptrace(_TRACEME, 0)
            os.execv(argv[0], list(argv))
        finally:
            os._exit(127)
    os.waitpid(child, 0)  # the exec
    _ptrace(_SETOPTIONS, child, _TRACESYSGOOD | _TRACECLONE | _EXITKILL)
    _ptrace(_SYSCALL, child)
    try:
        while True:
            pid, status = os.waitpid(-1, _WALL)
            if os.WIFEXITED(status) or os.WIFSIGNALED(status):
                if pid == child:
                    child = 0
                    return os.waitstatus_to_exitcode(status)
                continue
            stop = os.WSTOPSIG(status)
            if stop == _SYSCALL_STOP:
                look()
            traced = stop in (_SYSCALL_STOP, signal.SIGTRAP, signal.SIGSTOP)
            _ptrace(_SYSCALL, pid, 0 if traced else stop)
    finally:
        if child:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, _WALL)
