"""The table of pods: the one word that says how a pod is doing.

Source: Kubernetes v1.36, pkg/printers/internalversion/printers.go, printPod.
"""

from dataclasses import dataclass
from typing import Any

from pinnace.base.times import parse_time
from pinnace.kube.objects.core_v1 import ContainerState, ContainerStatus, Pod
from pinnace.kubeapi.durations import render_duration
from pinnace.kubeapi.tables.columns import AGE, NAME, NONE, Cell, Column, Table, render_since


@dataclass(slots=True)
class _Restarts:
    """How often containers were restarted, and when the last one had ended."""

    count: int = 0
    last: float | None = None

    def add(self, status: ContainerStatus) -> None:
        self.count += status.restart_count
        ended = status.last_state.terminated
        if ended is not None and ended.finished_at:
            finished = parse_time(ended.finished_at)
            self.last = finished if self.last is None else max(self.last, finished)

    def render(self, now: float) -> str:
        if self.count == 0 or self.last is None:
            return str(self.count)
        return f"{self.count} ({render_duration(now - self.last)} ago)"


@dataclass(frozen=True, slots=True)
class PodSummary:
    """What the first columns say."""

    ready: int
    total: int
    status: str
    restarts: _Restarts


def summarize(pod: Pod) -> PodSummary:
    """Return the pod's ready count, status word and restarts."""
    sidecars = {c.name for c in pod.spec.init_containers if c.restart_policy == "Always"}
    total = len(pod.spec.containers) + len(sidecars)
    init_ready, sidecar_restarts, init_restarts, init_word = _summarize_init(pod, sidecars)
    word = init_word or _first_word(pod)
    ready, restarts = init_ready, init_restarts
    if init_word is None or _is_true(pod, "Initialized"):
        restarts = sidecar_restarts
        word, main_ready = _summarize_main(pod, word, restarts)
        ready += main_ready
    return PodSummary(ready, total, _deletion_word(pod) or word, restarts)


def _first_word(pod: Pod) -> str:
    for condition in pod.status.conditions:
        if condition.type == "PodScheduled" and condition.reason == "SchedulingGated":
            return "SchedulingGated"
    return pod.status.reason or pod.status.phase


def _deletion_word(pod: Pod) -> str | None:
    if not pod.metadata.deletion_timestamp:
        return None
    if pod.status.reason == "NodeLost":
        return "Unknown"
    return None if pod.status.phase in ("Succeeded", "Failed") else "Terminating"


def _summarize_init(pod: Pod, sidecars: set[str]) -> tuple[int, _Restarts, _Restarts, str | None]:
    """Return ready sidecars, their restarts, all init restarts, and the word while initializing."""
    ready, of_sidecars, of_all = 0, _Restarts(), _Restarts()
    for index, status in enumerate(pod.status.init_container_statuses):
        of_all.add(status)
        is_sidecar = status.name in sidecars
        if is_sidecar:
            of_sidecars.add(status)
        if status.state.terminated is not None and status.state.terminated.exit_code == 0:
            continue
        if is_sidecar and status.started:
            ready += status.ready
            continue
        word = _init_word(status.state, f"{index}/{len(pod.spec.init_containers)}")
        return ready, of_sidecars, of_all, f"Init:{word}"
    return ready, of_sidecars, of_all, None


def _init_word(state: ContainerState, progress: str) -> str:
    if state.terminated is not None:
        return _ended_word(state)
    if state.waiting is not None and state.waiting.reason not in ("", "PodInitializing"):
        return state.waiting.reason
    return progress


def _ended_word(state: ContainerState) -> str:
    ended = state.terminated
    assert ended is not None
    if ended.reason:
        return ended.reason
    return f"Signal:{ended.signal}" if ended.signal else f"ExitCode:{ended.exit_code}"


def _summarize_main(pod: Pod, word: str, restarts: _Restarts) -> tuple[str, int]:
    """Return the status word and the number of ready containers; the first container has the last word."""
    ready = 0
    for status in reversed(pod.status.container_statuses):
        restarts.add(status)
        if status.state.waiting is not None and status.state.waiting.reason:
            word = status.state.waiting.reason
        elif status.state.terminated is not None:
            word = _ended_word(status.state)
        elif status.ready and status.state.running is not None:
            ready += 1
    if word == "Completed" and ready:
        word = "Running" if _is_true(pod, "Ready") else "NotReady"
    return word, ready


def _is_true(pod: Pod, condition_type: str) -> bool:
    return any(c.type == condition_type and c.status == "True" for c in pod.status.conditions)


def _render_gates(pod: Pod) -> str:
    gates = pod.spec.readiness_gates
    if not gates:
        return NONE
    return f"{sum(_is_true(pod, gate.condition_type) for gate in gates)}/{len(gates)}"


def _cells(pod: Pod, now: float) -> tuple[Cell, ...]:
    summary = summarize(pod)
    return (
        pod.metadata.name,
        f"{summary.ready}/{summary.total}",
        summary.status,
        summary.restarts.render(now),
        render_since(pod.metadata.creation_timestamp, now),
        pod.status.pod_ips[0].ip if pod.status.pod_ips else pod.status.pod_ip or NONE,
        pod.spec.node_name or NONE,
        pod.status.nominated_node_name or NONE,
        _render_gates(pod),
    )


_ENDED = {
    "Succeeded": "The pod has completed successfully.",
    "Failed": "The pod failed.",
}


def _conditions(pod: Pod) -> list[dict[str, Any]]:
    message = _ENDED.get(pod.status.phase)
    if message is None:
        return []
    return [{"type": "Completed", "status": "True", "reason": pod.status.phase, "message": message}]


TABLE = Table(
    columns=(
        NAME,
        Column("Ready", "How many of the pod's containers are ready."),
        Column("Status", "How the pod's containers are doing, in one word."),
        Column("Restarts", "How often containers were restarted, and when last."),
        AGE,
        Column("IP", "The pod's address.", priority=1),
        Column("Node", "Where the pod runs.", priority=1),
        Column("Nominated Node", "Where the pod will run once others have left.", priority=1),
        Column("Readiness Gates", "How many of the pod's readiness gates are open.", priority=1),
    ),
    cells=_cells,
    conditions=_conditions,
)
