"""The pause process: the first process of a process namespace that several containers share. It sleeps and reaps.

The only thing here that needs such a process (see `spec.SandboxSpec.share_processes`). It is a program of some 200 bytes,
assembled from the table below, so that neither an image nor a compiler is needed: it has the kernel reap orphans
(SIGCHLD ignored), and then waits for ever. Only SIGKILL ends it, which is how it is ended.
"""

from __future__ import annotations

import platform
import struct

from pinnace.base.errors import HostError

_BASE = 0x400000
_HEADERS_BYTES = 64 + 56  # the ELF header and one program header
_SIG_IGN, _SA_NOCLDWAIT = 1, 2
_ACTION = struct.pack("<QQQQ", _SIG_IGN, _SA_NOCLDWAIT, 0, 0)  # struct sigaction as the kernel reads it

# rt_sigaction(SIGCHLD, action, NULL, 8), then pause() for ever. The action follows the code.
_X86_64 = bytes.fromhex(
    "b80d000000"  # mov eax, 13 (rt_sigaction)
    "bf11000000"  # mov edi, 17 (SIGCHLD)
    "488d351f000000"  # lea rsi, [rip+31]
    "31d2"  # xor edx, edx
    "41ba08000000"  # mov r10d, 8
    "0f05"  # syscall
    "b822000000"  # mov eax, 34 (pause)
    "0f05"  # syscall
    "ebf7"  # jmp back to the mov
    "909090909090909090909090"  # padding
)
# The same with ppoll(NULL, 0, NULL, NULL, 0), since aarch64 has no pause.
_AARCH64 = struct.pack(
    "<16I",
    0xD28010C8,  # mov x8, #134 (rt_sigaction)
    0xD2800220,  # mov x0, #17 (SIGCHLD)
    0x100001C1,  # adr x1, +56
    0xD2800002,  # mov x2, #0
    0xD2800103,  # mov x3, #8
    0xD4000001,  # svc #0
    0xD2800928,  # mov x8, #73 (ppoll)
    0xD2800000,  # mov x0, #0
    0xD2800001,  # mov x1, #0
    0xD2800002,  # mov x2, #0
    0xD2800003,  # mov x3, #0
    0xD2800004,  # mov x4, #0
    0xD4000001,  # svc #0
    0x17FFFFF9,  # b back to the mov of ppoll
    0xD503201F,  # nop
    0xD503201F,  # nop
)
_MACHINES = {"x86_64": (62, _X86_64), "aarch64": (183, _AARCH64)}


def render_pause_program(machine: str = "") -> bytes:
    """Return an ELF executable for this (or the named) machine. Raises: HostError for one that we have no code for."""
    machine = machine or platform.machine()
    if machine not in _MACHINES:
        raise HostError(
            f"shared process namespaces are not supported on {machine}", hint="they are on x86-64 and aarch64"
        )
    number, code = _MACHINES[machine]
    body = code + _ACTION
    total = _HEADERS_BYTES + len(body)
    entry = _BASE + _HEADERS_BYTES
    identity = b"\x7fELF" + bytes((2, 1, 1, 0)) + bytes(8)
    header = identity + struct.pack("<HHIQQQIHHHHHH", 2, number, 1, entry, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, total, total, 0x10000)
    return header + segment + body
