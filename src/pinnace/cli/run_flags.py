"""The flags of `pinnace run`: their table, from which click's options and the quick start both follow, and what becomes of

them here. Imports next to nothing, because `run` starts with it.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, NoReturn

# One row for each flag that goes to the daemon as it is: names, field of its request, metavar, help.
TEXTS: tuple[tuple[tuple[str, ...], str, str, str], ...] = (
    (("--name",), "name", "NAME", "Name of the container."),
    (("-u", "--user"), "user", "NAME|UID[:GROUP|GID]", "Whom the command runs as."),
    (("-w", "--workdir"), "workdir", "PATH", "Where the command runs."),
    (("-h", "--hostname"), "hostname", "NAME", "The container's host name."),
    (("--network", "--net"), "network", "MODE", "bridge (default), host or none."),
    (("-m", "--memory"), "memory", "SIZE", "Memory limit, such as 512m."),
    (("--memory-swap",), "memory_swap", "SIZE", "Limit of memory and swap together; -1 for none."),
    (("--memory-reservation",), "memory_reservation", "SIZE", "What it keeps when memory is short."),
    (("--shm-size",), "shm_size", "SIZE", "Size of /dev/shm (default 64m)."),
    (("--cpus",), "cpus", "NUMBER", "How many CPUs, such as 1.5."),
    (("--cpuset-cpus",), "cpuset_cpus", "LIST", "Which CPUs, such as 0-2,5."),
    (("--restart",), "restart", "POLICY", "no (default), on-failure[:N], always, unless-stopped."),
    (("--stop-signal",), "stop_signal", "SIGNAL", "What `stop` sends."),
    (("--pid",), "pid", "MODE", "host: see the host's processes."),
    (("--ipc",), "ipc", "MODE", "host: share the host's /dev/shm."),
    (("--health-cmd",), "health_cmd", "COMMAND", "Says by its exit code whether the container is healthy."),
    (("--health-interval",), "health_interval", "TIME", "How often (default 30s)."),
    (("--health-timeout",), "health_timeout", "TIME", "How long a check may take (default 30s)."),
    (
        ("--health-start-period",),
        "health_start_period",
        "TIME",
        "How long failures don't count (default 0s).",
    ),
    (("--health-start-interval",), "health_start_interval", "TIME", "How often in that time (default 5s)."),
)
LISTS: tuple[tuple[tuple[str, ...], str, str, str], ...] = (
    (("-e", "--env"), "env", "NAME[=VALUE]", "Environment; without a value, ours."),
    (("--env-file",), "env_files", "FILE", "Environment from a file."),
    (("-v", "--volume"), "volumes", "NAME|PATH:PATH[:ro]", "Mount a volume or a folder."),
    (("-l", "--label"), "labels", "KEY=VALUE", "Label of the container."),
    (("-p", "--publish"), "publish", "[IP:][HOST:]PORT", "Lead a port of the host to the container."),
    (("--expose",), "expose", "PORT", "A port that it serves."),
    (("--mount",), "mounts", "KEY=VALUE,…", "Mount: type=bind,source=…,target=…[,readonly]."),
    (("--tmpfs",), "tmpfs", "PATH[:OPTIONS]", "An empty file system in memory."),
    (("--ulimit",), "ulimits", "NAME=SOFT[:HARD]", "A limit of its processes."),
    (("--sysctl",), "sysctls", "NAME=VALUE", "A kernel parameter of its namespaces."),
    (("--cap-add",), "cap_add", "NAME", "Add a capability."),
    (("--cap-drop",), "cap_drop", "NAME", "Drop a capability."),
    (("--security-opt",), "security_opt", "OPTION", "no-new-privileges, seccomp=unconfined, …"),
    (("--add-host",), "add_host", "NAME:IP", "A line of /etc/hosts; IP may be host-gateway."),
    (("--dns",), "dns", "IP", "A name server."),
    (("--group-add",), "groups", "GROUP", "One more group."),
)
FLAGS: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (("-t", "--tty"), "tty", "Give it a terminal."),
    (("-i", "--interactive"), "stdin", "Keep its standard input open."),
    (("--rm",), "rm", "Remove it when it has ended."),
    (("--privileged",), "privileged", "All capabilities and devices."),
    (("--read-only",), "read_only", "Its root file system can't be written."),
    (("-P", "--publish-all"), "publish_all", "Publish all exposed ports, on free ones."),
    (("--no-healthcheck",), "no_healthcheck", "Leave the image's HEALTHCHECK out."),
)


NUMBERS: tuple[tuple[tuple[str, ...], str, int | None, str, str], ...] = (
    (("--cpu-shares",), "cpu_shares", 0, "N", "Weight among others (default 1024)."),
    (("--pids-limit",), "pids_limit", 0, "N", "How many processes; -1 for no limit."),
    (("--health-retries",), "health_retries", 0, "N", "How many failures in a row count (default 3)."),
    (("--stop-timeout",), "stop_timeout", None, "SECONDS", "How long `stop` waits."),
)


def _refuse(message: str, hint: str = "", where: str = "") -> NoReturn:
    from pinnace.base.errors import UserError

    raise UserError(message, hint, where)


def build_request(flags: dict[str, Any]) -> dict[str, Any]:
    """Return the daemon's request: what only this side knows is put in. Raises: UserError."""
    if flags.pop("init"):
        _refuse("--init is not supported yet", "make the image's entrypoint reap: tini -- COMMAND")
    flags.pop("pull", None)  # that is between the command and `pull`
    flags.pop("platform", None)
    env = [item for path in flags.pop("env_files") for item in read_env_file(path)]
    env += resolve_env(flags.pop("env"))
    return {**flags, "env": env, "volumes": [resolve_volume(text) for text in flags.pop("volumes")]}


def resolve_env(items: Iterable[str]) -> list[str]:
    """Return NAME=value texts; a name alone takes our value, and is left out when we have none."""
    resolved = []
    for item in items:
        name, equal, _ = item.partition("=")
        if not name:
            _refuse(f"invalid environment variable: {item}", "-e NAME=value")
        if equal:
            resolved.append(item)
        elif name in os.environ:
            resolved.append(f"{name}={os.environ[name]}")
    return resolved


def read_env_file(path: str) -> list[str]:
    """Return the variables of a file. Source: docker/cli, pkg/kvfile: no quotes, no expansion, # only begins a line."""
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        _refuse(f"the env-file {path} can't be read: {error}", "NAME=value lines")
    items = []
    for number, line in enumerate(lines, 1):
        line = line.lstrip()
        if not line or line.startswith("#"):
            continue
        name = line.partition("=")[0]
        if not name or any(space in name for space in " \t"):
            _refuse(f"invalid environment variable: {line}", "NAME=value", f"{path}:{number}")
        items.append(line)
    return resolve_env(items)


def resolve_volume(text: str) -> str:
    """Return a volume whose relative folder is made absolute, from where we are. Example: "./data:/data"."""
    source, colon, rest = text.partition(":")
    if colon and (source in (".", "..", "~") or source.startswith(("./", "../", "~/"))):
        return f"{os.path.abspath(os.path.expanduser(source))}:{rest}"
    return text


def parse_quickly(words: list[str]) -> dict[str, Any] | None:
    """Return the flags that click would find; None for whatever is not plain: click then does it, or says what is wrong.

    Example: ["--rm", "-it", "-e", "A=1", "bb", "sh", "-c", "x"]; flags end at the image.
    """
    flags: dict[str, Any] = {
        **{field: () for _, field, _, _ in LISTS},
        **{field: "" for _, field, _, _ in TEXTS},
        **{field: False for _, field, _ in FLAGS},
        **{field: default for _, field, default, _, _ in NUMBERS},
        "entrypoint": None,
        "init": False,
        "pull": "missing",
        "platform": "",
    }
    switches = {name: field for names, field, _ in FLAGS for name in names}
    texts = {name: field for names, field, _, _ in TEXTS for name in names} | {"--entrypoint": "entrypoint"}
    lists = {name: field for names, field, _, _ in LISTS for name in names}
    numbers = {name: field for names, field, _, _, _ in NUMBERS for name in names}
    at = 0
    while at < len(words) and words[at].startswith("-") and words[at] != "-":
        word = words[at]
        at += 1
        if word == "--":
            break
        if word.startswith("--"):
            name, equal, value = word.partition("=")
            if name in switches:
                if equal:
                    return None
                flags[switches[name]] = True
                continue
        else:
            letters = word[1:]
            while letters and f"-{letters[0]}" in switches:
                flags[switches[f"-{letters[0]}"]] = True
                letters = letters[1:]
            if not letters:
                continue
            name, equal, value = f"-{letters[0]}", letters[1:], letters[1:]
        if not equal:
            if at == len(words):
                return None
            value = words[at]
            at += 1
        if name in texts:
            flags[texts[name]] = value
        elif name in lists:
            flags[lists[name]] = (*flags[lists[name]], value)
        elif name in numbers and value.isdecimal():
            flags[numbers[name]] = int(value)
        else:
            return None
    if at >= len(words) or not words[at]:
        return None
    return {**flags, "image": words[at], "command": tuple(words[at + 1 :])}
