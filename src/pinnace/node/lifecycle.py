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

from pinnace.api.ephemeral import ephemeral_containers
from pinnace.base.times import parse_time
from pinnace.kube.objects.core_v1 import Container, Pod
from pinnace.node.facts import (
    ContainerFacts,
    ContainerState,
    PodFacts,
    Problem,
    all_containers,
    every_container,
    is_ephemeral,
    is_sidecar,
)
from pinnace.node.resizing import RESIZE_REASON, find_changes, needs_restart

BACKOFF_FIRST_S = 10.0  # Source: pkg/kubelet/kubelet.go, backOffPeriod
BACKOFF_MAX_S = 300.0  # Source: pkg/kubelet/kubelet.go, MaxCrashLoopBackOff
BACKOFF_RESET_S = 600.0  # a container that ran this long starts with a clean slate (twice the maximum)
PROBLEM_FIRST_S = (
    2.0  # a missing image or Secret is looked for again after this, then twice as long each time
)
PULL_BACKOFF_FIRST_S = 10.0  # Source: pkg/kubelet/kubelet.go, imageBackOffPeriod
PULL_BACKOFF_MAX_S = 300.0  # Source: pkg/kubelet/kubelet.go, MaxImageBackOff
PULL_ERROR_S = 3.0  # so long a failed pull is shown as ErrImagePull, then as ImagePullBackOff; the kubelet: its next turn
PULL_ERROR = "ErrImagePull"
PULL_BACKOFF = "ImagePullBackOff"
DEFAULT_GRACE_S = 30.0  # Source: core/v1, DefaultTerminationGracePeriodSeconds
DRAIN_SHARE = 0.5  # of the grace period: what is left belongs to the process that gets SIGTERM
LEAST_GRACE_S = (
    2.0  # Source: pkg/kubelet/kuberuntime, minimumGracePeriodInSeconds: whoever comes late still gets this
)
HOOK_EXTRA_S = (
    2.0  # Source: Kubernetes, "Container Lifecycle Hooks": once, when preStop used the whole grace period
)


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
class BackOffPull:
    """Say that the image of a container is not asked for again until its back-off is over."""

    name: str


@dataclass(frozen=True, slots=True)
class StopContainer:
    """Run the preStop hook, then send the stop signal; SIGKILL follows after `grace_s`."""

    name: str
    reason: str
    grace_s: float


@dataclass(frozen=True, slots=True)
class ResizeContainer:
    """Give a running container the resources that its pod asks for now."""

    name: str


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
    | BackOffPull
    | StopContainer
    | ResizeContainer
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
    """Say whether all init containers have done their part: ended with 0, or (sidecars) started.

    A container that has started, and will go on, shows that they had: a sidecar that ends later takes nothing back.
    """
    for container in pod.spec.containers:
        known = facts.container(container.name)
        if known.state is not ContainerState.ABSENT and not _ended_for_good(pod, known):
            return True
    return all(_init_done(c, facts.container(c.name)) for c in pod.spec.init_containers)


def is_of_another_system(pod: Pod) -> bool:
    """Say whether the pod is one of Windows: it never runs here, and what admission spares it must not run here either."""
    return pod.spec.os is not None and pod.spec.os.name != "linux"


def is_finished(pod: Pod, facts: PodFacts) -> bool:
    """Say whether nothing of the pod will run again by itself; what has finished stays finished."""
    if pod.status.phase in ("Succeeded", "Failed") or is_of_another_system(pod):
        return True
    if pod.spec.restart_policy == "Never" and _failed_init(pod, facts):
        return True
    return all(_ended_for_good(pod, facts.container(c.name)) for c in pod.spec.containers)


def failed_for_good(pod: Pod, facts: PodFacts) -> bool:
    """Say whether a finished pod counts as Failed (some container, or an init container, ended with an error)."""
    if is_of_another_system(pod):
        return True
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


def compute_pull_wait_s(failures: int) -> float:
    """Return how long to wait from a failed pull to the next. Units: seconds. Example: 10, 20, 40, … 300."""
    return float(min(PULL_BACKOFF_MAX_S, PULL_BACKOFF_FIRST_S * 2.0 ** min(max(failures, 1) - 1, 20)))


def will_restart(pod: Pod, container: Container, known: ContainerFacts) -> bool:
    """Say whether a container that has ended as `known` says is started again; an ephemeral one never is."""
    if is_ephemeral(pod, container.name):
        return False
    if known.resizing:
        return True
    if is_sidecar(container):
        return True
    if container in pod.spec.init_containers:
        return _code(known) != 0 and pod.spec.restart_policy != "Never"
    return not _ended_for_good(pod, known)


def grace_of(pod: Pod) -> float:
    """Return the pod's grace period: that of its deletion if there is one, else that of its spec. Units: seconds."""
    for value in (pod.metadata.deletion_grace_period_seconds, pod.spec.termination_grace_period_seconds):
        if value is not None:
            return float(value)
    return DEFAULT_GRACE_S


# --- planners, one for each state --------------------------------------------------------------------------------

Planned = tuple[list[Step], float | None]


def _plan_new(pod: Pod, facts: PodFacts, now: float) -> Planned:
    wait_s = _problem_wait_s(facts.sandbox_problem, now)
    return ([], wait_s) if wait_s > 0 else ([MakeSandbox()], None)


def _plan_initializing(pod: Pod, facts: PodFacts, now: float) -> Planned:
    may_start, (steps, volumes_wait_s) = _plan_volumes(facts, now)
    waits = [volumes_wait_s]
    for container in pod.spec.init_containers if not steps else ():
        known = facts.container(container.name)
        more, wait_s = _plan_container(pod, container, known, now, may_start=may_start)
        steps += more
        waits.append(wait_s)
        if not _init_done(container, known):
            break
    more, wait_s = _plan_ephemeral(pod, facts, now, may_start=may_start and not steps)
    return [*steps, *more], _soonest([*waits, wait_s])


def _plan_running(pod: Pod, facts: PodFacts, now: float) -> Planned:
    may_start, (steps, volumes_wait_s) = _plan_volumes(facts, now)
    waits = [volumes_wait_s]
    for container in all_containers(pod) if not steps else ():
        if container in pod.spec.init_containers and not is_sidecar(container):
            continue
        known = facts.container(container.name)
        more, wait_s = _plan_container(pod, container, known, now, may_start=may_start)
        steps += more
        waits.append(wait_s)
    for plan in (_plan_ephemeral(pod, facts, now, may_start=may_start), _plan_resize(pod, facts, now)):
        steps += plan[0]
        waits.append(plan[1])
    return steps, _soonest(waits)


def _plan_resize(pod: Pod, facts: PodFacts, now: float) -> Planned:
    """Give running containers what they ask for by now, if the node can; those that want it so are started anew."""
    if facts.resize_refused is not None:
        return [], None
    wait_s = _problem_wait_s(facts.resize_problem, now)
    if wait_s > 0:
        return [], wait_s
    steps: list[Step] = []
    for container in find_changes(pod, facts):
        known = facts.container(container.name)
        if known.unhealthy or known.stop_asked_at is not None:
            continue
        if needs_restart(container, known):
            steps.append(StopContainer(container.name, RESIZE_REASON, grace_of(pod)))
        else:
            steps.append(ResizeContainer(container.name))
    return steps, None


def _plan_ephemeral(pod: Pod, facts: PodFacts, now: float, *, may_start: bool) -> Planned:
    """They start beside everything else, once, while the pod's sandbox stands.

    Source: Kubernetes, pkg/kubelet/kuberuntime, computePodActions (ephemeral containers).
    """
    steps: list[Step] = []
    waits: list[float | None] = []
    for container in ephemeral_containers(pod):
        known = facts.container(container.name)
        more, wait_s = _plan_container(pod, container, known, now, may_start=may_start)
        steps += more
        waits.append(wait_s)
    return steps, _soonest(waits)


def _plan_finished(pod: Pod, facts: PodFacts, now: float) -> Planned:
    """Sidecars end when the others have."""
    steps: list[Step] = []
    waits: list[float | None] = []
    for known in facts.containers.values():
        if known.state is ContainerState.RUNNING:
            more, wait_s = _plan_stop(pod, known, "PodFinished", grace_of(pod), now)
            steps += more
            waits.append(wait_s)
    if facts.sandbox_id and not any(c.state is ContainerState.RUNNING for c in facts.containers.values()):
        steps.append(ReleaseSandbox())
    return steps, _soonest(waits)


def _plan_draining(pod: Pod, facts: PodFacts, now: float) -> Planned:
    began = facts.drain_began_at if facts.drain_began_at is not None else now
    return [Drain(began + DRAIN_SHARE * grace_of(pod))], None


def _plan_stopping(pod: Pod, facts: PodFacts, now: float) -> Planned:
    """Containers end together; sidecars after them, in reverse order, in what time they left (but a little always)."""
    grace_s = 0.0 if facts.object_gone else _grace_to_stop(pod, facts, now)
    ends_at = (facts.stop_began_at if facts.stop_began_at is not None else now) + grace_s
    steps: list[Step] = []
    waits: list[float | None] = []
    sidecars = [c.name for c in pod.spec.init_containers if is_sidecar(c)]
    running = [n for n, c in facts.containers.items() if c.state is ContainerState.RUNNING]
    mains = [name for name in running if name not in sidecars]
    turn = mains or [name for name in reversed(sidecars) if name in running][:1]
    for name in turn if grace_s > 0 else running:
        known = facts.container(name)
        asked_at = known.stop_asked_at if known.stop_asked_at is not None else now
        its_s = max(LEAST_GRACE_S, ends_at - asked_at) if name in sidecars and grace_s > 0 else grace_s
        more, wait_s = _plan_stop(pod, known, "PodDeleted", its_s, now)
        steps += more
        waits.append(wait_s)
    return steps, _soonest(waits)


def _plan_removing(pod: Pod, facts: PodFacts, now: float) -> Planned:
    """An object that finalizers hold stays, though nothing of it is left here."""
    return ([], None) if facts.removed and not facts.object_gone else ([RemovePod()], None)


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


def _plan_container(
    pod: Pod, container: Container, known: ContainerFacts, now: float, *, may_start: bool
) -> Planned:
    if known.state is ContainerState.RUNNING:
        if known.unhealthy or known.stop_asked_at is not None:
            grace_s = _grace_of_restart(pod, container, known)
            return _plan_stop(pod, known, known.unhealthy or known.stop_reason, grace_s, now)
        return [], None
    if not may_start or known.pulling:
        return [], None
    wait_s = _problem_wait_s(known.problem, now)
    if wait_s > 0:
        return _plan_wait(known, wait_s, now)
    if known.state is ContainerState.ABSENT:
        return [StartContainer(container.name, known.attempt)], None
    if not will_restart(pod, container, known):
        return [], None
    assert known.ending is not None
    wait_s = known.ending.finished_at + compute_backoff_s(known.crashes) - now
    if wait_s > 0:
        return [], wait_s
    return [StartContainer(container.name, known.attempt + 1)], None


def _plan_stop(pod: Pod, known: ContainerFacts, reason: str, grace_s: float, now: float) -> Planned:
    if known.stop_asked_at is None:
        return [StopContainer(known.name, reason, grace_s)], None
    due = known.stop_asked_at + grace_s
    if grace_s > 0 and _has_pre_stop(pod, known.name):
        signalled_in_time = known.signalled_at is not None and known.signalled_at < due
        due += 0.0 if signalled_in_time else HOOK_EXTRA_S
    if due > now:
        return [], due - now
    return ([], 1.0) if known.kill_sent else ([KillContainer(known.name)], None)


def _grace_of_restart(pod: Pod, container: Container, known: ContainerFacts) -> float:
    """Return the grace of a container that a probe has failed: the probe's own, if it has one."""
    probes = {"liveness probe": container.liveness_probe, "startup probe": container.startup_probe}
    probe = probes.get(known.unhealthy or known.stop_reason)
    own = probe.termination_grace_period_seconds if probe is not None else None
    return grace_of(pod) if own is None else float(own)


def _has_pre_stop(pod: Pod, name: str) -> bool:
    container = next(c for c in every_container(pod) if c.name == name)
    return container.lifecycle is not None and container.lifecycle.pre_stop is not None


def _ended_for_good(pod: Pod, known: ContainerFacts) -> bool:
    if known.state is not ContainerState.EXITED or known.resizing:
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


def _plan_volumes(facts: PodFacts, now: float) -> tuple[bool, Planned]:
    """Return whether containers may start, and what is done about the volumes: before anything else is planned.

    Volumes that were made once, and can't be brought up to date now, keep nobody from starting.
    """
    if facts.volumes_ready:
        if facts.volumes_due_at is None:
            return True, ([], None)
        left_s = facts.volumes_due_at - now
        return True, ([], left_s) if left_s > 0 else ([PrepareVolumes()], None)
    wait_s = _problem_wait_s(facts.volumes_problem, now)
    if wait_s <= 0:
        return False, ([PrepareVolumes()], None)
    return facts.volumes_made, ([], wait_s)


def _problem_wait_s(problem: Problem | None, now: float) -> float:
    if problem is None or problem.eased:
        return 0.0
    pull = problem.reason in (PULL_ERROR, PULL_BACKOFF)
    compute_wait_s = compute_pull_wait_s if pull else compute_problem_wait_s
    return max(0.0, problem.at + compute_wait_s(problem.failures) - now)


def _plan_wait(known: ContainerFacts, wait_s: float, now: float) -> Planned:
    """A container waits until it may be tried again; that of a failed pull is told as a back-off after a moment."""
    problem = known.problem
    if problem is None or problem.reason != PULL_ERROR:
        return [], wait_s
    shown_s = problem.at + PULL_ERROR_S - now
    return ([], min(shown_s, wait_s)) if shown_s > 0 else ([BackOffPull(known.name)], wait_s)


def _grace_to_stop(pod: Pod, facts: PodFacts, now: float) -> float:
    """Return how long the containers of a deleted pod have from their first being told to end.

    The grace period began with the deletion; draining has taken a share of it, but what it had to leave is left.
    """
    grace_s = grace_of(pod)
    deleted_at = (
        parse_time(pod.metadata.deletion_timestamp) - grace_s if pod.metadata.deletion_timestamp else now
    )
    began = facts.stop_began_at if facts.stop_began_at is not None else now
    return max(0.0, min(grace_s, max(grace_s - (began - deleted_at), grace_s * (1 - DRAIN_SHARE))))


def _soonest(waits: list[float | None]) -> float | None:
    return min((wait for wait in waits if wait is not None), default=None)
