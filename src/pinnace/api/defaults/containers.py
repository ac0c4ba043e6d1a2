"""Fills in containers. Source: Kubernetes v1.36, pkg/apis/core/v1/defaults.go, SetDefaults_Container and its kin."""

from typing import Any

from msgspec.structs import replace

from pinnace.api.defaults.images import compute_pull_policy
from pinnace.api.defaults.probes import default_lifecycle, default_probe
from pinnace.api.defaults.quantities import Quantities, canonical_quantities
from pinnace.kube.objects.core_v1 import Container, ContainerPort, EnvVar, ResourceRequirements


def default_container(container: Container, *, limits_to_requests: bool, host_network: bool) -> Container:
    """Return the container filled in; a pod's (not a template's) requests follow its limits."""
    changes: dict[str, Any] = {}
    if not container.termination_message_path:
        changes["termination_message_path"] = "/dev/termination-log"
    if not container.termination_message_policy:
        changes["termination_message_policy"] = "File"
    if not container.image_pull_policy:
        changes["image_pull_policy"] = compute_pull_policy(container.image)
    if container.ports:
        changes["ports"] = tuple(_default_port(port, host_network) for port in container.ports)
    if container.env:
        changes["env"] = tuple(
            _default_env(variable) if variable.value_from else variable for variable in container.env
        )
    resources = default_resources(container.resources, limits_to_requests=limits_to_requests)
    if resources is not container.resources:
        changes["resources"] = resources
    for name in ("liveness_probe", "readiness_probe", "startup_probe"):
        probe = getattr(container, name)
        if probe is not None:
            changes[name] = default_probe(probe)
    if container.lifecycle is not None:
        changes["lifecycle"] = default_lifecycle(container.lifecycle)
    return replace(container, **changes) if changes else container


def _default_port(port: ContainerPort, host_network: bool) -> ContainerPort:
    if host_network and not port.host_port:
        return replace(port, protocol=port.protocol or "TCP", host_port=port.container_port)
    return port if port.protocol else replace(port, protocol="TCP")


def _default_env(variable: EnvVar) -> EnvVar:
    source = variable.value_from
    if source is None or source.field_ref is None or source.field_ref.api_version:
        return variable
    return replace(
        variable, value_from=replace(source, field_ref=replace(source.field_ref, api_version="v1"))
    )


def default_resources(resources: ResourceRequirements, *, limits_to_requests: bool) -> ResourceRequirements:
    """Return canonical quantities; with `limits_to_requests`, a limit without a request is one.

    Example: limits {nvidia.com/gpu: 1} gets requests {nvidia.com/gpu: "1"}.
    """
    if not (resources.limits or resources.requests):
        return resources
    limits = canonical_quantities(resources.limits)
    requests: Quantities = canonical_quantities(resources.requests)
    if limits_to_requests and any(name not in requests for name in limits):
        requests = {**requests, **{name: value for name, value in limits.items() if name not in requests}}
    if limits is resources.limits and requests is resources.requests:
        return resources
    return replace(resources, limits=limits, requests=requests)
