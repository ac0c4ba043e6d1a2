"""Decides what a Service's Endpoints object says; older clients and `kubectl get endpoints` read it.

Pure: facts in, a plan out. Called by `controller.py`.
Invariant: it names the same pods as the slices do, but for terminating ones.
Source: Kubernetes v1.36, pkg/controller/endpoint/endpoints_controller.go, and pkg/api/endpoints RepackSubsets.
"""

from collections.abc import Sequence

import msgspec

from pinnace.controllers.endpoints.facts import (
    HEADLESS,
    Member,
    Port,
    is_headless,
    reference_to,
)
from pinnace.controllers.plan import Change, Create, Plan
from pinnace.kube.objects.core_v1 import (
    EndpointAddress,
    EndpointPort,
    Endpoints,
    EndpointSubset,
    Pod,
    Service,
)
from pinnace.kube.objects.meta_v1 import ObjectMeta

MANAGED_BY = "endpoints.kubernetes.io/managed-by"
MANAGER = "endpoint-controller"
MAX_ADDRESSES = 1000  # Source: endpoints_controller.go, maxCapacity
OVER_CAPACITY = "endpoints.kubernetes.io/over-capacity"


def reconcile_endpoints(service: Service, found: Sequence[Member], present: Endpoints | None) -> Plan:
    """Return the change that makes the Endpoints object say what the pods are."""
    waits_ready = not service.spec.publish_not_ready_addresses
    members = [m for m in found if not (m.terminating and waits_ready)]
    members = [m for m in members if m.ready or _may_become_ready(m.pod)]
    truncated = len(members) > MAX_ADDRESSES
    subsets = _pack(members[:MAX_ADDRESSES])
    labels = {key: value for key, value in service.metadata.labels.items() if key != HEADLESS} | {
        MANAGED_BY: MANAGER
    }
    if is_headless(service):
        labels[HEADLESS] = ""
    annotations = {OVER_CAPACITY: "truncated"} if truncated else {}
    if present is None:
        metadata = ObjectMeta(
            name=service.metadata.name,
            namespace=service.metadata.namespace,
            labels=labels,
            annotations=annotations,
        )
        return Plan((Create(Endpoints(metadata=metadata, subsets=subsets)),))
    kept = {key: value for key, value in present.metadata.annotations.items() if key != OVER_CAPACITY}
    after = msgspec.structs.replace(
        present,
        metadata=msgspec.structs.replace(present.metadata, labels=labels, annotations=kept | annotations),
        subsets=subsets,
    )
    return Plan() if after == present else Plan((Change(present, after, f"{len(members)} addresses"),))


def _may_become_ready(pod: Pod) -> bool:
    """Say whether an unready pod is worth naming: one that will not be restarted after its end is not."""
    policy, phase = pod.spec.restart_policy, pod.status.phase
    return phase not in ("Failed", "Succeeded") if policy in ("Never", "OnFailure") else True


def _pack(members: Sequence[Member]) -> tuple[EndpointSubset, ...]:
    groups: dict[tuple[Port, ...], list[Member]] = {}
    for member in members:
        groups.setdefault(tuple(sorted(member.ports)), []).append(member)
    return tuple(
        EndpointSubset(
            addresses=tuple(_address_of(m) for m in _by_ip(group) if m.ready),
            not_ready_addresses=tuple(_address_of(m) for m in _by_ip(group) if not m.ready),
            ports=tuple(
                EndpointPort(name=p.name, port=p.port, protocol=p.protocol, app_protocol=p.app_protocol)
                for p in ports
            ),
        )
        for ports, group in sorted(groups.items())
    )


def _by_ip(members: Sequence[Member]) -> list[Member]:
    return sorted(members, key=lambda m: (m.ip, m.pod.metadata.uid))


def _address_of(member: Member) -> EndpointAddress:
    return EndpointAddress(
        ip=member.ip,
        hostname=member.hostname,
        node_name=member.pod.spec.node_name,
        target_ref=reference_to(member.pod),
    )
