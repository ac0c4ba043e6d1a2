"""Decides which OCI runtime and monitor are used, from what is installed and how the cgroups are laid out."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass

from pinnace.base.errors import HostError, UserError
from pinnace.container.cgroup import CgroupHost

RUNTIMES = ("runc", "crun")
_SBIN = (
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/libexec/podman",
    "/usr/lib/podman",
)


@dataclass(frozen=True, slots=True)
class Programs:
    """The programs that run containers. `note` says why it isn't the runtime that was wished for, or is ""."""

    runtime: str
    runtime_path: str
    monitor_path: str
    note: str = ""

    def describe(self) -> str:
        """Return the line that `status` shows."""
        return f"{self.runtime} ({self.runtime_path}), {self.monitor_path}" + (
            f"; {self.note}" if self.note else ""
        )


def find_on_path(name: str) -> str | None:
    """Return where a program is; also where distributions put it out of a user's PATH."""
    return shutil.which(name) or shutil.which(name, path=os.pathsep.join(_SBIN))


def choose_programs(
    wanted: str, cgroups: CgroupHost, *, find: Callable[[str], str | None] = find_on_path
) -> Programs:
    """Return the programs to use. `wanted` is "", "runc", "crun" or a path; runc is the default, crun when it is all there is.

    Raises: UserError when `wanted` is no runtime that we know; HostError, with a hint, when a program is missing.
    """
    name = os.path.basename(wanted) or "runc"
    if name not in RUNTIMES:
        raise UserError(
            f"PINNACE_RUNTIME={wanted} is not a runtime that Pinnace knows", hint="use runc or crun"
        )
    note = ""
    if cgroups.version == 1 and name == "crun":
        # crun of current distributions ends with "cgroups in hybrid mode not supported" when v2 is mounted beside v1.
        name, note = "runc", "crun does not run on cgroup v1 (hybrid)"
        wanted = ""
    path = wanted if wanted.startswith("/") else find(name)
    if path is None and not wanted and cgroups.version == 2:
        name, path = "crun", find("crun")
    if path is None:
        package = wanted or "runc"
        raise HostError(
            f"no OCI runtime is installed: {package} was not found",
            hint=f"apt-get install {package} (or dnf install {package})",
        )
    monitor = find("conmon")
    if monitor is None:
        raise HostError(
            "conmon, which watches containers, is not installed",
            hint="apt-get install conmon (or dnf install conmon)",
        )
    return Programs(name, path, monitor, note)
