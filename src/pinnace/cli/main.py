"""The entry of the `pinnace` command: the table of verbs, and what every error looks like.

A verb's file is imported when the verb is used; nothing heavy is imported here. Exit codes: 0 done, 1 the user's input,
2 unexpected, the container's own code where one ran.
"""

from __future__ import annotations

import importlib
import os
import sys
from dataclasses import dataclass

import click

from pinnace.base.errors import ApiError, HostError, PinnaceError, UserError
from pinnace.cli.output import print_error


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb: its group in the help, its file in `cli/verbs/`, one line of help."""

    name: str
    group: str
    file: str
    help: str


VERBS: tuple[Verb, ...] = (
    Verb("up", "Instance", "up", "Start the instance; bring back what it ran before."),
    Verb("down", "Instance", "down", "End everything; objects and images stay."),
    Verb("status", "Instance", "status", "Show what runs, and what was chosen for this host."),
    Verb("env", "Instance", "env", 'Print settings for the shell: eval "$(pinnace env)".'),
    Verb("build", "Images", "build", "Build an image from a Dockerfile."),
    Verb("run", "Containers", "run", "Create a container and run it."),
    Verb("create", "Containers", "run", "Create a container; start it later."),
    Verb("ps", "Containers", "ps", "List containers."),
    Verb("logs", "Containers", "containers", "Show what a container has written."),
    Verb("exec", "Containers", "exec", "Run a command in a running container."),
    Verb("attach", "Containers", "exec", "Connect the terminal to a running container."),
    Verb("start", "Containers", "containers", "Start containers that have ended."),
    Verb("stop", "Containers", "containers", "Stop containers."),
    Verb("restart", "Containers", "containers", "Stop and start containers."),
    Verb("kill", "Containers", "containers", "Send containers a signal."),
    Verb("rm", "Containers", "containers", "Remove containers."),
    Verb("wait", "Containers", "containers", "Wait until containers have ended; print their exit codes."),
    Verb("volume", "Containers", "volumes", "List, make, show and remove volumes."),
    Verb("images", "Images", "images", "List images."),
    Verb("import", "Images", "images", "Make an image of a root filesystem's tar."),
    Verb("tag", "Images", "images", "Give an image one more name."),
    Verb("rmi", "Images", "images", "Remove images."),
    Verb("inspect", "Images", "images", "Show containers or images as JSON."),
    Verb("get", "Kubernetes", "get", "Show objects."),
    Verb("apply", "Kubernetes", "apply", "Make objects what manifests say."),
    Verb("delete", "Kubernetes", "delete", "Delete objects."),
    Verb("scale", "Kubernetes", "scale", "Set the number of replicas."),
    Verb("rollout", "Kubernetes", "rollout", "Follow, restart, pause and take back rollouts."),
    Verb("top", "Kubernetes", "top", "Show what pods or nodes use."),
    Verb("events", "Kubernetes", "events", "Show what happened."),
    Verb("port-forward", "Kubernetes", "port_forward", "Reach a pod's port locally."),
)


class LazyGroup(click.Group):
    """A group whose commands are imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [verb.name for verb in VERBS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        for verb in VERBS:
            if verb.name == cmd_name:
                module = importlib.import_module(f"pinnace.cli.verbs.{verb.file}")
                command: click.Command = getattr(module, f"{verb.name.replace('-', '_')}_command")
                return command
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for group in dict.fromkeys(verb.group for verb in VERBS):
            with formatter.section(group):
                formatter.write_dl([(verb.name, verb.help) for verb in VERBS if verb.group == group])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@click.version_option(package_name="pinnace", prog_name="pinnace")
def cli(debug: bool) -> None:
    """Docker and Kubernetes for one Linux machine, in one process."""
    if debug:
        os.environ["PINNACE_DEBUG"] = "1"


def main() -> None:
    """Run the command and exit with its code."""
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(1)
    except (UserError, ApiError) as error:
        sys.exit(_fail(error, 1))
    except PinnaceError as error:
        sys.exit(_fail(error, 2))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(error: PinnaceError, code: int) -> int:
    if os.environ.get("PINNACE_DEBUG"):
        import traceback

        traceback.print_exception(error)
    where = error.where if isinstance(error, UserError) else ""
    print_error(error.message, where=where, hint=error.hint)
    if isinstance(error, HostError) and error.stderr and error.stderr not in error.message:
        print_error(error.stderr)
    return code


if __name__ == "__main__":
    main()
