"""What `pinnace run`, `create` and `exec` send: flags as they were written, before anything is decided.

The command resolves only what the client's side alone knows: its environment (`-e NAME`, `--env-file`) and relative paths.
"""

from __future__ import annotations

import msgspec

from pinnace.base.errors import UserError


class RunRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The flags of `run`. `entrypoint` None is the image's, "" none at all. `attached`: a client will stay connected."""

    image: str
    command: tuple[str, ...] = ()
    name: str = ""
    entrypoint: str | None = None
    env: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    user: str = ""
    groups: tuple[str, ...] = ()
    workdir: str = ""
    hostname: str = ""
    network: str = ""
    publish: tuple[str, ...] = ()
    publish_all: bool = False
    expose: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    mounts: tuple[str, ...] = ()
    tmpfs: tuple[str, ...] = ()
    memory: str = ""
    memory_swap: str = ""
    memory_reservation: str = ""
    shm_size: str = ""
    cpus: str = ""
    cpu_shares: int = 0
    cpuset_cpus: str = ""
    pids_limit: int = 0
    ulimits: tuple[str, ...] = ()
    sysctls: tuple[str, ...] = ()
    restart: str = ""
    rm: bool = False
    tty: bool = False
    stdin: bool = False
    attached: bool = False
    privileged: bool = False
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    security_opt: tuple[str, ...] = ()
    read_only: bool = False
    stop_signal: str = ""
    stop_timeout: int | None = None
    add_host: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    pid: str = ""
    ipc: str = ""
    health_cmd: str = ""
    health_interval: str = ""
    health_timeout: str = ""
    health_start_period: str = ""
    health_start_interval: str = ""
    health_retries: int = 0
    no_healthcheck: bool = False


class ExecRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The flags of `exec`."""

    command: tuple[str, ...]
    env: tuple[str, ...] = ()
    user: str = ""
    workdir: str = ""
    tty: bool = False
    stdin: bool = False
    privileged: bool = False
    detach: bool = False


def parse_run(data: bytes) -> RunRequest:
    """Return the request in a JSON document. Raises: UserError."""
    try:
        return msgspec.json.decode(data, type=RunRequest)
    except msgspec.DecodeError as error:
        raise UserError(f"the request to run a container can't be read: {error}", _AGE) from error


def parse_exec(data: bytes) -> ExecRequest:
    """Return the request in a JSON document. Raises: UserError."""
    try:
        request = msgspec.json.decode(data, type=ExecRequest)
    except msgspec.DecodeError as error:
        raise UserError(f"the request to exec can't be read: {error}", _AGE) from error
    if not request.command:
        raise UserError("no exec command specified", "pinnace exec CONTAINER COMMAND")
    return request


_AGE = "is the command as new as the daemon? pinnace status"
