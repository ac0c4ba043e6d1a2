"""Decides what becomes of each container when the daemon starts: from its object and from what the sandbox's records say.

Pure. Called once for each at the start. Source: moby, daemon/daemon.go, restore (behaviour).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pinnace.container.exits import ExitFact
from pinnace.engine.restart import comes_back
from pinnace.engine.status import EXITED, REMOVING, RESTARTING, RUNNING, lost
from pinnace.kube.objects.pinnace_v1 import Container
from pinnace.sandbox.spec import ContainerHandle

Next = Literal["remove", "watch", "end", "wait-over", "start", "leave"]


@dataclass(frozen=True, slots=True)
class Adoption:
    """What to do: `remove` it, `watch` what runs, tell its `end` (which may restart it), carry on the wait of a restart

    that is due (`wait-over`), `start` it because its policy says so, or `leave` it. `fact` is its end, where it has one to
    be told first.
    """

    next: Next
    fact: ExitFact | None = None


def decide_adoption(
    container: Container, handle: ContainerHandle | None, *, host_gone: bool, now: float
) -> Adoption:
    """Return what to do with a container. `host_gone`: the instance, or the machine, went down in between.

    Example: one that ran, with `--restart always`, and whose sandbox is gone: its end is told, and it is started.
    """
    status, spec = container.status, container.spec
    if status.state == REMOVING:
        return Adoption("remove")
    if handle is not None and handle.state == "running":
        return Adoption("watch")
    fact: ExitFact | None = None
    if status.state == RUNNING or (
        handle is not None and handle.exit is not None and status.state == "created"
    ):
        fact = (
            handle.exit
            if handle is not None and handle.exit is not None
            else lost(container.metadata.name, now)
        )
    ran = fact is not None or status.state in (EXITED, RESTARTING)
    if spec.auto_remove and (ran or status.starting):
        return Adoption("remove", fact)
    if not ran:
        return Adoption("leave")
    if fact is not None and not host_gone:
        return Adoption("end", fact)
    if comes_back(spec.restart, stopped=status.stopped):
        return Adoption("start", fact)
    if status.state == RESTARTING:
        return Adoption("leave" if host_gone else "wait-over", fact)
    return Adoption("leave", fact)
