"""What the agent needs of the machine: a Protocol, and the values that cross it.

`host.py` implements it with real containers; tests and the simulator implement it with pretended ones.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from pinnace.base.errors import PinnaceError
from pinnace.kube.objects.core_v1 import Container, Pod
from pinnace.node.checks import CheckResult
from pinnace.node.facts import PodFacts, PodImage


class StartFailure(PinnaceError):
    """A container can't start now: `reason` is a waiting reason."""

    def __init__(self, reason: str, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Started:
    """A container runs."""

    container_id: str


Tell = Callable[[str, str, str], None]  # type, reason and message of an event


@dataclass(frozen=True, slots=True)
class Ended:
    """A container has ended. Units: `finished_at` in unix seconds."""

    pod_uid: str
    container: str
    container_id: str
    exit_code: int
    finished_at: float
    signal: int = 0
    oom_killed: bool = False
    message: str = ""


class PodImages(Protocol):
    """Finds the images of pods, and pulls them."""

    def find(self, container: Container) -> PodImage | None:
        """Return the image when no registry need be asked for it, else None: pull it.

        Raises: StartFailure, for a name that can't be one, and when it is not here and must not be pulled.
        """
        ...

    async def pull(self, pod: Pod, container: Container, tell: Tell) -> PodImage:
        """Get the image from its registry. `tell` records events meanwhile. Raises: StartFailure."""
        ...


class PodMachine(Protocol):
    """Makes pods real. Every call may be repeated; what is there already is kept."""

    async def adopt(self, pods: Mapping[str, Pod]) -> dict[str, PodFacts]:
        """Return the facts of every pod that has something on this machine, those of pods not in `pods` too."""
        ...

    def ends(self) -> AsyncIterator[Ended]:
        """Yield the end of every container, once."""
        ...

    async def make_sandbox(self, pod: Pod) -> tuple[str, str]:
        """Make the pod's sandbox; return its id and address. Raises: HostError; UserError for a port that is taken."""
        ...

    async def prepare_volumes(self, pod: Pod, ip: str) -> float | None:
        """Make the pod's volumes, or bring them up to date; return when they are to be again, in unix seconds.

        Raises: UserError.
        """
        ...

    async def start_container(
        self, pod: Pod, container: Container, attempt: int, ip: str, image: PodImage
    ) -> Started:
        """Create and start a container. Raises: StartFailure."""
        ...

    async def run_post_start(self, pod: Pod, container: Container, container_id: str, ip: str) -> CheckResult:
        """Run the postStart hook of a container that has one."""
        ...

    async def stop_container(
        self, pod: Pod, container: Container, container_id: str, ip: str, grace_s: float
    ) -> None:
        """Run the preStop hook, for `grace_s` at most, then send the stop signal; with no grace, SIGKILL."""
        ...

    async def resize_container(self, pod: Pod, container: Container, container_id: str) -> None:
        """Give a running container, and the pod around it, the resources of `container`. Raises: HostError, UserError."""
        ...

    async def kill_container(self, container_id: str) -> None:
        """Send SIGKILL."""
        ...

    async def run_in(
        self, container_id: str, command: tuple[str, ...], timeout_s: float
    ) -> tuple[int, bytes]:
        """Run a command in a container; return its code and output. Raises: TimeoutError, HostError."""
        ...

    async def drain(self, pod: Pod, ip: str, timeout_s: float) -> None:
        """Return when no rule names the pod and its open connections have ended, or the time is over."""
        ...

    async def release_sandbox(self, uid: str) -> None:
        """Give back network and memory of a pod that has finished; its logs stay."""
        ...

    async def remove_pod(self, uid: str) -> None:
        """Remove all that the pod has on this machine."""
        ...
