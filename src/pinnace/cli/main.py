"""The entry of the `pinnace` command: the table of verbs, and what every error looks like.

A verb's file is imported when the verb is used; nothing is imported here, not even click, before `main` has told the
collector to leave a short life alone. Exit codes: 0 done, 1 the user's input, 2 unexpected, the container's own code where
one ran.
"""

from __future__ import annotations

import gc
import os
import sys
from typing import TYPE_CHECKING, NamedTuple, NoReturn

if TYPE_CHECKING:
    from pinnace.base.errors import PinnaceError

GC_THRESHOLD = (
    100_000  # starting allocates some 60,000 objects and frees hardly any: collections found nothing in 4 ms
)


class Verb(NamedTuple):
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
    Verb("builder", "Images", "builder", "Look after the build cache."),
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
    Verb("pull", "Images", "registries", "Get an image from a registry."),
    Verb("push", "Images", "registries", "Send an image to its registry."),
    Verb("login", "Images", "registries", "Keep the credentials of a registry."),
    Verb("logout", "Images", "registries", "Forget the credentials of a registry."),
    Verb("image", "Images", "image_group", "List, show, move, prune and remove images."),
    Verb("history", "Images", "images", "Show the steps of an image."),
    Verb("save", "Images", "archives", "Write images to an archive."),
    Verb("load", "Images", "archives", "Bring in the images of an archive."),
    Verb("import", "Images", "archives", "Make an image of a root filesystem's tar."),
    Verb("tag", "Images", "images", "Give an image one more name."),
    Verb("rmi", "Images", "images", "Remove images."),
    Verb("inspect", "Images", "images", "Show containers, images or volumes as JSON."),
    Verb("export", "Containers", "archives", "Write a container's root file system to a tar."),
    Verb("commit", "Containers", "archives", "Make an image of what a container has changed."),
    Verb("system", "Instance", "system", "Show what uses the disk; give back what nobody uses."),
    Verb("get", "Kubernetes", "get", "Show objects."),
    Verb("apply", "Kubernetes", "apply", "Make objects what manifests say."),
    Verb("delete", "Kubernetes", "delete", "Delete objects."),
    Verb("scale", "Kubernetes", "scale", "Set the number of replicas."),
    Verb("rollout", "Kubernetes", "rollout", "Follow, restart, pause and take back rollouts."),
    Verb("top", "Kubernetes", "top", "Show what pods or nodes use."),
    Verb("events", "Kubernetes", "events", "Show what happened."),
    Verb("port-forward", "Kubernetes", "port_forward", "Reach a pod's port locally."),
)


def main() -> NoReturn:
    """Run the command and exit with its code."""
    gc.set_threshold(GC_THRESHOLD)
    code = _run()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        code = 141
    # All is said; taking the interpreter apart, module by module, would only cost the person time.
    os._exit(code)


def _run() -> int:
    """Run the command and return its exit code."""
    if sys.argv[1:2] == ["run"]:
        from pinnace.cli.quick import try_run

        try:
            done = try_run(sys.argv[2:])
        except BrokenPipeError:
            return 141
        except KeyboardInterrupt:
            return 130
        if done is not None:
            return done

    import click

    from pinnace.base.errors import ApiError, Bug, PinnaceError, UserError
    from pinnace.cli.group import cli

    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        return 130
    except click.ClickException as error:
        error.show()
        return 1
    except (UserError, ApiError) as error:
        return _fail(error, 1)
    except PinnaceError as error:
        return _fail(error, 2)
    except BrokenPipeError:
        return 141
    except KeyboardInterrupt:
        return 130
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 1
    except Exception as error:  # noqa: BLE001 - the edge: whatever it is, a person reads one sentence
        return _fail(
            Bug(f"unexpected {type(error).__name__}: {error}", hint="pinnace --debug shows where"), 2, error
        )
    return code if isinstance(code, int) else 0


def _fail(error: PinnaceError, code: int, cause: Exception | None = None) -> int:
    from pinnace.base.errors import HostError, UserError
    from pinnace.cli.output import print_error

    if os.environ.get("PINNACE_DEBUG"):
        import traceback

        traceback.print_exception(cause or error)
    where = error.where if isinstance(error, UserError) else ""
    print_error(error.message, where=where, hint=error.hint)
    if isinstance(error, HostError) and error.stderr and error.stderr not in error.message:
        print_error(error.stderr)
    return code


if __name__ == "__main__":
    main()
