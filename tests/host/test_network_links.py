"""Real bridges, links and namespaces."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from pinnace.base.errors import HostError
from pinnace.network import Network
from pinnace.network.addresses import derive_mac
from tests.host.network_bench import INSTANCE, PODS_RANGE, SERVICES_RANGE, connect, eventually, sh

pytestmark = pytest.mark.short


def new_network(**options: object) -> Network:
    return Network(INSTANCE, pods_range=PODS_RANGE, services_range=SERVICES_RANGE, **options)  # type: ignore[arg-type]


@pytest.fixture
async def network() -> AsyncIterator[Network]:
    made = new_network()
    await made.ensure()
    yield made
    await made.remove_all()
    await made.close()


@pytest.fixture
def netns() -> Iterator[str]:
    sh("ip netns add pt-net-links")
    yield "/run/netns/pt-net-links"
    sh("ip netns del pt-net-links")


async def test_attached_namespace_has_address_routes_and_loopback(network: Network, netns: str) -> None:
    link = await network.attach(netns, "pod-a", hostname="web-1")
    inside = f"nsenter --net={netns} ip"
    assert (link.ip, link.gateway, link.mtu) == ("10.245.0.2", "10.245.0.1", network.mtu)
    assert f"inet {link.ip}/32" in sh(f"{inside} -4 -o addr show eth0")
    assert "inet 127.0.0.1/8" in sh(f"{inside} -4 -o addr show lo")
    assert "default via 10.245.0.1 dev eth0" in sh(f"{inside} route")
    assert sh(f"{inside} -6 -o addr show eth0") == ""
    assert link.mac == "0a:58:0a:f5:00:02"
    assert link.mac in sh(f"{inside} link show eth0")
    assert "host=web-1" in sh(f"ip link show {link.device}")


async def test_attaching_twice_changes_nothing(network: Network, netns: str) -> None:
    assert await network.attach(netns, "pod-a") == await network.attach(netns, "pod-a")
    assert len(network.list_links()) == 1


async def test_a_namespace_made_anew_keeps_its_keys_address(network: Network, netns: str) -> None:
    first = await network.attach(netns, "pod-a")
    sh("ip netns add pt-net-anew")
    try:
        assert (await network.attach("/run/netns/pt-net-anew", "pod-a")).ip == first.ip
        assert "eth0" not in sh(f"nsenter --net={netns} ip -o link")
    finally:
        sh("ip netns del pt-net-anew")


async def test_detached_address_is_not_given_out_again_at_once(network: Network, netns: str) -> None:
    first = await network.attach(netns, "pod-a")
    await network.detach("pod-a")
    await network.detach("pod-a")
    assert (await network.attach(netns, "pod-b")).ip != first.ip


async def test_next_daemon_finds_links_and_goes_on_with_the_next_address(netns: str) -> None:
    network = new_network()
    await network.ensure()
    link = await network.attach(netns, "pod-a")
    await network.close()
    successor = new_network()
    try:
        await successor.ensure()
        assert dict(successor.list_links()) == {"pod-a": link}
        await successor.detach("pod-a")
        assert (await successor.attach(netns, "pod-b")).ip == "10.245.0.3"
    finally:
        await successor.remove_all()
        await successor.close()


async def test_another_range_is_taken_up_when_no_pod_has_the_old_one(netns: str) -> None:
    network = new_network()
    await network.ensure()
    await network.close()
    successor = Network(INSTANCE, pods_range="10.245.64.0/20", services_range=SERVICES_RANGE)
    try:
        await successor.ensure()
        assert (await successor.attach(netns, "pod-a")).ip == "10.245.64.2"
        assert "10.245.0.1" not in sh(f"ip -4 -o addr show {successor.bridge}")
        await successor.close()
        third = new_network()
        await third.ensure()  # pods of the old range are there, so it stays
        assert str(third.range) == "10.245.64.0/20"
        await third.close()
    finally:
        last = new_network()
        await last.remove_all()
        await last.close()


async def test_missing_namespace_is_named(network: Network) -> None:
    with pytest.raises(HostError, match="/run/netns/pt-none of pod-x can't be opened"):
        await network.attach("/run/netns/pt-none", "pod-x")
    assert dict(network.list_links()) == {}


async def test_removed_bridge_is_reported_and_made_again_with_its_links(netns: str) -> None:
    reports: list[str] = []
    network = new_network(on_report=reports.append)
    try:
        await network.ensure()
        link = await network.attach(netns, "pod-a")
        sh(f"ip link del {network.bridge}")
        await eventually(lambda: reports)
        assert reports == [f"bridge {network.bridge} was removed or changed by somebody; it was made again"]
        with pytest.raises(ConnectionRefusedError):  # nobody listens there, but it answers
            connect(link.ip, 9)
    finally:
        await network.remove_all()
        await network.close()


async def test_taken_range_is_left_to_its_owner() -> None:
    sh("ip link add pt-dummy type bridge")
    sh("ip addr add 10.245.3.1/24 dev pt-dummy")
    sh("ip link set pt-dummy up")
    reports: list[str] = []
    network = new_network(on_report=reports.append)
    try:
        await network.ensure()
        assert str(network.range) == "10.245.16.0/20"
        assert reports == ["pods range 10.245.0.0/20 is taken on this host; 10.245.16.0/20 is used"]
    finally:
        await network.remove_all()
        await network.close()
        sh("ip link del pt-dummy")


async def test_nothing_is_left_after_remove_all(netns: str) -> None:
    before = (sh("ip -o link"), sh("ip -o route"))
    network = new_network()
    await network.ensure()
    await network.attach(netns, "pod-a")
    await network.remove_all()
    await network.close()
    assert (sh("ip -o link"), sh("ip -o route")) == before
    assert not Path(f"/sys/class/net/{network.bridge}").exists()


def test_mac_is_made_of_the_address() -> None:
    from ipaddress import IPv4Address

    assert derive_mac(IPv4Address("10.244.0.5")) == "0a:58:0a:f4:00:05"
