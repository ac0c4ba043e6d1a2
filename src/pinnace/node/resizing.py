"""Decides whether running containers may get the resources that their pod asks for now, and which have them not yet.

Pure. Called by the agent before each plan, by `lifecycle` and `status`. Invariant: what is refused changes nothing: the
containers keep what they have, and the status says so.
Source: Kubernetes v1.36, pkg/kubelet/allocation (canResizePod: reasons and messages), pkg/kubelet/kuberuntime
(computePodResizeAction).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from pinnace.kube.objects.core_v1 import Container, Pod, ResourceRequirements
from pinnace.kube.quantity import QuantityLike, cpu_milli, parse_quantity, to_bytes
from pinnace.node.facts import ContainerFacts, ContainerState, PodFacts, Refusal, all_containers, is_sidecar

RESIZABLE = ("cpu", "memory")
INFEASIBLE, DEFERRED = "Infeasible", "Deferred"
RESIZE_REASON = "resize"  # why a container is stopped that has to be started anew to get its resources


def resizable_containers(pod: Pod) -> tuple[Container, ...]:
    """Return the containers whose resources may change: those that run side by side."""
    return tuple(c for c in all_containers(pod) if c in pod.spec.containers or is_sidecar(c))


def find_changes(pod: Pod, facts: PodFacts) -> tuple[Container, ...]:
    """Return the running containers that have other resources than their pod asks for."""
    return tuple(
        container
        for container in resizable_containers(pod)
        if (known := facts.container(container.name)).state is ContainerState.RUNNING
        and known.resources is not None
        and changed_resources(container.resources, known.resources)
    )


def changed_resources(new: ResourceRequirements, old: ResourceRequirements) -> frozenset[str]:
    """Return the names of the resources that differ. Example: {"cpu"} for a request of 1 instead of 500m."""
    if new == old:
        return frozenset()
    return frozenset(
        name
        for name in RESIZABLE
        if not _same(new.requests.get(name), old.requests.get(name))
        or not _same(new.limits.get(name), old.limits.get(name))
    )


def _same(one: QuantityLike | None, other: QuantityLike | None) -> bool:
    if one == other or one is None or other is None:
        return one == other
    return parse_quantity(one) == parse_quantity(other)


def needs_restart(container: Container, known: ContainerFacts) -> bool:
    """Say whether a container has to be started anew to get its resources, as its resizePolicy says."""
    changed = changed_resources(container.resources, known.resources or ResourceRequirements())
    return any(
        policy.resource_name in changed and policy.restart_policy == "RestartContainer"
        for policy in container.resize_policy
    )


def judge(pod: Pod, others: Iterable[Pod], allocatable: Mapping[str, QuantityLike]) -> Refusal | None:
    """Return why the node can't give the pod what it asks for, None if it can."""
    wanted = _requests(pod)
    room = {"cpu": cpu_milli(allocatable.get("cpu", 0)), "memory": to_bytes(allocatable.get("memory", 0))}
    for name in ("memory", "cpu"):
        if wanted[name] > room[name]:
            words = f"{name}, requested: {wanted[name]}, capacity: {room[name]}"
            return Refusal(INFEASIBLE, f"Node didn't have enough capacity: {words}")
    used = {"cpu": 0, "memory": 0}
    for other in others:
        if other.metadata.uid != pod.metadata.uid and other.status.phase not in ("Succeeded", "Failed"):
            its = _requests(other)
            used = {name: used[name] + its[name] for name in used}
    for name in RESIZABLE:
        if used[name] + wanted[name] > room[name]:
            words = f"{name}, requested: {wanted[name]}, used: {used[name]}, capacity: {room[name]}"
            return Refusal(DEFERRED, f"Node didn't have enough resource: {words}")
    return None


def _requests(pod: Pod) -> dict[str, int]:
    found = {"cpu": 0, "memory": 0}
    for container in resizable_containers(pod):
        requests = container.resources.requests
        found["cpu"] += cpu_milli(requests.get("cpu", 0))
        found["memory"] += to_bytes(requests.get("memory", 0))
    return found


def granted(container: Container, known: ContainerFacts, refusal: Refusal | None) -> ResourceRequirements:
    """Return what a container gets: what its pod asks for, or, while that is refused, what it had."""
    return known.resources if refusal is not None and known.resources is not None else container.resources


def describe_resources(pod: Pod) -> str:
    """Return what the containers of a pod have now, as the event of a finished resize says it."""
    containers = [
        {"name": container.name, "resources": msgspec.to_builtins(container.resources)}
        for container in pod.spec.containers
    ]
    return msgspec.json.encode({"containers": containers, "generation": pod.metadata.generation}).decode()
