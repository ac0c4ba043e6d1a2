"""Decides what a node knows of a pod after a restart: from the sandbox's records and from the pod's own status.

Pure. Called once at the start. A container that the status shows and nobody can find has ended with an unknown code, as
after a reboot of a real node. Invariant: a restart count never falls.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from pinnace.base.times import parse_time
from pinnace.kube.objects.core_v1 import (
    ContainerStateTerminated,
    ContainerStatus,
    Pod,
    ResourceRequirements,
)
from pinnace.node.facts import ContainerFacts, ContainerState, Ending, PodFacts, all_containers
from pinnace.node.probes import ProbeKind, probes_of
from pinnace.node.status import CONTAINER_ID_PREFIX
from pinnace.sandbox.spec import ContainerHandle, Sandbox

LOST_EXIT_CODE = 137  # Source: pkg/kubelet/kuberuntime, ContainerStatusUnknown
LOST_MESSAGE = "The container could not be located when the pod was terminated"


def read_facts(
    pod: Pod | None,
    sandbox: Sandbox | None,
    handles: Iterable[ContainerHandle],
    now: float,
    messages: Mapping[str, str] = MappingProxyType({}),
) -> PodFacts:
    """Return the facts of one pod. `pod` is None when its object is gone: everything of it is to be removed.

    Shape: `messages` are the termination messages by container id.
    """
    latest: dict[str, ContainerHandle] = {}
    before: dict[str, Ending] = {}
    for handle in sorted(handles, key=_attempt):
        name = handle.spec.name
        if name in latest:
            before[name] = _read_ending(latest[name], messages, now)
        latest[name] = handle
    statuses: dict[str, ContainerStatus] = {}
    if pod is not None:
        shown = pod.status
        statuses = {
            s.name: s
            for s in (
                *shown.init_container_statuses,
                *shown.container_statuses,
                *shown.ephemeral_container_statuses,
            )
        }
    containers = {
        name: _read_container(
            pod, name, latest.get(name), statuses.get(name), before.get(name), messages, now
        )
        for name in {*latest, *statuses}
    }
    here = sandbox is not None and not sandbox.gone
    return PodFacts(
        sandbox_id=sandbox.id if sandbox is not None and here else "",
        ip=sandbox.ip if sandbox is not None and here else "",
        containers={name: known for name, known in containers.items() if known is not None},
        seen_at=parse_time(pod.status.start_time) if pod is not None and pod.status.start_time else now,
        object_gone=pod is None,
    )


def _read_container(
    pod: Pod | None,
    name: str,
    handle: ContainerHandle | None,
    status: ContainerStatus | None,
    before: Ending | None,
    messages: Mapping[str, str],
    now: float,
) -> ContainerFacts | None:
    restarts = (status.restart_count or 0) if status is not None else 0
    last = before
    if last is None and status is not None and status.last_state:
        last = _ending_of(status.last_state.terminated)
    image_id = status.image_id if status is not None else ""
    resources = read_resources(pod, name, status)
    if handle is None:
        return _read_lost(name, status, restarts, last, now)
    attempt = _attempt(handle)
    restarts = max(restarts, attempt)
    if handle.state == "running":
        started = not _has_probe(pod, name, ProbeKind.STARTUP) or bool(status and status.started)
        ready = not _has_probe(pod, name, ProbeKind.READINESS) or bool(status and status.ready)
        return ContainerFacts(
            name,
            state=ContainerState.RUNNING,
            attempt=attempt,
            restarts=restarts,
            container_id=handle.id,
            image_id=image_id or handle.spec.image,
            started_at=handle.started_at,
            last=last,
            ready=ready,
            started=started,
            crashes=restarts,
            resources=resources,
        )
    if handle.state == "exited":
        return ContainerFacts(
            name,
            state=ContainerState.EXITED,
            attempt=attempt,
            restarts=restarts,
            container_id=handle.id,
            image_id=image_id or handle.spec.image,
            ending=_read_ending(handle, messages, now),
            last=last,
            crashes=restarts,
        )
    return ContainerFacts(name, attempt=attempt, restarts=restarts, last=last, crashes=restarts)


def read_resources(pod: Pod | None, name: str, status: ContainerStatus | None) -> ResourceRequirements | None:
    """Return what a container was given: its status says it; where it says nothing, it is what the pod asks for."""
    if status is not None and status.resources is not None:
        return status.resources
    return (
        next((c.resources for c in all_containers(pod) if c.name == name), None) if pod is not None else None
    )


def _read_ending(handle: ContainerHandle, messages: Mapping[str, str], now: float) -> Ending:
    fact = handle.exit
    known = fact is not None and fact.known
    return Ending(
        handle.id,
        fact.exit_code if fact is not None else LOST_EXIT_CODE,
        started_at=handle.started_at,
        finished_at=fact.finished_at if fact is not None else now,
        signal=fact.signal if fact is not None else 0,
        oom_killed=fact.oom_killed if fact is not None else False,
        message=messages.get(handle.id, "") if known else LOST_MESSAGE,
    )


def _read_lost(
    name: str, status: ContainerStatus | None, restarts: int, last: Ending | None, now: float
) -> ContainerFacts | None:
    """Return the facts of a container that only the status knows."""
    if status is None or status.state is None:
        return None
    ending = _ending_of(status.state.terminated)
    if ending is None and status.state.waiting is not None:
        ending, last = last, None  # it waited to be restarted: the last state is how this attempt ended
    if ending is None:
        if not status.container_id:
            return None
        running = status.state.running
        ending = Ending(
            status.container_id.removeprefix(CONTAINER_ID_PREFIX),
            LOST_EXIT_CODE,
            started_at=parse_time(running.started_at) if running is not None and running.started_at else now,
            finished_at=now,
            message=LOST_MESSAGE,
        )
    return ContainerFacts(
        name,
        state=ContainerState.EXITED,
        attempt=restarts,
        restarts=restarts,
        container_id=ending.container_id,
        image_id=status.image_id,
        ending=ending,
        last=last,
    )


def _ending_of(terminated: ContainerStateTerminated | None) -> Ending | None:
    if terminated is None:
        return None
    return Ending(
        terminated.container_id.removeprefix(CONTAINER_ID_PREFIX),
        terminated.exit_code or 0,
        started_at=parse_time(terminated.started_at) if terminated.started_at else 0.0,
        finished_at=parse_time(terminated.finished_at) if terminated.finished_at else 0.0,
        signal=terminated.signal or 0,
        oom_killed=terminated.reason == "OOMKilled",
        message=terminated.message,
    )


def _attempt(handle: ContainerHandle) -> int:
    return int(handle.spec.labels.get("io.kubernetes.container.attempt", "0"))


def _has_probe(pod: Pod | None, name: str, kind: ProbeKind) -> bool:
    if pod is None:
        return False
    containers = (*pod.spec.init_containers, *pod.spec.containers)
    return any(c.name == name and kind in probes_of(c) for c in containers)
