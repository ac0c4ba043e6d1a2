"""Says what an object counts for, in every name that a quota may limit.

Pure. Source: Kubernetes v1.36, pkg/quota/v1/evaluator/core (pods, services, persistent_volume_claims, registry) and
apiserver/pkg/quota/v1/generic/evaluator.go.
"""

from collections.abc import Mapping
from typing import Any

from pinnace.api.admission.amounts import (
    Amounts,
    add_to,
    compute_pod_limits,
    compute_pod_requests,
    parse_amounts,
)
from pinnace.api.validation.resources import is_extended_resource
from pinnace.kube.kinds import PERSISTENT_VOLUME_CLAIM, SERVICE, Kind
from pinnace.kube.kinds import POD as POD_KIND
from pinnace.kube.objects.core_v1 import Container, PersistentVolumeClaim, Pod, Service
from pinnace.kube.quantity import NANO, Format, Quantity

PODS = POD_KIND.resource
SERVICES = SERVICE.resource
CLAIMS = PERSISTENT_VOLUME_CLAIM.resource

# The kinds that count for more than one object.
MEASURED: Mapping[str, Kind[Any]] = {PODS: POD_KIND, SERVICES: SERVICE, CLAIMS: PERSISTENT_VOLUME_CLAIM}

ONE = Quantity(NANO, Format.DECIMAL_SI)
ZERO = Quantity(0, Format.DECIMAL_SI)

# Kinds that have a name of their own from before `count/` was there.
_NAMED = frozenset({"configmaps", "resourcequotas", "replicationcontrollers", "secrets", SERVICES, CLAIMS})
_STANDARD = ("cpu", "memory", "ephemeral-storage")
_HUGE = "hugepages-"
_POD_NAMES = frozenset(
    {
        "pods",
        *_STANDARD,
        *(f"requests.{name}" for name in _STANDARD),
        *(f"limits.{name}" for name in _STANDARD),
    }
)
# What every container must say of itself when a quota limits it.
_REQUIRED = frozenset({"cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"})
_CLASS = ".storageclass.storage.k8s.io/"
_OLD_CLASS = "volume.beta.kubernetes.io/storage-class"
_ENDED = ("Succeeded", "Failed")


def count_name(resource: str) -> str:
    """Return how a quota names the number of objects. Example: "apps/deployments" is "count/deployments.apps"."""
    group, _, plural = resource.rpartition("/")
    return f"count/{plural}.{group}" if group else f"count/{plural}"


def resource_of(name: str) -> str:
    """Return the stored resource whose objects a name of a quota counts; "" for a name that counts nothing.

    Example: "requests.cpu" is of "pods", "count/deployments.apps" of "apps/deployments".
    """
    if name.startswith("count/"):
        plural, _, group = name.removeprefix("count/").partition(".")
        return f"{group}/{plural}" if group else plural
    if name in _POD_NAMES or name.startswith((_HUGE, f"requests.{_HUGE}")):
        return PODS
    if name in ("services.nodeports", "services.loadbalancers"):
        return SERVICES
    if name == "requests.storage" or _CLASS in name:
        return CLAIMS
    if name in _NAMED:
        return name
    return PODS if name.startswith("requests.") and "/" in name else ""


def measure(resource: str, obj: Any) -> Amounts:
    """Return what an object counts for; `resource` is its stored one."""
    amounts: Amounts = {count_name(resource): ONE}
    if resource in _NAMED:
        amounts[resource] = ONE
    if resource == PODS:
        _measure_pod(obj, amounts)
    elif resource == SERVICES:
        _measure_service(obj, amounts)
    elif resource == CLAIMS:
        _measure_claim(obj, amounts)
    return amounts


def _measure_pod(pod: Pod, amounts: Amounts) -> None:
    """A pod that has ended counts as an object, and for nothing else."""
    if pod.status.phase in _ENDED:
        return
    add_to(amounts, _name_compute(compute_pod_requests(pod.spec), compute_pod_limits(pod.spec)))


def _name_compute(requests: Mapping[str, Quantity], limits: Mapping[str, Quantity]) -> Amounts:
    named: Amounts = {"pods": ONE}
    for name in _STANDARD:
        if name in requests:
            named[name] = named[f"requests.{name}"] = requests[name]
        if name in limits:
            named[f"limits.{name}"] = limits[name]
    for name, amount in requests.items():
        if name.startswith(_HUGE):
            named[name] = amount
        if name.startswith(_HUGE) or is_extended_resource(name):
            named[f"requests.{name}"] = amount
    return named


def _measure_service(service: Service, amounts: Amounts) -> None:
    spec = service.spec
    ports = len(spec.ports)
    if spec.type == "LoadBalancer" and spec.allocate_load_balancer_node_ports is False:
        ports = sum(1 for port in spec.ports if port.node_port)
    has_ports = spec.type in ("NodePort", "LoadBalancer")
    amounts["services.nodeports"] = Quantity(ports * NANO) if has_ports else ZERO
    amounts["services.loadbalancers"] = ONE if spec.type == "LoadBalancer" else ZERO


def _measure_claim(claim: PersistentVolumeClaim, amounts: Amounts) -> None:
    storage = parse_amounts(claim.spec.resources.requests).get("storage")
    allocated = parse_amounts(claim.status.allocated_resources).get("storage")
    if storage is not None and allocated is not None and allocated > storage:
        storage = allocated
    name = claim.metadata.annotations.get(_OLD_CLASS) or claim.spec.storage_class_name
    if name:
        amounts[f"{name}{_CLASS}persistentvolumeclaims"] = ONE
    if storage is not None:
        amounts["requests.storage"] = storage
        if name:
            amounts[f"{name}{_CLASS}requests.storage"] = storage


def find_unsaid(pod: Pod, names: frozenset[str]) -> str:
    """Return what the pod's containers leave unsaid of what a quota limits, in Kubernetes' words; "" if nothing.

    Example: "limits.cpu for: a,b; limits.memory for: b".
    """
    required = names & _REQUIRED
    missing: dict[str, set[str]] = {}
    for container in (*pod.spec.containers, *pod.spec.init_containers):
        for name in required - _said(container):
            missing.setdefault(name, set()).add(container.name)
    return "; ".join(f"{name} for: {','.join(sorted(missing[name]))}" for name in sorted(missing))


def _said(container: Container) -> frozenset[str]:
    resources = container.resources
    return frozenset(_name_compute(parse_amounts(resources.requests), parse_amounts(resources.limits)))
