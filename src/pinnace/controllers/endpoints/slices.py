"""Decides what EndpointSlices a Service has.

Pure: facts in, a plan out. Called by `controller.py`.
Invariant: each endpoint is in exactly one slice of its ports; an endpoint that stays, stays in its slice; no slice has more
than MAX_ENDPOINTS. A Service without endpoints keeps one empty slice, so that readers can tell "none" from "not yet".
Source: Kubernetes v1.36, staging endpointslice/reconciler.go.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from pinnace.controllers.endpoints.facts import (
    HEADLESS,
    MANAGED_BY,
    SERVICE_NAME,
    SLICE_MANAGER,
    Member,
    Port,
    is_headless,
    reference_to,
)
from pinnace.controllers.owners import controller_reference
from pinnace.controllers.plan import Change, Create, Delete, Plan, Step
from pinnace.kube.objects.core_v1 import Service
from pinnace.kube.objects.discovery_v1 import Endpoint, EndpointConditions, EndpointPort, EndpointSlice
from pinnace.kube.objects.meta_v1 import ObjectMeta

MAX_ENDPOINTS = 100  # Source: Kubernetes v1.36, kube-controller-manager --max-endpoints-per-slice

_NAMELESS = "\0"  # no port's name: a slice from a time when empty names were not stored is written anew

Ports = tuple[Port, ...]


@dataclass(frozen=True, slots=True)
class SliceFacts:
    """One Service, the pods behind it, and the slices that are ours and name the Service."""

    service: Service
    members: tuple[Member, ...] = ()
    slices: tuple[EndpointSlice, ...] = ()


def reconcile_slices(facts: SliceFacts) -> Plan:
    """Return the changes that make the slices say what the pods are."""
    wanted: dict[tuple[Ports, str], dict[str, Endpoint]] = {}
    for member in facts.members:
        family = "IPv6" if ":" in member.ip else "IPv4"
        wanted.setdefault((member.ports, family), {})[member.pod.metadata.uid] = _endpoint_of(member)
    slices = [one for one in facts.slices if not one.metadata.deletion_timestamp]
    steps: list[Step] = []
    kept = 0
    for (ports, family), endpoints in wanted.items():
        alike = [one for one in slices if (_ports_of(one), one.address_type) == (ports, family)]
        new_steps, count = _fill(facts.service, ports, endpoints, alike, family)
        steps += new_steps
        kept += count
        slices = [one for one in slices if one not in alike]
    if kept == 0 and slices:  # what is left is of ports that no endpoint has: one of them stays, emptied
        steps += _amend(facts.service, slices.pop(0), (), ())
        kept = 1
    if kept == 0:
        steps.append(Create(_build(facts.service, (), (), _family_of(facts.service))))
    steps += [Delete(one, "no endpoint has its ports") for one in slices]
    return Plan(tuple(steps))


def _fill(
    service: Service, ports: Ports, wanted: dict[str, Endpoint], slices: Sequence[EndpointSlice], family: str
) -> tuple[list[Step], int]:
    """Return the steps for the slices of one set of ports, and how many slices there will be."""
    rest = dict(wanted)
    contents: list[tuple[EndpointSlice, list[Endpoint]]] = []
    for one in slices:
        uids = [e.target_ref.uid for e in one.endpoints if e.target_ref is not None]
        contents.append((one, [rest.pop(uid) for uid in uids if uid in rest]))
    left = list(rest.values())
    for _, content in sorted(contents, key=lambda pair: -len(pair[1])):
        room = MAX_ENDPOINTS - len(content)
        content += left[:room]
        left = left[room:]
    steps: list[Step] = []
    count = 0
    for one, content in contents:
        if content:
            count += 1
            steps += _amend(service, one, tuple(content), ports)
        else:
            steps.append(Delete(one, "no endpoint is left in it"))
    while left:
        steps.append(Create(_build(service, tuple(left[:MAX_ENDPOINTS]), ports, family)))
        left = left[MAX_ENDPOINTS:]
        count += 1
    return steps, count


def _amend(service: Service, one: EndpointSlice, endpoints: tuple[Endpoint, ...], ports: Ports) -> list[Step]:
    metadata = msgspec.structs.replace(
        one.metadata, labels=_labels_of(service), owner_references=(controller_reference(service),)
    )
    after = msgspec.structs.replace(one, metadata=metadata, endpoints=endpoints, ports=_render_ports(ports))
    return [] if after == one else [Change(one, after, f"{len(endpoints)} endpoints")]


def _build(service: Service, endpoints: tuple[Endpoint, ...], ports: Ports, family: str) -> EndpointSlice:
    return EndpointSlice(
        metadata=ObjectMeta(
            generate_name=f"{service.metadata.name}-",
            namespace=service.metadata.namespace,
            labels=_labels_of(service),
            owner_references=(controller_reference(service),),
        ),
        address_type=family,
        endpoints=endpoints,
        ports=_render_ports(ports),
    )


def _labels_of(service: Service) -> dict[str, str]:
    labels = {key: value for key, value in service.metadata.labels.items() if key != HEADLESS}
    labels |= {SERVICE_NAME: service.metadata.name, MANAGED_BY: SLICE_MANAGER}
    return {**labels, HEADLESS: ""} if is_headless(service) else labels


def _endpoint_of(member: Member) -> Endpoint:
    return Endpoint(
        addresses=(member.ip,),
        conditions=EndpointConditions(
            ready=member.ready, serving=member.serving, terminating=member.terminating
        ),
        hostname=member.hostname,
        node_name=member.pod.spec.node_name,
        target_ref=reference_to(member.pod),
    )


def _render_ports(ports: Iterable[Port]) -> tuple[EndpointPort, ...]:
    return tuple(
        EndpointPort(name=port.name, port=port.port, protocol=port.protocol, app_protocol=port.app_protocol)
        for port in ports
    )


def _ports_of(one: EndpointSlice) -> Ports:
    return tuple(
        Port(_NAMELESS if port.name is None else port.name, port.port or 0, port.protocol, port.app_protocol)
        for port in one.ports
    )


def _family_of(service: Service) -> str:
    return "IPv6" if service.spec.ip_families[:1] == ("IPv6",) else "IPv4"
