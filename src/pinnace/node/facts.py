"""What a node knows of one pod beyond its object: the sandbox, the containers, what was asked of them and when.

Plain values. The doer (`agent`) makes new ones as reports come in; the deciders (`lifecycle`, `status`) read them.
Invariant: facts hold only what happened, never what should happen.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from pinnace.api.ephemeral import ephemeral_containers
from pinnace.kube.objects.core_v1 import Container, Pod, ResourceRequirements


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a pod does not get the resources that it asks for: never on this node (Infeasible), or not now (Deferred)."""

    reason: str
    message: str


class ContainerState(Enum):
    """Where the current attempt of a container stands."""

    ABSENT = "absent"
    RUNNING = "running"
    EXITED = "exited"


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt ended. Units: unix seconds."""

    container_id: str
    exit_code: int
    started_at: float
    finished_at: float
    signal: int = 0
    oom_killed: bool = False
    message: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why something can't be done now, in the words of a waiting state; `failures` counts in a row.

    `eased` says that what was missing (a Secret, an image) has changed since, so that trying again is worth it at once.
    """

    reason: str
    message: str
    at: float
    failures: int = 1
    eased: bool = False


@dataclass(frozen=True, slots=True)
class PodImage:
    """The image of a container, at hand. `shown_id` is what its status shows, `user` the image's own, "" for root.

    `told` is the sentence that the Pulled event says; `pulled` says that it came from a registry just now.
    """

    id: str
    shown_id: str
    user: str = ""
    told: str = ""
    pulled: bool = False


@dataclass(frozen=True, slots=True)
class ContainerFacts:
    """One container of a pod.

    `attempt` counts from 0 and names the current instance; `last` is how the instance before it ended, `ending` how the
    current one did. `ready` and `started` are what the probes said (without a probe: running). `starting` says that the
    postStart hook has not ended yet. `stop_reason` is set once the container has been told to end, at `stop_asked_at`;
    `signalled_at` is when the preStop hook was over and the stop signal sent; `kill_sent` once SIGKILL followed.
    `pulling` says that its image is being asked for; `image` is what came of it, for the next start.
    `resources` is what it was given when it started or was resized; `resizing` says that it ended to be started with others.
    """

    name: str
    state: ContainerState = ContainerState.ABSENT
    attempt: int = 0
    restarts: int = 0
    container_id: str = ""
    image_id: str = ""
    started_at: float = 0.0
    ending: Ending | None = None
    last: Ending | None = None
    ready: bool = False
    started: bool = False
    starting: bool = False
    unhealthy: str = ""
    problem: Problem | None = None
    pulling: bool = False
    image: PodImage | None = None
    crashes: int = 0
    stop_asked_at: float | None = None
    stop_reason: str = ""
    signalled_at: float | None = None
    kill_sent: bool = False
    resources: ResourceRequirements | None = None
    resizing: bool = False


@dataclass(frozen=True, slots=True)
class PodFacts:
    """One pod.

    `volumes_made` says that its volumes were made once, `volumes_ready` that they hold what their sources hold now,
    `volumes_due_at` when that ends: a token in them is to be renewed.
    `drained` says that its address has left the Service rules and its connections have ended (or had their time);
    `stop_began_at` is when the first container of the deleted pod was told to end. `removed` says that nothing of the pod
    is left on this machine, `object_gone` that nothing is left in the API. `resize_refused` is why its containers keep other
    resources than it asks for, `resize_problem` why they could not be given them.
    """

    sandbox_id: str = ""
    ip: str = ""
    sandbox_problem: Problem | None = None
    volumes_ready: bool = False
    volumes_made: bool = False
    volumes_problem: Problem | None = None
    volumes_due_at: float | None = None
    containers: dict[str, ContainerFacts] = field(default_factory=dict)
    seen_at: float = 0.0
    drain_began_at: float | None = None
    drained: bool = False
    stop_began_at: float | None = None
    removed: bool = False
    object_gone: bool = False
    resize_refused: Refusal | None = None
    resize_problem: Problem | None = None

    def container(self, name: str) -> ContainerFacts:
        """Return the facts of a container; those of one that never started when none are known."""
        return self.containers.get(name) or ContainerFacts(name)


def is_sidecar(container: Container) -> bool:
    """Say whether an init container keeps running beside the others. Source: Kubernetes v1.33, sidecar containers."""
    return container.restart_policy == "Always"


def all_containers(pod: Pod) -> tuple[Container, ...]:
    """Return init containers, then the others, in the order of the spec; ephemeral ones are not among them."""
    return (*pod.spec.init_containers, *pod.spec.containers)


def every_container(pod: Pod) -> tuple[Container, ...]:
    """Return all containers that may run in the pod: `all_containers`, then the ephemeral ones."""
    return (*all_containers(pod), *ephemeral_containers(pod))


def is_ephemeral(pod: Pod, name: str) -> bool:
    """Say whether a container was added to the running pod: it is started once, and nothing waits for it."""
    return any(one.name == name for one in pod.spec.ephemeral_containers)
