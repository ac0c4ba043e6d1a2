"""Checks that a pod's containers may get other resources while they run, and how they say it is to be done. Pure.

Source: Kubernetes v1.36, pkg/apis/core/validation, ValidatePodResize, validateResizePolicy.
"""

from msgspec.structs import replace

from pinnace.api.defaults.qos import compute_qos_class
from pinnace.api.validation.problems import Problems
from pinnace.kube.objects.core_v1 import Container, Pod, PodSpec, ResourceRequirements

RESIZABLE = ("cpu", "memory")
_POLICIES = ("NotRequired", "RestartContainer")


def validate_resize_policies(
    containers: tuple[Container, ...], spec: PodSpec, path: str, problems: Problems
) -> None:
    """Check what containers say about how a change of their resources is made."""
    for index, container in enumerate(containers):
        if not container.resize_policy:
            continue
        where, seen = f"{path}[{index}].resizePolicy", set[str]()
        restarts = spec.restart_policy != "Never" or container.restart_policy == "Always"
        for at, policy in enumerate(container.resize_policy):
            if policy.resource_name in seen:
                problems.duplicate(f"{where}[{at}]", policy.resource_name)
            seen.add(policy.resource_name)
            problems.one_of(where, policy.resource_name, RESIZABLE, required=True)
            problems.one_of(where, policy.restart_policy, _POLICIES, required=True)
            if not restarts and policy.restart_policy == "RestartContainer":
                problems.invalid(
                    where, policy.restart_policy, "must be 'NotRequired' when `restartPolicy` is 'Never'"
                )


def validate_resize(new: Pod, old: Pod, problems: Problems) -> None:
    """Check that nothing but cpu and memory changes, nothing of them is taken away, and the pod's class stays."""
    if _has_own(new) or _has_own(old):
        problems.forbidden("", "pods with pod-level resources cannot be resized")
        return
    qos = old.status.qos_class or compute_qos_class(old.spec)
    if compute_qos_class(new.spec) != qos:
        problems.invalid("spec", qos, "Pod QOS Class may not change as a result of resizing")
    for name, now, before in (
        ("initContainers", new.spec.init_containers, old.spec.init_containers),
        ("containers", new.spec.containers, old.spec.containers),
    ):
        _validate_containers(now, before, name, problems)


def _has_own(pod: Pod) -> bool:
    own = pod.spec.resources
    return own is not None and bool(own.requests or own.limits)


def _validate_containers(
    new: tuple[Container, ...], old: tuple[Container, ...], name: str, problems: Problems
) -> None:
    main = name == "containers"
    for index, (now, before) in enumerate(zip(new, old, strict=True)):
        sidecar = now.restart_policy == "Always"
        if not main and not sidecar:
            if now != before:
                problems.forbidden("spec", "resources for non-sidecar init containers are immutable")
            continue
        where = f"spec.{name}[{index}].resources"
        if _removed(now.resources.requests, before.resources.requests):
            problems.forbidden(f"{where}.requests", "resource requests cannot be removed")
        if _removed(now.resources.limits, before.resources.limits):
            problems.forbidden(f"{where}.limits", "resource limits cannot be removed")
        if replace(now, resources=_with_old(now.resources, before.resources)) != before:
            what = "resources" if main else "resources for sidecar containers"
            problems.forbidden("spec", f"only cpu and memory {what} are mutable")


def _removed(new: dict[str, str | int | float], old: dict[str, str | int | float]) -> bool:
    return any(name in old and name not in new for name in RESIZABLE)


def _with_old(new: ResourceRequirements, old: ResourceRequirements) -> ResourceRequirements:
    """Return the new resources with cpu and memory as they were."""

    def mix(
        now: dict[str, str | int | float], before: dict[str, str | int | float]
    ) -> dict[str, str | int | float]:
        kept = {name: value for name, value in now.items() if name not in RESIZABLE}
        return {**kept, **{name: before[name] for name in RESIZABLE if name in before}}

    return replace(new, limits=mix(new.limits, old.limits), requests=mix(new.requests, old.requests))
