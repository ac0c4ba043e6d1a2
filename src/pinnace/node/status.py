"""Decides a pod's status from what the node knows.

Pure. Called by the agent after each turn; the agent writes the result if it differs.
Source: Kubernetes, pkg/kubelet/status/generate.go and kubelet_pods.go (phases, conditions, reasons and messages).
"""

from __future__ import annotations

from msgspec.structs import replace

from pinnace.api.defaults.qos import compute_qos_class
from pinnace.api.ephemeral import ephemeral_containers
from pinnace.base.times import render_time
from pinnace.kube.objects.core_v1 import (
    Container,
    ContainerStateRunning,
    ContainerStateTerminated,
    ContainerStateWaiting,
    ContainerStatus,
    HostIP,
    Pod,
    PodCondition,
    PodIP,
    PodStatus,
    ResourceRequirements,
)
from pinnace.kube.objects.core_v1 import (
    ContainerState as ContainerStateStatus,
)
from pinnace.node.facts import ContainerFacts, ContainerState, Ending, PodFacts, is_ephemeral, is_sidecar
from pinnace.node.lifecycle import (
    compute_backoff_s,
    failed_for_good,
    is_finished,
    is_initialized,
    is_of_another_system,
    will_restart,
)
from pinnace.node.resizing import find_changes, granted

CONTAINER_ID_PREFIX = "pinnace://"
# Source: Kubernetes v1.36, pkg/kubelet/lifecycle/predicate.go, PodOSNotSupported.
_OTHER_SYSTEM = ("PodOSNotSupported", "Failed to admit pod as the OS field doesn't match node OS")
_PASSING = ("PodResizePending", "PodResizeInProgress")  # there only as long as they hold


def compute_status(pod: Pod, facts: PodFacts, *, host_ip: str, now: float) -> PodStatus:
    """Return the status to show; conditions that did not change keep their transition times."""
    phase = compute_phase(pod, facts)
    done = phase in ("Succeeded", "Failed")
    rejected = is_of_another_system(pod)
    conditions = _conditions(pod, facts, done=done, phase=phase)
    ip = host_ip if pod.spec.host_network and facts.sandbox_id else facts.ip
    return replace(
        pod.status,
        observed_generation=pod.metadata.generation,
        phase=phase,
        reason=_OTHER_SYSTEM[0] if rejected else pod.status.reason,
        message=_OTHER_SYSTEM[1] if rejected else pod.status.message,
        conditions=_merge_conditions(pod.status.conditions, conditions, now),
        host_ip=host_ip,
        host_ips=(HostIP(ip=host_ip),),
        pod_ip=ip,
        pod_ips=(PodIP(ip=ip),) if ip else (),
        start_time=pod.status.start_time or render_time(facts.seen_at or now),
        qos_class=pod.status.qos_class or compute_qos_class(pod.spec),
        init_container_statuses=tuple(
            _container_status(pod, c, facts.container(c.name), facts, init=True)
            for c in pod.spec.init_containers
        ),
        container_statuses=tuple(
            _container_status(pod, c, facts.container(c.name), facts, init=False) for c in pod.spec.containers
        ),
        ephemeral_container_statuses=tuple(
            _ephemeral_status(pod, c, facts.container(c.name), facts) for c in ephemeral_containers(pod)
        ),
    )


def compute_phase(pod: Pod, facts: PodFacts) -> str:
    """Return the phase. A pod is Pending until its init containers are done and one container has started once."""
    if pod.status.phase in ("Succeeded", "Failed"):
        return pod.status.phase
    if is_finished(pod, facts):
        return "Failed" if failed_for_good(pod, facts) else "Succeeded"
    if pod.metadata.deletion_timestamp and _nothing_runs(facts) and facts.containers:
        return "Failed" if failed_for_good(pod, facts) else "Succeeded"
    if not is_initialized(pod, facts):
        return "Pending"
    return "Running" if any(_has_started(facts.container(c.name)) for c in pod.spec.containers) else "Pending"


def is_container_ready(known: ContainerFacts) -> bool:
    """Say whether a container counts as ready."""
    return known.state is ContainerState.RUNNING and known.started and known.ready


def shows_back_off(pod: Pod, container: Container, known: ContainerFacts) -> bool:
    """Say whether a container that has ended is shown as waiting for its next start, with its end as the last state."""
    if known.state is not ContainerState.EXITED or known.crashes == 0:
        return False
    if pod.metadata.deletion_timestamp or pod.status.phase in ("Succeeded", "Failed"):
        return False
    return will_restart(pod, container, known)


def shows_end_as_last(pod: Pod, container: Container, known: ContainerFacts) -> bool:
    """Say whether the end of the current attempt is the last state already: the container is shown as waiting."""
    ended = known.state is ContainerState.EXITED
    return ended and (known.problem is not None or shows_back_off(pod, container, known))


def _has_started(known: ContainerFacts) -> bool:
    return (known.state is not ContainerState.ABSENT and not known.starting) or known.last is not None


def _nothing_runs(facts: PodFacts) -> bool:
    return not any(c.state is ContainerState.RUNNING for c in facts.containers.values())


# --- containers --------------------------------------------------------------------------------------------------


def _container_status(
    pod: Pod, container: Container, known: ContainerFacts, facts: PodFacts, *, init: bool
) -> ContainerStatus:
    running = known.state is ContainerState.RUNNING
    ended_well = (
        known.state is ContainerState.EXITED and known.ending is not None and known.ending.exit_code == 0
    )
    ready = ended_well if init and not is_sidecar(container) else is_container_ready(known)
    state = _state(pod, container, known, facts, init=init)
    last = known.ending if shows_end_as_last(pod, container, known) else known.last
    return ContainerStatus(
        name=container.name,
        image=container.image,
        image_id=known.image_id,
        container_id=CONTAINER_ID_PREFIX + known.container_id if known.container_id else "",
        ready=ready,
        started=running and known.started,
        restart_count=known.restarts,
        state=state,
        last_state=ContainerStateStatus(terminated=_terminated(last) if last is not None else None),
        resources=known.resources if _has_any(known.resources) else None,
        allocated_resources=granted(container, known, facts.resize_refused).requests
        if _has_any(known.resources)
        else {},
    )


def _has_any(resources: ResourceRequirements | None) -> bool:
    return resources is not None and bool(resources.requests or resources.limits)


def _ephemeral_status(
    pod: Pod, container: Container, known: ContainerFacts, facts: PodFacts
) -> ContainerStatus:
    """Return the status of one that was added: it is never ready, since nobody waits for it."""
    status = _container_status(pod, container, known, facts, init=False)
    return replace(status, ready=False, started=None)


def _state(
    pod: Pod, container: Container, known: ContainerFacts, facts: PodFacts, *, init: bool
) -> ContainerStateStatus:
    if known.state is ContainerState.RUNNING and not known.starting:
        return ContainerStateStatus(running=ContainerStateRunning(started_at=render_time(known.started_at)))
    if known.problem is not None:
        return _waiting(known.problem.reason, known.problem.message)
    if known.state is ContainerState.EXITED:
        assert known.ending is not None
        if shows_back_off(pod, container, known):
            return _waiting("CrashLoopBackOff", describe_backoff(pod, container, known))
        return ContainerStateStatus(terminated=_terminated(known.ending))
    if is_ephemeral(pod, container.name):
        return _waiting("ContainerCreating", "")
    if not init and pod.spec.init_containers and not is_initialized(pod, facts):
        return _waiting("PodInitializing", "")
    return _waiting("PodInitializing" if init else "ContainerCreating", "")


def describe_backoff(pod: Pod, container: Container, known: ContainerFacts) -> str:
    """Return the message of CrashLoopBackOff. Source: pkg/kubelet/kuberuntime, doBackOff."""
    wait = _go_duration(compute_backoff_s(known.crashes))
    name = f"{pod.metadata.name}_{pod.metadata.namespace}({pod.metadata.uid})"
    return f"back-off {wait} restarting failed container={container.name} pod={name}"


def _go_duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


def _waiting(reason: str, message: str) -> ContainerStateStatus:
    return ContainerStateStatus(waiting=ContainerStateWaiting(reason=reason, message=message))


def _terminated(ending: Ending) -> ContainerStateTerminated:
    if ending.oom_killed:
        reason = "OOMKilled"
    else:
        reason = "Completed" if ending.exit_code == 0 else "Error"
    return ContainerStateTerminated(
        exit_code=ending.exit_code,
        signal=ending.signal or None,
        reason=reason,
        message=ending.message,
        started_at=render_time(ending.started_at),
        finished_at=render_time(ending.finished_at),
        container_id=CONTAINER_ID_PREFIX + ending.container_id,
    )


# --- conditions --------------------------------------------------------------------------------------------------


def _conditions(pod: Pod, facts: PodFacts, *, done: bool, phase: str) -> list[PodCondition]:
    began = any(facts.container(c.name).state is not ContainerState.ABSENT for c in pod.spec.containers)
    initialized = began or is_initialized(pod, facts) or phase == "Succeeded"
    containers_ready = _condition_of_containers("ContainersReady", pod, facts, done=done, phase=phase)
    ready = containers_ready
    gates = [g.condition_type for g in pod.spec.readiness_gates]
    if ready.status == "True" and gates:
        missing = [words for gate in gates if (words := _describe_gate(pod, gate))]
        if missing:
            ready = PodCondition(status="False", reason="ReadinessGatesNotReady", message=", ".join(missing))
    unfinished = [
        c.name
        for c in pod.spec.init_containers
        if not (facts.container(c.name).started or _ended_with_zero(facts.container(c.name)))
    ]
    return [
        PodCondition(type="PodReadyToStartContainers", status=_truth(bool(facts.sandbox_id) and not done)),
        PodCondition(type="Initialized", status="True", reason="PodCompleted" if phase == "Succeeded" else "")
        if initialized
        else PodCondition(
            type="Initialized",
            status="False",
            reason="ContainersNotInitialized",
            message=f"containers with incomplete status: [{' '.join(unfinished)}]",
        ),
        replace(ready, type="Ready"),
        containers_ready,
        *(
            [scheduled]
            if (scheduled := _find(pod.status.conditions, "PodScheduled"))
            else [PodCondition(type="PodScheduled", status="True")]
        ),
        *_conditions_of_resize(pod, facts, done=done),
    ]


def _conditions_of_resize(pod: Pod, facts: PodFacts, *, done: bool) -> list[PodCondition]:
    """Return what keeps containers from the resources that the pod asks for, or that they are being given them.

    Source: Kubernetes v1.36, pkg/kubelet/status, SetPodResizePendingCondition and SetPodResizeInProgressCondition.
    """
    if done or not find_changes(pod, facts):
        return []
    refusal, problem = facts.resize_refused, facts.resize_problem
    if refusal is not None:
        kind, reason, message = "PodResizePending", refusal.reason, refusal.message
    else:
        kind, reason = "PodResizeInProgress", problem.reason if problem is not None else ""
        message = problem.message if problem is not None else ""
    return [
        PodCondition(
            type=kind,
            status="True",
            reason=reason,
            message=message,
            observed_generation=pod.metadata.generation,
        )
    ]


def _condition_of_containers(kind: str, pod: Pod, facts: PodFacts, *, done: bool, phase: str) -> PodCondition:
    if done:
        reason = "PodCompleted" if phase == "Succeeded" else "PodFailed"
        return PodCondition(type=kind, status="False", reason=reason)
    watched = [
        c
        for c in (*pod.spec.init_containers, *pod.spec.containers)
        if c in pod.spec.containers or is_sidecar(c)
    ]
    unready = [c.name for c in watched if not is_container_ready(facts.container(c.name))]
    if not unready:
        return PodCondition(type=kind, status="True")
    message = f"containers with unready status: [{' '.join(unready)}]"
    return PodCondition(type=kind, status="False", reason="ContainersNotReady", message=message)


def _describe_gate(pod: Pod, gate: str) -> str:
    """Return why a readiness gate is closed; "" when it is open. Source: pkg/kubelet/status, GeneratePodReadyCondition."""
    condition = _find(pod.status.conditions, gate)
    if condition is None:
        return f'corresponding condition of pod readiness gate "{gate}" does not exist.'
    if condition.status != "True":
        return f'the status of pod readiness gate "{gate}" is not "True", but {condition.status}'
    return ""


def _ended_with_zero(known: ContainerFacts) -> bool:
    return known.ending is not None and known.ending.exit_code == 0


def _merge_conditions(
    old: tuple[PodCondition, ...], new: list[PodCondition], now: float
) -> tuple[PodCondition, ...]:
    ours = {condition.type for condition in new}
    merged = [
        replace(
            condition,
            observed_generation=condition.observed_generation if condition.type in _PASSING else None,
            last_transition_time=before.last_transition_time
            if (before := _find(old, condition.type))
            and before.status == condition.status
            and before.last_transition_time
            else render_time(now),
        )
        for condition in new
    ]
    kept = (condition for condition in old if condition.type not in ours and condition.type not in _PASSING)
    return (*merged, *kept)


def _find(conditions: tuple[PodCondition, ...], kind: str) -> PodCondition | None:
    return next((condition for condition in conditions if condition.type == kind), None)


def _truth(value: bool) -> str:
    return "True" if value else "False"
