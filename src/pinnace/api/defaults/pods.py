"""Fills in pods and pod templates. Source: Kubernetes v1.36, pkg/apis/core/v1/defaults.go, SetDefaults_PodSpec.

A template is filled in less than a pod: requests follow limits, and service links are switched on, only in the pod.
"""

from typing import Any

from msgspec.structs import replace

from pinnace.api.defaults.containers import default_container
from pinnace.api.defaults.quantities import canonical_quantities
from pinnace.api.defaults.volumes import default_volume
from pinnace.kube.objects.core_v1 import (
    Container,
    PodSecurityContext,
    PodSpec,
    PodTemplateSpec,
    ResourceRequirements,
)
from pinnace.kube.quantity import Quantity, QuantityError, parse_quantity

GRACE_S = 30
DEFAULT_SCHEDULER = "default-scheduler"

_NO_SECURITY = PodSecurityContext()


def default_pod_spec(spec: PodSpec, *, is_pod: bool) -> PodSpec:
    """Return the spec filled in; `is_pod` is False for a template's."""
    host_network = bool(spec.host_network)

    def fill(containers: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(
            default_container(container, limits_to_requests=is_pod, host_network=host_network)
            for container in containers
        )

    changes: dict[str, Any] = {"containers": fill(spec.containers)}
    if spec.init_containers:
        changes["init_containers"] = fill(spec.init_containers)
    if spec.ephemeral_containers:
        changes["ephemeral_containers"] = fill(spec.ephemeral_containers)
    if spec.volumes:
        changes["volumes"] = tuple(default_volume(volume) for volume in spec.volumes)
    if not spec.restart_policy:
        changes["restart_policy"] = "Always"
    if not spec.dns_policy:
        changes["dns_policy"] = "ClusterFirst"
    if not spec.scheduler_name:
        changes["scheduler_name"] = DEFAULT_SCHEDULER
    if spec.security_context is None:
        changes["security_context"] = _NO_SECURITY
    if spec.termination_grace_period_seconds is None:
        changes["termination_grace_period_seconds"] = GRACE_S
    if is_pod and spec.enable_service_links is None:
        changes["enable_service_links"] = True
    account = spec.service_account_name or spec.service_account
    if account and (spec.service_account_name != account or spec.service_account != account):
        changes["service_account_name"] = changes["service_account"] = account
    if spec.overhead:
        changes["overhead"] = canonical_quantities(spec.overhead)
    if spec.resources is not None:
        changes["resources"] = _default_resources(spec.resources, changes["containers"], is_pod)
    return replace(spec, **changes)


def _default_resources(
    resources: ResourceRequirements, containers: tuple[Container, ...], is_pod: bool
) -> ResourceRequirements:
    """Fill in what a pod asks for as a whole: what its containers ask for together, or else its limit.

    Source: Kubernetes v1.36, same file, defaultPodRequests.
    """
    limits, requests = canonical_quantities(resources.limits), canonical_quantities(resources.requests)
    if not is_pod or not (limits or requests):
        return replace(resources, limits=limits, requests=requests)
    filled = dict(requests)
    for name in ("cpu", "memory"):
        asked = [c.resources.requests[name] for c in containers if name in c.resources.requests]
        if name in filled or not asked:
            continue
        try:
            filled[name] = str(sum((parse_quantity(text) for text in asked), Quantity(0)))
        except QuantityError:
            continue  # validation names it
    for name, limit in limits.items():
        filled.setdefault(name, limit)
    return replace(resources, limits=limits, requests=filled)


def default_template(template: PodTemplateSpec) -> PodTemplateSpec:
    """Return the template filled in."""
    spec = default_pod_spec(template.spec, is_pod=False)
    return template if spec == template.spec else replace(template, spec=spec)
