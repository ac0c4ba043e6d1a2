"""`pinnace run` and `pinnace create`: flags as they are, to the daemon; then the session until the container ends."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import click

from pinnace.base.errors import PinnaceError, UserError
from pinnace.cli.client import Client
from pinnace.cli.output import print_error, say
from pinnace.cli.session import Detached, Session, SessionFailed

F = TypeVar("F", bound=Callable[..., Any])

OWN_FAILURE = 125  # Source: Docker's documentation, docker run, "Exit status"


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
)
LISTS: tuple[tuple[tuple[str, ...], str, str, str], ...] = (
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
)


def _options(command: F) -> F:
    wrapped: Any = command
    for names, field, metavar, text in reversed(LISTS):
        wrapped = click.option(*names, field, multiple=True, metavar=metavar, help=text)(wrapped)
    for names, field, metavar, text in reversed(TEXTS):
        wrapped = click.option(*names, field, default="", metavar=metavar, help=text)(wrapped)
    for names, field, text in reversed(FLAGS):
        wrapped = click.option(*names, field, is_flag=True, help=text)(wrapped)
    more = [
        click.option("-e", "--env", multiple=True, metavar="NAME[=VALUE]", help="Environment; without a value, ours."),
        click.option("--env-file", "env_files", multiple=True, metavar="FILE", help="Environment from a file."),
        click.option("-v", "--volume", "volumes", multiple=True, metavar="NAME|PATH:PATH[:ro]", help="Mount a volume or a folder."),
        click.option("--entrypoint", default=None, metavar="COMMAND", help="Instead of the image's; \"\" for none."),
        click.option("--cpu-shares", type=int, default=0, metavar="N", help="Weight among others (default 1024)."),
        click.option("--pids-limit", type=int, default=0, metavar="N", help="How many processes; -1 for no limit."),
        click.option("--stop-timeout", type=int, default=None, metavar="SECONDS", help="How long `stop` waits."),
        click.option("--pull", default="missing", type=click.Choice(["missing", "never", "always"]), hidden=True),
        click.option("--platform", default="", hidden=True),
        click.option("--init", is_flag=True, hidden=True),
        click.option("--cidfile", default="", metavar="FILE", help="Write the id to a file."),
    ]  # fmt: skip
    for option in reversed(more):
        wrapped = option(wrapped)
    result: F = wrapped
    return result


_SETTINGS = {"allow_interspersed_args": False, "help_option_names": ["--help"]}


@click.command("run", context_settings=_SETTINGS)
@click.option("-d", "--detach", is_flag=True, help="Print the id and let it run.")
@click.option("--sig-proxy/--no-sig-proxy", default=True, hidden=True)
@_options
@click.argument("image")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def run_command(detach: bool, sig_proxy: bool, **flags: Any) -> int:
    """Create a container and run it; the exit code is the command's."""
    try:
        cidfile = flags.pop("cidfile")
        request = build_request(flags)
        client = Client()
        if detach:
            answer = client.post("/pinnace/v1/containers?start=1", request)
            _tell(answer, cidfile)
            return 0
        if request["tty"] and request["stdin"] and not os.isatty(0):
            raise UserError("the input device is not a TTY", "leave -t out when the input is a pipe")
        return hold(
            client,
            "/pinnace/v1/run",
            {**request, "attached": True},
            stdin=request["stdin"],
            tty=request["tty"],
            signals=sig_proxy and not request["tty"],
            own_failure=OWN_FAILURE,
        )
    except PinnaceError as error:
        return fail(error, OWN_FAILURE)


@click.command("create", context_settings=_SETTINGS)
@_options
@click.argument("image")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def create_command(**flags: Any) -> None:
    """Create a container; `start` starts it."""
    cidfile = flags.pop("cidfile")
    _tell(Client().post("/pinnace/v1/containers", build_request(flags)), cidfile)


def _tell(answer: dict[str, Any], cidfile: str) -> None:
    for warning in answer["warnings"]:
        say(f"WARNING: {warning}")
    print(answer["id"])
    if cidfile:
        with open(cidfile, "w") as file:
            file.write(answer["id"])


def fail(error: PinnaceError, code: int) -> int:
    """Print an error and return the exit code that it has."""
    if os.environ.get("PINNACE_DEBUG"):
        import traceback

        traceback.print_exception(error)
    print_error(error.message, where=getattr(error, "where", ""), hint=error.hint)
    return code


def hold(
    client: Client,
    path: str,
    request: Any,
    *,
    stdin: bool = False,
    tty: bool = False,
    signals: bool = False,
    own_failure: int = 1,
) -> int:
    """Hold a session to its end; return the exit code, `own_failure` where no command was to blame."""
    try:
        return Session(client, path, request, stdin=stdin, tty=tty, signals=signals).run()
    except SessionFailed as failed:
        if isinstance(failed.error, PinnaceError):
            return fail(failed.error, failed.code if failed.code in (126, 127) else own_failure)
        raise
    except Detached:
        say("read escape sequence")
        return 0


def build_request(flags: dict[str, Any]) -> dict[str, Any]:
    """Return the daemon's request: what only this side knows is put in. Raises: UserError."""
    if flags.pop("init"):
        raise UserError("--init is not supported yet", "make the image's entrypoint reap: tini -- COMMAND")
    if flags.pop("pull") == "always":
        raise UserError("--pull always: no registry can be asked yet", "pinnace build, or pinnace import")
    flags.pop("platform")
    env = [item for path in flags.pop("env_files") for item in read_env_file(path)]
    env += resolve_env(flags.pop("env"))
    return {**flags, "env": env, "volumes": [resolve_volume(text) for text in flags.pop("volumes")]}


def resolve_env(items: Iterable[str]) -> list[str]:
    """Return NAME=value texts; a name alone takes our value, and is left out when we have none."""
    resolved = []
    for item in items:
        name, equal, _ = item.partition("=")
        if not name:
            raise UserError(f"invalid environment variable: {item}", "-e NAME=value")
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
        raise UserError(f"the env-file {path} can't be read: {error}", "NAME=value lines") from error
    items = []
    for number, line in enumerate(lines, 1):
        line = line.lstrip()
        if not line or line.startswith("#"):
            continue
        name = line.partition("=")[0]
        if not name or any(space in name for space in " \t"):
            raise UserError(f"invalid environment variable: {line}", "NAME=value", f"{path}:{number}")
        items.append(line)
    return resolve_env(items)


def resolve_volume(text: str) -> str:
    """Return a volume whose relative folder is made absolute, from where we are. Example: "./data:/data"."""
    source, colon, rest = text.partition(":")
    if colon and (source in (".", "..", "~") or source.startswith(("./", "../", "~/"))):
        return f"{os.path.abspath(os.path.expanduser(source))}:{rest}"
    return text
