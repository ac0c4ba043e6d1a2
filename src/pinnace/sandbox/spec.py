"""What a sandbox and its containers shall be, and what they are: the values that go in and out of this room.

Written to disk as they are, so that a daemon that starts anew knows all that its predecessor knew.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from pinnace.container.cgroup import Limits
from pinnace.container.exits import ExitFact
from pinnace.container.plan import Device, Mount, Rlimit

NetworkMode = Literal["pod", "host", "none"]
ContainerState = Literal["creating", "created", "running", "exited"]


class HostEntry(msgspec.Struct, frozen=True, gc=False):
    """A line of /etc/hosts."""

    ip: str
    names: tuple[str, ...]


class SandboxSpec(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """The surroundings that containers share: network, IPC and host name, /etc files, a cgroup, /dev/shm.

    `hostname` "" is the id's first 12 characters, as with Docker; with network "host" it is always the host's.
    `domain` is what follows the host name in /etc/hosts. `resolv_conf` None is the host's own file.
    `share_processes` makes a pause process, the only case that needs one. `limits` bound all containers together.
    """

    id: str
    hostname: str = ""
    domain: str = ""
    network: NetworkMode = "pod"
    resolv_conf: str | None = None
    hosts: tuple[HostEntry, ...] = ()
    labels: dict[str, str] = {}
    limits: Limits = Limits()
    share_processes: bool = False
    host_pid: bool = False
    host_ipc: bool = False
    shm_bytes: int = 64 << 20  # Source: Docker's documentation, docker run, --shm-size
    sysctls: dict[str, str] = {}


class Address(msgspec.Struct, frozen=True, gc=False):
    """Where a sandbox is on the network."""

    ip: str
    gateway: str
    mac: str
    mtu: int


class Sandbox(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """A sandbox that is. `gone` means that its namespaces are (the machine was restarted): remove it and make it anew."""

    spec: SandboxSpec
    created_at: float
    address: Address | None = None
    netns_path: str = ""
    pause_pid: int = 0
    ready: bool = False
    gone: bool = False

    @property
    def id(self) -> str:
        return self.spec.id

    @property
    def ip(self) -> str:
        """The sandbox's address; "" when it has none of its own."""
        return self.address.ip if self.address else ""


class ContainerSpec(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """A container of a sandbox.

    `image` is the id of an image in the store; or `rootfs` is a folder that is prepared already. `command` replaces the
    image's entrypoint and its cmd, `args` its cmd only; None takes the image's. `env` is "NAME=value", later ones win.
    `volatile`: what it writes need not outlive a crash of the machine, so nothing waits for the disk when it goes.
    `user` "" is the image's; `uid` and `gid` override it; `groups` are added. `log_path` "" is a place below the state.
    `processes_of` is another container of the sandbox, whose process namespace it shares: it must run.
    `stop_signal` "" is the image's, else SIGTERM. `seccomp` is "default", "unconfined" or a profile's path.
    """

    id: str
    name: str = ""
    image: str = ""
    rootfs: str = ""
    command: tuple[str, ...] | None = None
    args: tuple[str, ...] | None = None
    env: tuple[str, ...] = ()
    cwd: str = ""
    user: str = ""
    uid: int | None = None
    gid: int | None = None
    groups: tuple[str | int, ...] = ()
    mounts: tuple[Mount, ...] = ()
    limits: Limits = Limits()
    tty: bool = False
    stdin: bool = False
    stdin_once: bool = False
    privileged: bool = False
    capabilities_add: tuple[str, ...] = ()
    capabilities_drop: tuple[str, ...] = ()
    no_new_privileges: bool = False
    read_only_root: bool = False
    devices: tuple[Device, ...] = ()
    sysctls: dict[str, str] = {}
    seccomp: str = "default"
    unmasked_proc: bool = False
    rlimits: tuple[Rlimit, ...] = ()
    oom_score_adj: int | None = None
    labels: dict[str, str] = {}
    log_path: str = ""
    etc_files: bool = True
    volatile: bool = False
    stop_signal: str = ""
    processes_of: str = ""


class ContainerHandle(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """A container that is. `argv` is what it really runs; `folder` its cgroup; `exit` how it ended, once it has."""

    spec: ContainerSpec
    sandbox_id: str
    state: ContainerState
    log_path: str
    folder: str
    rootfs: str = ""
    argv: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    cwd: str = "/"
    user: str = ""
    stop_signal: str = "SIGTERM"
    pid: int = 0
    created_at: float = 0.0
    started_at: float = 0.0
    exit: ExitFact | None = None

    @property
    def id(self) -> str:
        return self.spec.id


class ImageDefaults(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What an image says about its containers; the facts that `compose.py` merges with a spec."""

    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    cwd: str = ""
    user: str = ""
    stop_signal: str = ""
