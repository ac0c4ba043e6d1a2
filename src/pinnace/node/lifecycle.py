"""Decides the next steps of one pod's life.

Pure: the pod, the facts and `now` in, a plan out. Called by the agent after every report; carries nothing out.
The states stand in `STATES`, each with the planner that moves the pod on; a state is read from the facts, never kept.
Invariants: a container is started only in SANDBOXED, INITIALIZING or RUNNING; SIGTERM is sent to a pod that is deleted
only when it is drained; a pod's sandbox goes only after all its containers have ended.
Source: Kubernetes, "Pod Lifecycle" (concepts/workloads/pods/pod-lifecycle) and pkg/kubelet/kuberuntime, computePodActions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from pinnace.base.times import parse_time
from pinnace.kube.objects.core_v1 import Container, Pod
from pinnace.node.facts import ContainerFacts, ContainerState, PodFacts, all_containers, is_sidecar

BACKOFF_FIRST_S = 10.0  # Source: pkg/kubelet/kubelet.go, backOffPeriod
BACKOFF_MAX_S = 300.0  # Source: pkg/kubelet/kubelet.go, MaxCrashLoopBackOff
BACKOFF_RESET_S = 600.0  # a container that ran this long starts with a clean slate (twice the maximum)
PROBLEM_FIRST_S = (
    2.0  # a missing image or Secret is looked for again after this, then twice as long each time
)
DEFAULT_GRACE_S = 30.0  # Source: core/v1, DefaultTerminationGracePeriodSeconds
DRAIN_SHARE = 0.5  # of the grace period: what is left belongs to the process that gets SIGTERM


class PodState(Enum):
    """Where a pod stands on its node, in the order of its life."""

    NEW = "has no sandbox yet"
    INITIALIZING = "has a sandbox; init containers have still to finish"
    RUNNING = "runs its containers, and restarts them as its policy says"
    FINISHED = "all containers have ended for good"
    DRAINING = "is deleted; its address leaves the Service rules, open connections end"
    STOPPING = "is deleted and drained; its containers are told to end"
    REMOVING = "is deleted; nothing runs any more"


@dataclass(frozen=True, slots=True)
class MakeSandbox:
    """Make the network namespace, the link, the cgroup and the shared files."""


@dataclass(frozen=True, slots=True)
class PrepareVolumes:
    """Make or refresh the pod's volumes."""


@dataclass(frozen=True, slots=True)
class StartContainer:
    """Create and start attempt `attempt` of a container."""

    name: str
    attempt: int


@dataclass(frozen=True, slots=True)
class StopContainer:
    """Run the preStop hook, then send the stop signal; SIGKILL follows after `grace_s`."""

    name: str
    reason: str
    grace_s: float


@dataclass(frozen=True, slots=True)
class KillContainer:
    """Send SIGKILL."""

    name: str


@dataclass(frozen=True, slots=True)
class Drain:
    """Wait until the rules no longer name the pod and its open connections have ended; `deadline` in unix seconds."""

    deadline: float


@dataclass(frozen=True, slots=True)
class ReleaseSandbox:
    """Give back the network of a pod that has finished."""


@dataclass(frozen=True, slots=True)
class RemovePod:
    """Remove containers, volumes and sandbox, then the object."""


Step = (
    MakeSandbox
    | PrepareVolumes
    | StartContainer
    | StopContainer
    | KillContainer
    | Drain
    | ReleaseSandbox
    | RemovePod
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now, in order, and when to look again though nothing happened. Units: seconds."""

    state: PodState
    steps: tuple[Step, ...] = ()
    requeue_after_s: float | None = None

    def describe(self) -> list[str]:
        """Return the plan as lines to read."""
        return [f"{self.state.name}: {self.state.value}", *map(str, self.steps)]


def plan_pod(pod: Pod, facts: PodFacts, now: float) -> Plan:
    """Return the next steps of a pod."""
    state = read_state(pod, facts)
    steps, wait_s = STATES[state](pod, facts, now)
    return Plan(state, tuple(steps), wait_s)


def read_state(pod: Pod, facts: PodFacts) -> PodState:
    """Return where the pod stands, from the facts alone."""
    if facts.object_gone or pod.metadata.deletion_timestamp:
        if not any(c.state is ContainerState.RUNNING for c in facts.containers.values()):
            return PodState.REMOVING
        return PodState.STOPPING if facts.drained or facts.object_gone else PodState.DRAINING
    if is_finished(pod, facts):
        return PodState.FINISHED
    if not facts.sandbox_id:
        return PodState.NEW
    return PodState.RUNNING if is_initialized(pod, facts) else PodState.INITIALIZING


def is_initialized(pod: Pod, facts: PodFacts) -> bool:
    """Say whether all init containers have done their part: ended with 0, or (sidecars) started."""
    if any(facts.container(c.name).state is not ContainerState.ABSENT for c in pod.spec.containers):
        return True
    return all(_init_done(c, facts.container(c.name)) for c in pod.spec.init_containers)


def is_finished(pod: Pod, facts: PodFacts) -> bool:
    """Say whether nothing of the pod will run again by itself; what has finished stays finished."""
    if pod.status.phase in ("Succeeded", "Failed"):
        return True
    if pod.spec.restart_policy == "Never" and _failed_init(pod, facts):
        return True
    return all(_ended_for_good(pod, facts.container(c.name)) for c in pod.spec.containers)


def failed_for_good(pod: Pod, facts: PodFacts) -> bool:
    """Say whether a finished pod counts as Failed (some container, or an init container, ended with an error)."""
    if _failed_init(pod, facts) and pod.spec.restart_policy == "Never":
        return True
    return any(_code(facts.container(c.name)) != 0 for c in pod.spec.containers)


def compute_backoff_s(crashes: int) -> float:
    """Return how long a container waits from its end to its next start; the first restart is at once.

    Units: seconds. Example: 0 crashes before → 0; then 10, 20, 40, … 300.
    """
    if crashes <= 0:
        return 0.0
    return float(min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2.0 ** min(crashes - 1, 20)))


def compute_problem_wait_s(failures: int) -> float:
    """Return how long to wait before a container that could not start is tried again. Units: seconds."""
    return float(min(BACKOFF_MAX_S, PROBLEM_FIRST_S * 2.0 ** min(max(failures, 1) - 1, 20)))


def grace_of(pod: Pod) -> float:
    """Return the pod's grace period: that of its deletion if there is one, else that of its spec. Units: seconds."""
    for value in (pod.metadata.deletion_grace_period_seconds, pod.spec.termination_grace_period_seconds):
        if value is not None:
            return float(value)
    return DEFAULT_GRACE_S


# --- planners, one for each state --------------------------------------------------------------------------------

Planned = tuple[list[Step], float | None]


def _plan_new(pod: Pod, facts: PodFacts, now: float) -> Planned:
    problem = facts.sandbox_problem
    if problem is not None:
        wait_s = problem.at + compute_problem_wait_s(problem.failures) - now
        if wait_s > 0:
            return [], wait_s
    return [MakeSandbox()], None


def _plan_initializing(pod: Pod, facts: PodFacts, now: float) -> Planned:
    steps = _ready_volumes(facts)
    waits: list[float | None] = []
    for container in pod.spec.init_containers:
        known = facts.container(container.name)
        more, wait_s = _plan_container(pod, container, known, now)
        steps += more
        waits.append(wait_s)
        if not _init_done(container, known):
            break
    return steps, _soonest(waits)


def _plan_running(pod: Pod, facts: PodFacts, now: float) -> Planned:
    steps = _ready_volumes(facts)
    waits: list[float | None] = []
    for container in all_containers(pod):
        if container in pod.spec.init_containers and not is_sidecar(container):
            continue
        more, wait_s = _plan_container(pod, container, facts.container(container.name), now)
        steps += more
        waits.append(wait_s)
    return steps, _soonest(waits)


def _plan_finished(pod: Pod, facts: PodFacts, now: float) -> Planned:
    """Sidecars end when the others have."""
    steps: list[Step] = []
    waits: list[float | None] = []
    for name, known in facts.containers.items():
        if known.state is ContainerState.RUNNING:
            more, wait_s = _plan_stop(name, known, "PodFinished", grace_of(pod), now)
            steps += more
            waits.append(wait_s)
    if facts.sandbox_id and not any(c.state is ContainerState.RUNNING for c in facts.containers.values()):
        steps.append(ReleaseSandbox())
    return steps, _soonest(waits)


def _plan_draining(pod: Pod, facts: PodFacts, now: float) -> Planned:
    began = facts.drain_began_at if facts.drain_began_at is not None else now
    return [Drain(began + DRAIN_SHARE * grace_of(pod))], None


def _plan_stopping(pod: Pod, facts: PodFacts, now: float) -> Planned:
    """Containers end together; sidecars after them, in reverse order."""
    left_s = 0.0 if facts.object_gone else _grace_left(pod, facts, now)
    steps: list[Step] = []
    waits: list[float | None] = []
    sidecars = [c.name for c in pod.spec.init_containers if is_sidecar(c)]
    running = [n for n, c in facts.containers.items() if c.state is ContainerState.RUNNING]
    mains = [name for name in running if name not in sidecars]
    turn = mains or [name for name in reversed(sidecars) if name in running][:1]
    for name in turn if left_s > 0 else running:
        more, wait_s = _plan_stop(name, facts.container(name), "PodDeleted", left_s, now)
        steps += more
        waits.append(wait_s)
    return steps, _soonest(waits)


def _plan_removing(pod: Pod, facts: PodFacts, now: float) -> Planned:
    return [RemovePod()], None


STATES: dict[PodState, Callable[[Pod, PodFacts, float], Planned]] = {
    PodState.NEW: _plan_new,
    PodState.INITIALIZING: _plan_initializing,
    PodState.RUNNING: _plan_running,
    PodState.FINISHED: _plan_finished,
    PodState.DRAINING: _plan_draining,
    PodState.STOPPING: _plan_stopping,
    PodState.REMOVING: _plan_removing,
}


# --- one container -----------------------------------------------------------------------------------------------


def _plan_container(pod: Pod, container: Container, known: ContainerFacts, now: float) -> Planned:
    if known.state is ContainerState.RUNNING:
        if known.unhealthy or known.stop_asked_at is not None:
            return _plan_stop(container.name, known, known.unhealthy or known.stop_reason, grace_of(pod), now)
        return [], None
    if known.problem is not None:
        wait_s = known.problem.at + compute_problem_wait_s(known.problem.failures) - now
        if wait_s > 0:
            return [], wait_s
    if known.state is ContainerState.ABSENT:
        return [StartContainer(container.name, known.attempt)], None
    if not _restarts(pod, container, known):
        return [], None
    assert known.ending is not None
    wait_s = known.ending.finished_at + compute_backoff_s(known.crashes) - now
    if wait_s > 0:
        return [], wait_s
    return [StartContainer(container.name, known.attempt + 1)], None


def _plan_stop(name: str, known: ContainerFacts, reason: str, grace_s: float, now: float) -> Planned:
    if known.stop_asked_at is None:
        return [StopContainer(name, reason, grace_s)], None
    left_s = known.stop_asked_at + grace_s - now
    if left_s > 0:
        return [], left_s
    return ([], 1.0) if known.kill_sent else ([KillContainer(name)], None)


def _restarts(pod: Pod, container: Container, known: ContainerFacts) -> bool:
    if is_sidecar(container):
        return True
    if container in pod.spec.init_containers:
        return _code(known) != 0 and pod.spec.restart_policy != "Never"
    if pod.spec.restart_policy == "Never":
        return False
    return pod.spec.restart_policy != "OnFailure" or _code(known) != 0


def _ended_for_good(pod: Pod, known: ContainerFacts) -> bool:
    if known.state is not ContainerState.EXITED:
        return False
    policy = pod.spec.restart_policy
    return policy == "Never" or (policy == "OnFailure" and _code(known) == 0)


def _init_done(container: Container, known: ContainerFacts) -> bool:
    if is_sidecar(container):
        return known.state is ContainerState.RUNNING and known.started
    return known.state is ContainerState.EXITED and _code(known) == 0


def _failed_init(pod: Pod, facts: PodFacts) -> bool:
    return any(
        not is_sidecar(c)
        and facts.container(c.name).state is ContainerState.EXITED
        and _code(facts.container(c.name)) != 0
        for c in pod.spec.init_containers
    )


def _code(known: ContainerFacts) -> int:
    return known.ending.exit_code if known.ending is not None else 0


def _ready_volumes(facts: PodFacts) -> list[Step]:
    return [] if facts.volumes_ready else [PrepareVolumes()]


def _grace_left(pod: Pod, facts: PodFacts, now: float) -> float:
    """Return what is left of the grace period, which began with the deletion; at least what draining left of it."""
    grace_s = grace_of(pod)
    deleted_at = (
        parse_time(pod.metadata.deletion_timestamp) - grace_s if pod.metadata.deletion_timestamp else now
    )
    asked = min(
        (c.stop_asked_at for c in facts.containers.values() if c.stop_asked_at is not None), default=None
    )
    began = asked if asked is not None else now
    return max(0.0, min(grace_s, max(grace_s - (began - deleted_at), grace_s * (1 - DRAIN_SHARE))))


def _soonest(waits: list[float | None]) -> float | None:
    return min((wait for wait in waits if wait is not None), default=None)
