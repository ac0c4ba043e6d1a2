"""The one file that knows how cgroup v1 (also hybrid) and v2, and the drivers cgroupfs and systemd, differ.

Used by `sandbox/` and by the runtime: names of cgroups, limits as OCI resources, a pod's own cgroup, usage, OOM kills,
and the cgroup of the monitors. Nobody else reads or writes below /sys/fs/cgroup.
Invariant: every cgroup of an instance lies below one that carries the instance's name, so that `remove_all` finds it.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from pinnace.base import spawn
from pinnace.base.clock import Clock
from pinnace.base.errors import HostError

CPU_PERIOD_US = 100_000  # Source: Linux, Documentation/scheduler/sched-bwc.rst, the default period
CPU_QUOTA_MIN_US = 1_000  # Source: same page, the smallest quota
SHARES_PER_CPU = 1024  # Source: Kubernetes, pkg/kubelet/cm/helpers_linux.go, SharesPerCPU
SHARES_MIN, SHARES_MAX = 2, 262_144  # Source: Linux, kernel/sched/sched.h, MIN_SHARES and MAX_SHARES
MONITORS = "monitors"
# Without it, crun puts the container, and its limits, into a cgroup of its own below the scope that we asked for.
# Source: crun(1), run.oci.systemd.subgroup. runc has no such thing and takes no notice.
SYSTEMD_ANNOTATIONS = {"run.oci.systemd.subgroup": ""}
_REMOVE_TRIES_S = (
    0.0,
    0.002,
    0.01,
    0.05,
    0.2,
    0.5,
    1.0,
)  # the kernel frees a dead task's cgroup a moment later
_SYSTEMD = ("org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager")
# v1: in these a pod's own cgroup carries settings, or must exist for the init system not to touch it.
_POD_CONTROLLERS_V1 = ("cpu", "memory", "pids")
_MONITOR_CONTROLLERS_V1 = ("name=systemd", "memory")


class Limits(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """What a container or a pod may use; None is no limit.

    Units: CPU in thousandths of a core, memory in bytes. `cpu_shares` (Docker's) wins over `cpu_request_milli`.
    `memory_swap_bytes` is memory and swap together; None allows no swap where there is a memory limit.
    `oom_group` kills all of the container when one of its processes runs out of memory (cgroup v2 only).
    """

    cpu_request_milli: int | None = None
    cpu_limit_milli: int | None = None
    cpu_shares: int | None = None
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    memory_bytes: int | None = None
    memory_swap_bytes: int | None = None
    memory_reservation_bytes: int | None = None
    pids: int | None = None
    oom_group: bool = False

    def describe(self) -> str:
        """Return the limits as one line. Example: "cpu_limit_milli=500 memory_bytes=67108864", or "no limits"."""
        given = msgspec.to_builtins(self)
        return " ".join(f"{name}={value}" for name, value in given.items()) or "no limits"


@dataclass(frozen=True, slots=True)
class Usage:
    """What a cgroup has used. Units: nanoseconds of CPU since it began; bytes now. `working_set` is what can't be freed."""

    cpu_ns: int
    memory_bytes: int
    memory_working_set_bytes: int
    pids: int


@dataclass(frozen=True, slots=True)
class CgroupHost:
    """How this machine's cgroups are laid out. `mounts` maps a v1 controller to its folder; on v2, "" to the root."""

    version: Literal[1, 2]
    driver: Literal["cgroupfs", "systemd"]
    mounts: Mapping[str, str]
    swap_accounting: bool = False

    def describe(self) -> str:
        """Return the line that `status` shows. Example: "cgroup v2, systemd driver"."""
        return f"cgroup v{self.version}, {self.driver} driver"


def parse_mountinfo(text: str, *, systemd: bool, swap_accounting: bool = False) -> CgroupHost:
    """Decide version and driver from /proc/self/mountinfo. v2 alone is v2; with any v1 controller it is v1 (hybrid).

    systemd (when it is the init) is the driver on v2, where it insists on owning the tree; v1 uses cgroupfs.
    Raises: HostError when no cgroup file system is mounted.
    """
    v1: dict[str, str] = {}
    v2 = ""
    for line in text.splitlines():
        left, _, right = line.partition(" - ")
        fields, kinds = left.split(), right.split()
        if len(fields) < 5 or not kinds:
            continue
        if kinds[0] == "cgroup2":
            v2 = v2 or fields[4]
        elif kinds[0] == "cgroup":
            for option in kinds[-1].split(","):
                if option not in ("rw", "ro", "xattr", "clone_children") and not option.startswith(
                    "release_agent"
                ):
                    v1.setdefault(option, fields[4])
    if any(not name.startswith("name=") for name in v1):
        if v2:  # hybrid: runtimes make a cgroup there too, for their processes only
            v1["unified"] = v2
        return CgroupHost(1, "cgroupfs", v1, swap_accounting)
    if v2:
        return CgroupHost(2, "systemd" if systemd else "cgroupfs", {"": v2}, swap_accounting)
    raise HostError(
        "no cgroup file system is mounted",
        hint="mount -t cgroup2 cgroup2 /sys/fs/cgroup, or boot with an init that does",
    )


def detect_cgroups() -> CgroupHost:
    """Read how this machine's cgroups are laid out."""
    host = parse_mountinfo(
        Path("/proc/self/mountinfo").read_text(), systemd=Path("/run/systemd/system").is_dir()
    )
    if host.version == 1:
        swap = Path(host.mounts.get("memory", "/nowhere"), "memory.memsw.limit_in_bytes").exists()
    else:
        swap = any(Path(host.mounts[""]).glob("*/memory.swap.max"))
    return CgroupHost(host.version, host.driver, host.mounts, swap)


def compute_shares(cpu_milli: int) -> int:
    """Return cpu.shares for a CPU request. Example: 500 is 512; 0 is 2, the kernel's smallest."""
    return min(max(cpu_milli * SHARES_PER_CPU // 1000, SHARES_MIN), SHARES_MAX)


def compute_weight(shares: int) -> int:
    """Return v2's cpu.weight for v1's cpu.shares. Source: runc, libcontainer/cgroups, ConvertCPUSharesToCgroupV2Value.

    Example: 1024 is 1 + 1022 * 9999 / 262142 = 39.
    """
    return 1 + (shares - SHARES_MIN) * 9999 // (SHARES_MAX - SHARES_MIN)


def compute_quota_us(cpu_milli: int) -> int:
    """Return cpu.cfs_quota_us for a CPU limit. Example: 250 is 25000 of each 100000."""
    return max(cpu_milli * CPU_PERIOD_US // 1000, CPU_QUOTA_MIN_US)


def _shares_of(limits: Limits) -> int | None:
    if limits.cpu_shares is not None:
        return limits.cpu_shares
    return None if limits.cpu_request_milli is None else compute_shares(limits.cpu_request_milli)


def render_resources(limits: Limits, host: CgroupHost) -> dict[str, Any]:
    """Return the OCI `linux.resources` (without devices) for these limits; what is not limited is left out."""
    cpu: dict[str, Any] = {}
    memory: dict[str, Any] = {}
    shares = _shares_of(limits)
    if shares is not None:
        cpu["shares"] = shares
    if limits.cpu_limit_milli is not None:
        cpu |= {"quota": compute_quota_us(limits.cpu_limit_milli), "period": CPU_PERIOD_US}
    if limits.cpuset_cpus:
        cpu["cpus"] = limits.cpuset_cpus
    if limits.cpuset_mems:
        cpu["mems"] = limits.cpuset_mems
    if limits.memory_bytes is not None:
        memory["limit"] = limits.memory_bytes
        if host.swap_accounting:
            memory["swap"] = (
                limits.memory_bytes if limits.memory_swap_bytes is None else limits.memory_swap_bytes
            )
    if limits.memory_reservation_bytes is not None:
        memory["reservation"] = limits.memory_reservation_bytes
    resources: dict[str, Any] = {}
    if cpu:
        resources["cpu"] = cpu
    if memory:
        resources["memory"] = memory
    if limits.pids is not None:
        resources["pids"] = {"limit": limits.pids}
    if limits.oom_group and host.version == 2:
        resources["unified"] = {"memory.oom.group": "1"}
    return resources


class Cgroups:
    """The cgroups of one instance.

    Layout, cgroupfs: /NAME/POD/CONTAINER and /NAME/monitors. Layout, systemd: NAME.slice, NAME-POD.slice,
    NAME-CONTAINER.scope and NAME-monitors.scope.
    """

    def __init__(self, host: CgroupHost, instance: str, clock: Clock) -> None:
        self.host = host
        self._clock = clock
        self.instance = instance
        self._unit = _escape(instance)

    @property
    def is_systemd(self) -> bool:
        return self.host.driver == "systemd"

    # names

    def oci_path(self, pod: str, container: str) -> str:
        """Return `linux.cgroupsPath` of a container; `pod` is "" for one that is in no pod."""
        if self.is_systemd:
            return f"{self._slice(pod)}:{self._unit}:{container}"
        return "/".join(("", self.instance, *((pod,) if pod else ()), container))

    def folder(self, pod: str, container: str = "") -> str:
        """Return the path of a pod's or a container's cgroup below a hierarchy's root, with a leading slash."""
        if not self.is_systemd:
            return "/".join(("", self.instance, *(part for part in (pod, container) if part)))
        parts = [f"{self._unit}.slice"]
        if pod:
            parts.append(self._slice(pod))
        if container:
            parts.append(f"{self._unit}-{container}.scope")
        return "/" + "/".join(parts)

    @property
    def monitors_folder(self) -> str:
        """The cgroup of all monitors, below a hierarchy's root."""
        if self.is_systemd:
            return f"/{self._unit}.slice/{self._unit}-{MONITORS}.scope"
        return f"/{self.instance}/{MONITORS}"

    def _slice(self, pod: str) -> str:
        return f"{self._unit}-{_escape(pod)}.slice" if pod else f"{self._unit}.slice"

    def _paths(self, folder: str) -> list[Path]:
        """Return the folder in every hierarchy that there is."""
        return [Path(f"{mount}{folder}") for mount in dict.fromkeys(self.host.mounts.values())]

    def _path(self, controller: str, folder: str) -> Path:
        mount = self.host.mounts.get(controller if self.host.version == 1 else "", "/nowhere")
        return Path(f"{mount}{folder}")

    # a pod's own cgroup

    async def ensure_pod(self, pod: str, limits: Limits) -> None:
        """Make a pod's cgroup and set its limits; calling it again sets them anew."""
        if self.is_systemd:
            await self._ensure_slice(pod, limits)
            return
        try:
            if self.host.version == 1:
                for controller in _POD_CONTROLLERS_V1:
                    if controller in self.host.mounts:
                        self._path(controller, self.folder(pod)).mkdir(parents=True, exist_ok=True)
            else:
                self._make_unified(self.folder(pod))
            for controller, file, value in self._pod_settings(limits):
                path = self._path(controller, self.folder(pod)) / file
                if path.exists():
                    path.write_text(value)
        except OSError as error:
            raise HostError(
                f"the cgroup of pod {pod} can't be made: {error.strerror} ({error.filename})",
                errno=error.errno,
                hint="Pinnace needs to write below /sys/fs/cgroup; in a container, that takes --privileged",
            ) from error

    def _pod_settings(self, limits: Limits) -> list[tuple[str, str, str]]:
        """Return (controller, file, value) in the order of writing."""
        shares, v1 = _shares_of(limits), self.host.version == 1
        settings: list[tuple[str, str, str]] = []
        if shares is not None:
            settings.append(
                ("cpu", "cpu.shares", str(shares))
                if v1
                else ("cpu", "cpu.weight", str(compute_weight(shares)))
            )
        if limits.cpu_limit_milli is not None:
            quota = compute_quota_us(limits.cpu_limit_milli)
            if v1:
                settings += [
                    ("cpu", "cpu.cfs_period_us", str(CPU_PERIOD_US)),
                    ("cpu", "cpu.cfs_quota_us", str(quota)),
                ]
            else:
                settings.append(("cpu", "cpu.max", f"{quota} {CPU_PERIOD_US}"))
        if limits.memory_bytes is not None:
            settings.append(
                ("memory", "memory.limit_in_bytes" if v1 else "memory.max", str(limits.memory_bytes))
            )
        if limits.pids is not None:
            settings.append(("pids", "pids.max", str(limits.pids)))
        return settings

    def _make_unified(self, folder: str) -> None:
        root = Path(self.host.mounts[""])
        controllers = (root / "cgroup.controllers").read_text().split()
        wanted: list[str] = [
            name for name in ("cpu", "cpuset", "io", "memory", "pids") if name in controllers
        ]
        path = root
        for part in folder.strip("/").split("/"):
            _enable(path, wanted)
            path = path / part
            path.mkdir(exist_ok=True)
        _enable(path, wanted)

    async def _ensure_slice(self, pod: str, limits: Limits) -> None:
        properties: list[tuple[str, str, str]] = [("Description", "s", f"Pinnace pod {pod}")]
        shares = _shares_of(limits)
        if shares is not None:
            properties.append(("CPUWeight", "t", str(compute_weight(shares))))
        if limits.cpu_limit_milli is not None:
            properties.append(("CPUQuotaPerSecUSec", "t", str(limits.cpu_limit_milli * 1000)))
        if limits.memory_bytes is not None:
            properties.append(("MemoryMax", "t", str(limits.memory_bytes)))
        if limits.pids is not None:
            properties.append(("TasksMax", "t", str(limits.pids)))
        if self._path("", self.folder(pod)).is_dir():
            if len(properties) > 1:
                flat = [part for name, kind, value in properties[1:] for part in (name, kind, value)]
                await _call_systemd(
                    "SetUnitProperties", "sba(sv)", self._slice(pod), "true", str(len(flat) // 3), *flat
                )
            return
        await self._start_unit(self._slice(pod), properties)

    async def _start_unit(
        self, unit: str, properties: list[tuple[str, str, str]], pids: tuple[int, ...] = ()
    ) -> None:
        flat = [part for one in properties for part in one]
        count = len(properties)
        if pids:
            flat += ["PIDs", "au", str(len(pids)), *map(str, pids)]
            count += 1
        await _call_systemd("StartTransientUnit", "ssa(sv)a(sa(sv))", unit, "replace", str(count), *flat, "0")

    async def remove_pod(self, pod: str) -> None:
        """Remove a pod's cgroup and what is left below it, killing what still runs there; fine when it is gone."""
        self.kill(self.folder(pod))
        if self.is_systemd and self._path("", self.folder(pod)).is_dir():
            await _call_systemd("StopUnit", "ss", self._slice(pod), "replace", check=False)
        await self._remove(self.folder(pod))

    async def remove_path(self, folder: str) -> None:
        """Remove what a container's end left of its cgroup; fine when it is gone."""
        if any(path.is_dir() for path in self._paths(folder)):
            await self._remove(folder)

    def kill_containers(self) -> None:
        """Kill all processes of the instance but the monitors, who then see their containers end."""
        self.kill(self.folder(""), spare=self.processes(self.monitors_folder))

    async def remove_all(self) -> None:
        """Kill all processes in the instance's cgroups, and remove the cgroups."""
        folder = self.folder("")
        self.kill(folder)
        if self.is_systemd and self._path("", folder).is_dir():
            await _call_systemd("StopUnit", "ss", self._slice(""), "replace", check=False)
        await self._remove(folder)

    async def _remove(self, folder: str) -> None:
        left: list[Path] = []
        for wait_s in _REMOVE_TRIES_S:
            if wait_s:  # reason to poll: v1 tells nobody when a cgroup has become empty
                await self._clock.sleep(wait_s)
            left = [path for path in self._paths(folder) if not _remove_tree(path)]
            if not left:
                return
        raise HostError(
            f"the cgroup {left[0]} can't be removed",
            hint=f"see which processes are in it: cat {left[0]}/cgroup.procs",
        )

    # processes

    def processes(self, folder: str) -> set[int]:
        """Return the pids in a cgroup and in those below it."""
        pids: set[int] = set()
        for path in self._paths(folder):
            for base, _, _ in os.walk(path):
                try:
                    pids.update(int(line) for line in Path(base, "cgroup.procs").read_text().split())
                except OSError:
                    continue
        return pids - {0}

    def kill(self, folder: str, *, spare: Collection[int] = ()) -> None:
        """Send SIGKILL to all processes in a cgroup and below, until none is left that was not told."""
        told: set[int] = {os.getpid(), *spare}
        while fresh := self.processes(folder) - told:
            for pid in fresh:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            told |= fresh

    async def adopt_monitor(self, pid: int) -> None:
        """Move a monitor, before it starts anything, to the monitors' cgroup, out of the daemon's session or unit."""
        if self.is_systemd:
            scope = self._path("", self.monitors_folder) / "cgroup.procs"
            try:
                scope.write_text(str(pid))
            except OSError:
                properties = [
                    ("Slice", "s", f"{self._unit}.slice"),
                    ("Delegate", "b", "true"),
                    ("CollectMode", "s", "inactive-or-failed"),
                ]
                await self._start_unit(f"{self._unit}-{MONITORS}.scope", properties, (pid,))
                await self._wait_for_member(scope, pid)
            return
        folder = self.monitors_folder
        names = _MONITOR_CONTROLLERS_V1 if self.host.version == 1 else ("",)
        for controller in names:
            if controller in self.host.mounts:
                # In a thread: the kernel waits until every CPU has seen the move, some 10 ms.
                await asyncio.to_thread(_move, self._path(controller, folder), pid)

    async def _wait_for_member(self, procs: Path, pid: int) -> None:
        """Wait until systemd has moved a process: its answer comes before the move."""
        for wait_s in (
            _REMOVE_TRIES_S
        ):  # reason to poll: the move is announced by a signal on the bus, one process more
            await self._clock.sleep(wait_s)
            try:
                if str(pid) in procs.read_text().split():
                    return
            except OSError:
                continue
        raise HostError(
            f"systemd did not move process {pid} to {procs.parent.name}", hint="journalctl -n 50 says why"
        )

    # what it used

    def read_usage(self, folder: str) -> Usage | None:
        """Return a cgroup's usage now; None when it is gone."""
        try:
            if self.host.version == 1:
                cpu_ns = int(self._path("cpuacct", folder).joinpath("cpuacct.usage").read_text())
                memory, stat = (
                    self._path("memory", folder).joinpath("memory.usage_in_bytes"),
                    "total_inactive_file",
                )
            else:
                cpu_ns = _read_table(self._path("", folder) / "cpu.stat").get("usage_usec", 0) * 1000
                memory, stat = self._path("", folder).joinpath("memory.current"), "inactive_file"
            used = int(memory.read_text())
            inactive = _read_table(memory.parent / "memory.stat").get(stat, 0)
            pids_file = self._path("pids", folder) / "pids.current"
            pids = int(pids_file.read_text()) if pids_file.exists() else 0
        except (FileNotFoundError, OSError):
            return None
        return Usage(cpu_ns, used, max(0, used - inactive), pids)

    def exists(self, folder: str) -> bool:
        """Return whether a container's cgroup is still there."""
        return self._path("memory", folder).is_dir()

    def count_oom_kills(self, folder: str) -> int:
        """Return how many processes the kernel has killed there for want of memory; 0 when the cgroup is gone."""
        name = "memory.oom_control" if self.host.version == 1 else "memory.events"
        try:
            return _read_table(self._path("memory", folder) / name).get("oom_kill", 0)
        except OSError:
            return 0

    def read_setting(self, controller: str, folder: str, file: str) -> str:
        """Return one file of a cgroup, for `inspect` and tests. Raises: FileNotFoundError."""
        return self._path(controller, folder).joinpath(file).read_text().strip()


def _escape(name: str) -> str:
    """Return a name for a systemd unit; "-" would nest slices. Example: "pt-a" is "pt_a"."""
    return name.replace("-", "_")


def _enable(path: Path, controllers: Sequence[str]) -> None:
    enabled = (path / "cgroup.subtree_control").read_text().split()
    missing = [name for name in controllers if name not in enabled]
    if missing:
        (path / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in missing))


def _read_table(path: Path) -> dict[str, int]:
    rows = (line.split() for line in path.read_text().splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdigit()}


def _remove_tree(path: Path) -> bool:
    """Remove a cgroup with those below it; False when the kernel says that it is busy."""
    for base, _, _ in os.walk(path, topdown=False):
        try:
            os.rmdir(base)
        except FileNotFoundError:
            continue
        except OSError:
            return False
    return True


async def _call_systemd(method: str, signature: str, *arguments: str, check: bool = True) -> None:
    argv = ["busctl", "call", "--quiet", *_SYSTEMD, method, signature, *arguments]
    await spawn.run(argv, timeout_s=30, check=check)


def _move(folder: Path, pid: int) -> None:
    """Move a process into a cgroup, which is made if it isn't there."""
    try:
        (folder / "cgroup.procs").write_text(str(pid))
    except FileNotFoundError:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "cgroup.procs").write_text(str(pid))
