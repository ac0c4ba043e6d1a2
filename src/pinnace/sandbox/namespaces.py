"""Makes and removes a sandbox's namespaces, kept alive by bind mounts of files rather than by a process. A doer.

Network, IPC and UTS namespaces are made by a thread that lives only for that, and bound below the run dir: that is why no
pause process is needed to share them. (A process namespace can't be kept so: see `pause.py`.)
Invariant: `remove` leaves neither mount nor file, whatever was made before.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import socket
import struct
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from pinnace.base.errors import HostError
from pinnace.container import system

T = TypeVar("T")

# kind in the OCI configuration -> (flag, name below /proc/PID/ns)
_KINDS = {
    "network": (system.CLONE_NEWNET, "net"),
    "ipc": (system.CLONE_NEWIPC, "ipc"),
    "uts": (system.CLONE_NEWUTS, "uts"),
}
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = (
    0x8913,
    0x8914,
    0x1,
)  # Source: Linux, include/uapi/linux/sockios.h, if.h
# Source: moby, daemon/oci_linux.go, and containerd's CRI plugin (enable_unprivileged_ports, enable_unprivileged_icmp).
DEFAULT_NETWORK_SYSCTLS = {
    "net.ipv4.ip_unprivileged_port_start": "0",
    "net.ipv4.ping_group_range": "0 2147483647",
}


async def run_in_own_thread(work: Callable[[], T]) -> T:
    """Run `work` in a thread that ends with it, so that what it does to its own namespaces touches nothing else."""
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if not outcome.done():
            if error is not None:
                outcome.set_exception(error)
            else:
                outcome.set_result(result)  # type: ignore[arg-type]

    def body() -> None:
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - handed to the waiter
            loop.call_soon_threadsafe(settle, None, error)
        else:
            loop.call_soon_threadsafe(settle, result, None)

    threading.Thread(target=body, name="namespaces", daemon=True).start()
    try:
        return await asyncio.shield(outcome)
    except asyncio.CancelledError:
        await asyncio.wait([outcome])  # an undo must not run beside it
        raise


async def make_namespaces(
    folder: Path, kinds: Sequence[str], *, hostname: str, sysctls: Mapping[str, str]
) -> dict[str, str]:
    """Make namespaces of these kinds and bind them to files in `folder`; return kind → path.

    The network's loopback is up, the host name set, and `sysctls` written inside.
    Raises: HostError; what was bound so far is then left for `remove_namespaces`.
    """

    def work() -> dict[str, str]:
        flags = 0
        for kind in kinds:
            flags |= _KINDS[kind][0]
        system.unshare(flags)
        if "uts" in kinds and hostname:
            socket.sethostname(hostname)
        if "network" in kinds:
            _raise_loopback()
        for name, value in sysctls.items():
            _write_sysctl(name, value)
        paths = {}
        for kind in kinds:
            path = folder / kind
            path.touch(mode=0o400)
            system.mount(
                f"/proc/self/task/{threading.get_native_id()}/ns/{_KINDS[kind][1]}",
                str(path),
                flags=system.MS_BIND,
            )
            paths[kind] = str(path)
        return paths

    try:
        return await run_in_own_thread(work)
    except OSError as error:
        raise HostError(
            f"namespaces for {folder.name} can't be made: {error.strerror or error}",
            errno=error.errno,
            hint="Pinnace needs root (CAP_SYS_ADMIN) for namespaces",
        ) from error


def remove_namespaces(folder: Path) -> None:
    """Unmount and remove what `make_namespaces` made; a namespace ends with its last process."""
    for kind in _KINDS:
        path = folder / kind
        system.unmount(str(path))
        path.unlink(missing_ok=True)


def is_namespace(path: str) -> bool:
    """Return whether a file is a bound namespace (after a restart of the machine it is not)."""
    try:
        return os.stat(path).st_dev == os.stat("/proc/self/ns/net").st_dev
    except OSError:
        return False


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = struct.pack("16sH14s", b"lo", 0, b"")
        flags = struct.unpack("16sH14s", fcntl.ioctl(sock, _SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(sock, _SIOCSIFFLAGS, struct.pack("16sH14s", b"lo", flags | _IFF_UP, b""))


def _write_sysctl(name: str, value: str) -> None:
    path = Path("/proc/sys", *name.split("."))
    try:
        path.write_text(value)
    except OSError:
        # A kernel without the knob must not stop every sandbox; one that somebody asked for must.
        if DEFAULT_NETWORK_SYSCTLS.get(name) != value:
            raise


def find_mounts_below(folder: Path) -> list[str]:
    """Return the mount points below a folder, the innermost first."""
    prefix = str(folder).rstrip("/") + "/"
    points = []
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/mountinfo").read_text().splitlines():
            point = line.split()[4].encode().decode("unicode_escape")  # a space is written \040
            if point.startswith(prefix):
                points.append(point)
    return sorted(points, key=len, reverse=True)
