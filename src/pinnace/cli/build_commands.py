"""The flags of `pinnace build` about its commands: networks, limits, secrets, ssh agents; and what becomes of them here.

Files and variables are read with the person's own rights, and only their values are sent. Keys that are named as files stay
here: an agent of our own holds them while the build goes on, and signs.
"""

from __future__ import annotations

import base64
import contextlib
import csv
import os
import stat
from collections.abc import Callable, Iterator
from typing import Any

import click

from pinnace.base.errors import UserError

SECRET_HINT = "--secret id=NAME,src=FILE or --secret id=NAME,env=VARIABLE"
SECRET_MAX_BYTES = 500 << 10  # Source: BuildKit, session/secrets/secretsprovider, MaxSecretSize
AGENT_VARIABLE = "SSH_AUTH_SOCK"
AGENT_TIMEOUT_S = 20.0

# One row for each flag: its names, its field, its metavar (None for one that may be repeated comes with "…"), its help.
TEXTS: tuple[tuple[tuple[str, ...], str, str, str], ...] = (
    (("--network",), "network", "MODE", "Network of RUN: default, none or host."),
    (("--shm-size",), "shm_size", "SIZE", "Size of /dev/shm in RUN (default 64m)."),
    (("-m", "--memory"), "memory", "SIZE", "Memory limit of each RUN, such as 2g."),
    (("--memory-swap",), "memory_swap", "SIZE", "Limit of memory and swap together; -1 for none."),
    (("-c", "--cpu-shares"), "cpu_shares", "N", "Weight of each RUN among others (default 1024)."),
    (("--cpu-period",), "cpu_period", "US", "Period of --cpu-quota, in microseconds (default 100000)."),
    (("--cpu-quota",), "cpu_quota", "US", "CPU time of each RUN in a period, in microseconds."),
    (("--cpuset-cpus",), "cpuset_cpus", "LIST", "Which CPUs, such as 0-2,5."),
    (("--cpuset-mems",), "cpuset_mems", "LIST", "Which memory nodes, such as 0,1."),
    (("--cgroup-parent",), "cgroup_parent", "CGROUP", "Not supported."),
)
LISTS: tuple[tuple[tuple[str, ...], str, str, str], ...] = (
    (("--secret",), "secret", "id=NAME,src=FILE", "A file or variable (env=) for RUN --mount=type=secret."),
    (("--ssh",), "ssh", "default|ID[=SOCKET|KEY,…]", "An ssh agent, or keys, for RUN --mount=type=ssh."),
    (("--allow",), "allow", "RIGHT", "Allow a Dockerfile network.host or security.insecure."),
    (("--add-host",), "add_host", "NAME:IP", "A line of /etc/hosts in RUN; IP may be host-gateway."),
    (("--ulimit",), "ulimit", "NAME=SOFT[:HARD]", "A resource limit of each RUN."),
)


def command_flags(function: Callable[..., int]) -> Callable[..., int]:
    """Give a command these flags; it gets all of them as one argument, `commands`."""

    def wrapped(**given: Any) -> int:
        commands = {field: given.pop(field) for _, field, _, _ in (*TEXTS, *LISTS)}
        return function(**given, commands=commands)

    wrapped.__name__, wrapped.__doc__ = function.__name__, function.__doc__
    wrapped.__click_params__ = getattr(function, "__click_params__", [])  # type: ignore[attr-defined]
    decorated: Callable[..., int] = wrapped
    for names, field, metavar, text in reversed(LISTS):
        decorated = click.option(*names, field, multiple=True, metavar=metavar, help=text)(decorated)
    for names, field, metavar, text in reversed(TEXTS):
        hidden = field == "cgroup_parent"
        decorated = click.option(*names, field, default="", metavar=metavar, help=text, hidden=hidden)(
            decorated
        )
    return decorated


@contextlib.contextmanager
def open_commands(commands: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Give what the request says of commands; agents that were started for it end with the context. Raises: UserError."""
    if commands["cgroup_parent"]:
        raise UserError(
            "--cgroup-parent is not supported", "commands of a build run in the instance's own cgroup"
        )
    body = {name: value for name, value in commands.items() if name not in ("secret", "ssh") and value}
    secrets = dict(_read_secret(text) for text in commands["secret"])
    with contextlib.ExitStack() as stack:
        agents = dict(_read_agent(text, stack) for text in commands["ssh"])
        yield {
            "commands": body,
            "secrets": {name: base64.b64encode(value).decode() for name, value in secrets.items()},
            "ssh": agents,
        }


# --- secrets -------------------------------------------------------------------------------------------------------------


def _read_secret(text: str) -> tuple[str, bytes]:
    """Return id and value. Without src and env, a variable of that name wins over a file. Source: docker/buildx."""
    fields = _read_fields(text)
    name = fields.get("id", "")
    if not name:
        raise UserError(f"--secret {text}: it has no id", SECRET_HINT)
    kind, path, variable = fields.get("type", ""), fields.get("src", ""), fields.get("env", "")
    if kind not in ("", "file", "env"):
        raise UserError(f'--secret {text}: unsupported secret type "{kind}"', "file or env")
    if kind == "env" and not variable:
        variable, path = path or name, ""
    if not path and not variable:
        variable, path = (name, "") if name in os.environ and kind != "file" else ("", name)
    value = _read_variable(name, variable) if variable else _read_file(name, path)
    if len(value) > SECRET_MAX_BYTES:
        raise UserError(
            f"secret {name} has {len(value)} bytes, the most is {SECRET_MAX_BYTES}",
            "mount larger files with RUN --mount=type=bind",
        )
    return name, value


def _read_fields(text: str) -> dict[str, str]:
    try:
        (row,) = csv.reader([text], strict=True)
    except (csv.Error, ValueError):
        raise UserError(f"--secret {text}: it can't be read", SECRET_HINT) from None
    fields = {}
    for field in row:
        key, equals, value = field.partition("=")
        key = {"source": "src"}.get(key.lower(), key.lower())
        if not equals:
            raise UserError(f"invalid field '{field}' must be a key=value pair", SECRET_HINT)
        if key not in ("type", "id", "src", "env"):
            raise UserError(f"unexpected key '{key}' in '{field}'", SECRET_HINT)
        fields[key] = value
    return fields


def _read_variable(name: str, variable: str) -> bytes:
    value = os.environb.get(variable.encode())
    if value is None:
        raise UserError(
            f"secret {name}: the environment has no variable {variable}", "export it, or give src=FILE"
        )
    return value


def _read_file(name: str, path: str) -> bytes:
    try:
        with open(os.path.expanduser(path), "rb") as file:
            return file.read(SECRET_MAX_BYTES + 1)
    except OSError as error:
        raise UserError(f"secret {name}: {path} can't be read: {error.strerror}", SECRET_HINT) from None


# --- ssh -----------------------------------------------------------------------------------------------------------------


def _read_agent(text: str, stack: contextlib.ExitStack) -> tuple[str, str]:
    """Return an agent's id and the path of its socket. Example: "default", "github=~/.ssh/key"."""
    name, _, value = text.partition("=")
    paths = [os.path.expanduser(path) for path in value.split(",") if path]
    if not paths:
        socket = os.environ.get(AGENT_VARIABLE, "")
        if not socket:
            raise UserError(
                "invalid empty ssh agent socket: make sure SSH_AUTH_SOCK is set",
                'eval "$(ssh-agent)" && ssh-add; or name a key: --ssh default=~/.ssh/id_ed25519',
            )
        paths = [socket]
    kinds = [_is_socket(path) for path in paths]
    if kinds == [True]:
        return name, os.path.abspath(paths[0])
    if any(kinds):
        raise UserError(f"--ssh {text}: a socket stands alone", "one socket, or one or several keys")
    return name, stack.enter_context(_agent_with(paths))


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError as error:
        raise UserError(
            f"--ssh: {path} can't be used: {error.strerror}", "an agent's socket, or a private key"
        ) from None


@contextlib.contextmanager
def _agent_with(keys: list[str]) -> Iterator[str]:
    """Run an agent that holds these keys; give its socket."""
    import shutil
    import subprocess
    import tempfile

    programs = [shutil.which(program) for program in ("ssh-agent", "ssh-add")]
    if None in programs:
        raise UserError(
            "--ssh: keys need an agent, and ssh-agent is not installed",
            "apt-get install openssh-client, or give an agent's socket",
        )
    with tempfile.TemporaryDirectory(prefix="pinnace-ssh-") as folder:
        socket = os.path.join(folder, "agent")
        agent = subprocess.Popen(
            [str(programs[0]), "-D", "-a", socket],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        try:
            assert agent.stdout is not None
            agent.stdout.readline()  # it says where it listens, once it does
            for key in keys:
                done = subprocess.run(
                    [str(programs[1]), "-q", key],
                    env={**os.environ, AGENT_VARIABLE: socket, "SSH_ASKPASS_REQUIRE": "never"},
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    text=True,
                    timeout=AGENT_TIMEOUT_S,
                    check=False,
                    start_new_session=True,  # nobody is asked for a passphrase
                )
                if done.returncode:
                    raise UserError(
                        f"--ssh: the key {key} can't be used: {done.stderr.strip() or 'it has a passphrase'}",
                        "add it to an agent (ssh-add), and give --ssh default",
                    )
            yield socket
        finally:
            agent.terminate()
            agent.wait()
            agent.stdout.close() if agent.stdout else None
