"""Which datagram flows lead to the wrong place."""

from __future__ import annotations

from pinnace.network.conntrack import UDP, Flow
from pinnace.network.host_ports import HostPort
from pinnace.network.service_facts import Backend
from pinnace.network.stale import Front, find_stale_flows
from pinnace.network.stale_facts import compute_fronts
from tests.unit.network.builders import facts

POD, OTHER = "10.244.0.2", "10.244.0.3"


def flow(to: str, to_port: int, server: str, server_port: int = 5353) -> Flow:
    return Flow(UDP, "10.244.0.9", 4000, to, to_port, server, server_port, "", 30, b"")


def test_flow_to_a_pod_that_left_is_stale() -> None:
    served = {Front("10.96.0.5", 80): frozenset({(OTHER, 5353)})}
    stays, goes = flow("10.96.0.5", 80, OTHER), flow("10.96.0.5", 80, POD)
    assert find_stale_flows([stays, goes], served, frozenset()) == (goes,)


def test_flow_that_began_before_there_was_a_service_is_stale() -> None:
    served = {Front("", 80): frozenset({(POD, 5353)})}
    untranslated = flow("192.0.2.2", 80, "192.0.2.2", 80)
    assert find_stale_flows([untranslated], served, frozenset({"192.0.2.2"})) == (untranslated,)


def test_flows_of_others_are_left_alone() -> None:
    served = {Front("", 53): frozenset({(POD, 5353)})}
    assert (
        find_stale_flows([flow("198.51.100.1", 53, "198.51.100.1", 53)], served, frozenset({"192.0.2.2"}))
        == ()
    )


def test_host_ports_count_only_while_we_hold_them() -> None:
    balanced = facts(Backend(POD, 5353), protocol="udp", load_balanced=True, node_port=30053)
    held = {HostPort("udp", 80): "Service default/web"}
    backends = frozenset({(POD, 5353)})
    assert compute_fronts([balanced], held) == {Front("10.96.0.5", 80): backends, Front("", 80): backends}


def test_connections_are_never_stale() -> None:
    assert compute_fronts([facts(Backend(POD, 80), protocol="tcp")], {}) == {}
