"""Names, ranges and addresses, decided."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.base.errors import HostError
from pinnace.network.addresses import (
    Addresses,
    choose_range,
    derive_bridge_name,
    derive_mac,
    derive_port_name,
    derive_table_name,
    find_overlaps,
)


def net(text: str) -> IPv4Network:
    return IPv4Network(text)


@pytest.mark.parametrize(
    ("instance", "bridge", "table"),
    [
        ("pinnace", "pinnace0", "pinnace"),
        ("pt-net", "pt-net0", "pt-net"),
        ("fourteen-chars", "fourteen-chars0", "fourteen-chars"),
        ("7th", "7th0", "t7th"),
    ],
)
def test_bridge_and_table_are_named_after_the_instance(instance: str, bridge: str, table: str) -> None:
    assert (derive_bridge_name(instance), derive_table_name(instance)) == (bridge, table)


@given(st.text(max_size=60))
def test_any_instance_gets_a_legal_bridge_name(instance: str) -> None:
    name = derive_bridge_name(instance)
    assert 0 < len(name.encode()) <= 15
    assert "/" not in name
    assert name.isascii()
    assert not any(c.isspace() for c in name)


def test_long_instances_with_one_beginning_get_different_bridges() -> None:
    assert derive_bridge_name("continuous-integration-1") != derive_bridge_name("continuous-integration-2")


def test_port_names_fit_and_differ_between_instances() -> None:
    one, other = derive_port_name("a", "default/web-1"), derive_port_name("b", "default/web-1")
    assert len(one) == 14
    assert one != other


@pytest.mark.parametrize(
    ("taken", "chosen"),
    [
        ([], "10.244.0.0/20"),
        (["0.0.0.0/0", "192.168.1.0/24"], "10.244.0.0/20"),
        (["10.244.0.0/24"], "10.244.16.0/20"),
        (["10.244.0.0/16"], "10.245.0.0/20"),
        (["10.244.15.255/32", "10.244.16.0/28"], "10.244.32.0/20"),
        (["10.0.0.0/8"], "172.16.0.0/20"),
        (["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"], "10.244.0.0/20"),  # broad ones stop counting
        (["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "10.244.0.0/24"], "10.244.16.0/20"),
    ],
)
def test_next_free_range_is_chosen(taken: list[str], chosen: str) -> None:
    assert choose_range(net("10.244.0.0/20"), [net(each) for each in taken]) == net(chosen)


def test_no_free_range_is_said_with_what_to_do() -> None:
    taken = [
        net("10.128.0.0/9"),
        net("10.0.0.0/9"),
        *net("172.16.0.0/12").subnets(new_prefix=13),
        net("192.168.0.0/16"),
    ]
    with pytest.raises(HostError, match="no free range") as raised:
        choose_range(net("192.168.0.0/17"), [*taken, *net("10.0.0.0/8").subnets(new_prefix=13)])
    assert "--pod-range" in raised.value.hint


def test_default_routes_overlap_nothing() -> None:
    assert find_overlaps(net("10.96.0.0/16"), [net("0.0.0.0/0"), net("10.96.4.0/24")]) == (
        net("10.96.4.0/24"),
    )


def test_first_address_is_the_gateways_and_pods_start_at_the_second() -> None:
    addresses = Addresses.restore(net("10.244.0.0/20"), {})
    assert addresses.gateway == IPv4Address("10.244.0.1")
    assert [str(addresses.allocate(key)) for key in "aba"] == ["10.244.0.2", "10.244.0.3", "10.244.0.2"]


def test_released_address_comes_back_only_after_all_others() -> None:
    addresses = Addresses.restore(net("10.244.0.0/29"), {})  # five pods fit
    given_out = []
    for number in range(6):
        given_out.append(str(addresses.allocate(f"k{number}")))
        addresses.release(f"k{number}")
    assert given_out == [f"10.244.0.{last}" for last in (2, 3, 4, 5, 6, 2)]


def test_full_range_is_refused() -> None:
    addresses = Addresses.restore(net("10.244.0.0/30"), {"a": IPv4Address("10.244.0.2")})
    with pytest.raises(HostError, match="all 1 pod addresses"):
        addresses.allocate("b")


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.booleans()), max_size=60))
def test_no_two_keys_ever_hold_one_address(steps: list[tuple[str, bool]]) -> None:
    addresses = Addresses.restore(net("10.244.0.0/28"), {})
    for key, release in steps:
        if release:
            addresses.release(key)
        else:
            addresses.allocate(key)
        held = list(addresses.taken.values())
        assert len(held) == len(set(held))
        assert all(address in net("10.244.0.0/28") and address != addresses.gateway for address in held)


def test_mac_is_local_and_made_of_the_address() -> None:
    assert derive_mac(IPv4Address("10.244.0.5")) == "0a:58:0a:f4:00:05"
