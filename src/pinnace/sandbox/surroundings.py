"""Makes and removes what the containers of one sandbox share: namespaces, link, /etc files, /dev/shm, cgroup, pause. A doer.

Called by `sandboxes.py` only. Invariant: `remove` is fine with any part missing, so it is also the undo of a `make` that
failed at any step, and of a daemon that died in between.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from pinnace.base.errors import HostError
from pinnace.container import system
from pinnace.container.capabilities import parse_capability
from pinnace.container.plan import ContainerPlan, ProcessPlan
from pinnace.container.runtime import Runtime
from pinnace.image.threads import uninterrupted
from pinnace.sandbox.compose import Surroundings, compute_hostname, render_hosts
from pinnace.sandbox.interfaces import Network
from pinnace.sandbox.namespaces import (
    DEFAULT_NETWORK_SYSCTLS,
    find_mounts_below,
    is_namespace,
    make_namespaces,
    remove_namespaces,
)
from pinnace.sandbox.pause import render_pause_program
from pinnace.sandbox.records import Records
from pinnace.sandbox.spec import Address, SandboxSpec

T = TypeVar("T")
U = TypeVar("U")


class SurroundingsMaker:
    """Makes the surroundings of sandboxes below one run dir and one state dir."""

    def __init__(self, runtime: Runtime, network: Network, run: Path, records: Records) -> None:
        self._runtime = runtime
        self._network = network
        self._run = run / "pods"
        self._records = records

    def run_folder(self, sandbox: str) -> Path:
        return self._run / sandbox

    def pause_id(self, sandbox: str) -> str:
        return f"{sandbox}-pause"

    async def make(self, spec: SandboxSpec) -> tuple[Address | None, int]:
        """Make all of it, side by side where one thing doesn't need another; return the address and the pause's pid.

        Raises: HostError. What was made is then left for `remove`.
        """
        folder = self.run_folder(spec.id)
        folder.mkdir(parents=True, exist_ok=True, mode=0o711)
        self._records.sandbox_folder(spec.id).mkdir(parents=True, exist_ok=True, mode=0o711)
        if not spec.host_ipc:
            self._make_shm(folder / "shm", spec.shm_bytes)
        address, _ = await _all_of(
            self._make_network(spec), self._runtime.cgroups.ensure_pod(spec.id, spec.limits)
        )
        self.write_etc_files(spec, address)
        pause_pid = await self._make_pause(spec) if spec.share_processes else 0
        return address, pause_pid

    async def _make_network(self, spec: SandboxSpec) -> Address | None:
        kinds = self._own_kinds(spec)
        if not kinds:
            return None
        folder = self.run_folder(spec.id)
        sysctls = {**(DEFAULT_NETWORK_SYSCTLS if "network" in kinds else {}), **spec.sysctls}
        paths = await make_namespaces(folder, kinds, hostname=compute_hostname(spec), sysctls=sysctls)
        if spec.network != "pod":
            return None
        link = await self._network.attach(paths["network"], spec.id, hostname=compute_hostname(spec))
        return Address(link.ip, link.gateway, link.mac, link.mtu)

    def _own_kinds(self, spec: SandboxSpec) -> list[str]:
        kinds = []
        if spec.network != "host":
            kinds += ["network", "uts"]
        if not spec.host_ipc:
            kinds.append("ipc")
        return kinds

    def _make_shm(self, path: Path, size_bytes: int) -> None:
        path.mkdir(mode=0o1777, exist_ok=True)
        flags = system.MS_NOSUID | system.MS_NODEV | system.MS_NOEXEC
        try:
            system.mount("shm", str(path), "tmpfs", flags, f"mode=1777,size={size_bytes}")
        except OSError as error:
            raise HostError(
                f"/dev/shm for {path.parent.name} can't be mounted: {error.strerror}", errno=error.errno
            ) from error

    def write_etc_files(self, spec: SandboxSpec, address: Address | None) -> None:
        """Write the files that every container finds in /etc; in place, since containers have them mounted."""
        folder = self._records.sandbox_folder(spec.id)
        host = spec.network == "host"
        hostname = socket.gethostname() if host else compute_hostname(spec)
        resolv_conf = _read_host_file("/etc/resolv.conf") if spec.resolv_conf is None else spec.resolv_conf
        hosts = render_hosts(spec, hostname, address.ip if address else "")
        if host:
            hosts = _read_host_file("/etc/hosts") + "".join(
                f"{entry.ip}\t{' '.join(entry.names)}\n" for entry in spec.hosts
            )
        for name, text in (("hosts", hosts), ("hostname", f"{hostname}\n"), ("resolv.conf", resolv_conf)):
            path = folder / name
            path.write_text(text)
            path.chmod(0o644)

    async def _make_pause(self, spec: SandboxSpec) -> int:
        root = (
            self._records.sandbox_folder(spec.id) / "pause"
        )  # not in the run dir, which may be mounted noexec
        for name in ("proc", "dev", "sys"):
            (root / name).mkdir(parents=True, exist_ok=True)
        program = root / "pause"
        program.write_bytes(render_pause_program())
        program.chmod(0o555)
        plan = ContainerPlan(
            rootfs=str(root),
            process=ProcessPlan(
                argv=("/pause",), capabilities=(parse_capability("SETUID"),), no_new_privileges=True
            ),
            cgroups_path=self._runtime.cgroups.oci_path(spec.id, self.pause_id(spec.id)),
            namespaces={**self._shared_namespaces(spec), "pid": "", "mount": ""},
            read_only_root=True,
        )
        created = await self._runtime.create(
            self.pause_id(spec.id),
            plan,
            folder=self.pause_folder(spec.id),
            log_path=self._records.sandbox_folder(spec.id) / "pause.log",
        )
        await self._runtime.start(self.pause_id(spec.id))
        return created.pid

    def pause_folder(self, sandbox: str) -> str:
        return self._runtime.cgroups.folder(sandbox, self.pause_id(sandbox))

    def _shared_namespaces(self, spec: SandboxSpec) -> dict[str, str]:
        folder = self.run_folder(spec.id)
        return {kind: str(folder / kind) for kind in self._own_kinds(spec)}

    def describe(self, spec: SandboxSpec, pause_pid: int) -> Surroundings:
        """Return what a container of this sandbox joins and mounts."""
        namespaces = {**self._shared_namespaces(spec), "mount": ""}
        if pause_pid:
            namespaces["pid"] = f"/proc/{pause_pid}/ns/pid"
        elif not spec.host_pid:
            namespaces["pid"] = ""
        folder = self._records.sandbox_folder(spec.id)
        return Surroundings(
            spec=spec,
            namespaces=namespaces,
            hosts=str(folder / "hosts"),
            hostname_file=str(folder / "hostname"),
            resolv_conf=str(folder / "resolv.conf"),
            shm="/dev/shm" if spec.host_ipc else str(self.run_folder(spec.id) / "shm"),
            cgroup_namespace=self._runtime.cgroups.host.version == 2,
        )

    def netns_path(self, spec: SandboxSpec) -> str:
        """Return the file of the sandbox's network namespace; "" when it uses the host's."""
        return "" if spec.network == "host" else str(self.run_folder(spec.id) / "network")

    def is_present(self, spec: SandboxSpec) -> bool:
        """Return whether the namespaces are still there: they are not after the machine was restarted."""
        folder = self.run_folder(spec.id)
        return folder.is_dir() and all(is_namespace(str(folder / kind)) for kind in self._own_kinds(spec))

    async def remove(self, sandbox: str) -> None:
        """Take all of it back. Idempotent; goes on after a failed step, and raises the first failure at the end."""
        failures: list[HostError] = []
        for step in (self._remove_pause, self._network.detach, self._runtime.cgroups.remove_pod):
            try:
                await step(sandbox)
            except HostError as error:
                failures.append(error)
        await uninterrupted(
            _clear, self.run_folder(sandbox)
        )  # unmounting takes the kernel tens of milliseconds
        if failures:
            raise failures[0]

    async def _remove_pause(self, sandbox: str) -> None:
        await self._runtime.delete(self.pause_id(sandbox), folder=self.pause_folder(sandbox))


def _clear(folder: Path) -> None:
    remove_namespaces(folder)
    for point in find_mounts_below(folder):
        system.unmount(point)
    shutil.rmtree(folder, ignore_errors=True)


async def _all_of(first: Coroutine[Any, Any, T], second: Coroutine[Any, Any, U]) -> tuple[T, U]:
    """Run both side by side; only when both have ended, raise what failed first (so that an undo finds nothing moving)."""
    one, two = await asyncio.gather(first, second, return_exceptions=True)
    for result in (one, two):
        if isinstance(result, BaseException):
            raise result
    return one, two


def _read_host_file(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""
