"""Which backends get new connections. The rows follow Kubernetes' CategorizeEndpoints."""

from __future__ import annotations

import pytest

from pinnace.kube.objects.core_v1 import ServicePort
from pinnace.kube.objects.discovery_v1 import Endpoint
from pinnace.network.host_ports import HostPort, Wanted, compute_wanted, find_owner
from pinnace.network.service_facts import Backend, compute_service_facts
from tests.unit.network.builders import endpoint, facts, service, slice_of

A, B = "10.244.0.2", "10.244.0.3"


@pytest.mark.parametrize(
    ("endpoints", "backends"),
    [
        ([endpoint(A), endpoint(B)], [Backend(A, 8080), Backend(B, 8080)]),
        ([endpoint(B), endpoint(A), endpoint(A)], [Backend(A, 8080), Backend(B, 8080)]),
        ([endpoint(A, ready=None)], [Backend(A, 8080)]),  # unknown counts as ready
        ([endpoint(A), endpoint(B, ready=False)], [Backend(A, 8080)]),
        ([endpoint(A), endpoint(B, ready=False, serving=True, terminating=True)], [Backend(A, 8080)]),
        ([endpoint(B, ready=False, serving=True, terminating=True)], [Backend(B, 8080, terminating=True)]),
        ([endpoint(B, ready=False, serving=False, terminating=True)], []),
        ([endpoint(B, ready=False, serving=True, terminating=False)], []),
        (
            [endpoint(B, ready=True, serving=True, terminating=True)],
            [Backend(B, 8080)],
        ),  # publishNotReadyAddresses
        ([], []),
    ],
)
def test_ready_pods_get_connections_and_terminating_ones_only_if_none_is(
    endpoints: list[Endpoint], backends: list[Backend]
) -> None:
    found = compute_service_facts(service(), [slice_of(*endpoints)])
    assert found.ports[0].backends == tuple(backends)


def test_backends_are_matched_by_port_name_and_protocol() -> None:
    two = service(
        "web",
        "10.96.0.5",
        ServicePort(name="http", port=80),
        ServicePort(name="dns", port=53, protocol="UDP"),
    )
    slices = [
        slice_of(endpoint(A)),
        slice_of(endpoint(A), port=5353, name="dns", protocol="UDP"),
        slice_of(endpoint(B), name="x"),
    ]
    found = compute_service_facts(two, slices)
    assert [(port.protocol, port.backends) for port in found.ports] == [
        ("tcp", (Backend(A, 8080),)),
        ("udp", (Backend(A, 5353),)),
    ]


def test_other_families_are_left_out() -> None:
    assert (
        compute_service_facts(service(), [slice_of(endpoint("fd00::2"), family="IPv6")]).ports[0].backends
        == ()
    )


@pytest.mark.parametrize("changes", [{"cluster_ip": "None"}, {"cluster_ip": "", "type": "ExternalName"}])
def test_services_without_an_address_have_no_rules(changes: dict[str, str]) -> None:
    ip = changes.pop("cluster_ip")
    found = compute_service_facts(service("web", ip, **changes), [slice_of(endpoint(A))])
    assert (found.cluster_ips, found.ports) == ((), ())


@pytest.mark.parametrize(
    ("load_balancer_class", "ours"), [("", True), ("pinnace.dev/host", True), ("example.com/other", False)]
)
def test_load_balancers_of_another_class_are_left_alone(load_balancer_class: str, ours: bool) -> None:
    balanced = service(type="LoadBalancer", load_balancer_class=load_balancer_class)
    assert compute_service_facts(balanced, []).load_balanced is ours


def test_load_balancer_wants_its_ports_and_its_node_ports() -> None:
    wanted = compute_wanted(facts(load_balanced=True, node_port=30080))
    assert wanted == Wanted(frozenset({HostPort("tcp", 80)}), frozenset({HostPort("tcp", 30080)}))
    assert compute_wanted(facts(node_port=0)).all == frozenset()


@pytest.mark.parametrize(
    ("asked", "owner"),
    [
        (HostPort("tcp", 80), "a"),
        (HostPort("tcp", 80, "127.0.0.1"), "a"),
        (HostPort("udp", 80), None),
        (HostPort("tcp", 81, "127.0.0.1"), "b"),
        (HostPort("tcp", 81), "b"),
        (HostPort("tcp", 81, "127.0.0.2"), None),
    ],
)
def test_port_on_all_addresses_overlaps_each_of_them(asked: HostPort, owner: str | None) -> None:
    held = {HostPort("tcp", 80): "a", HostPort("tcp", 81, "127.0.0.1"): "b"}
    assert find_owner(asked, held, other_than="c") == owner


def test_own_port_is_no_conflict() -> None:
    assert find_owner(HostPort("tcp", 80), {HostPort("tcp", 80): "a"}, other_than="a") is None
