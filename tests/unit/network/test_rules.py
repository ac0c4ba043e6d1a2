"""The rules' text. What it does to packets is tested on the real kernel, in tests/host."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.network.host_ports import HostPort
from pinnace.network.rules import (
    NOTHING,
    Fragment,
    PublishedPort,
    assign_buckets,
    merge_fragments,
    render_published,
    render_service,
    render_table,
    render_update,
)
from pinnace.network.service_facts import Backend
from tests.unit.network.builders import BASE, facts

A, B, C = Backend("10.244.0.2", 8080), Backend("10.244.0.3", 8080), Backend("10.244.0.4", 8080)
CHAIN = next(iter(render_service(facts(A), frozenset()).chains))
NO_PORTS: frozenset[HostPort] = frozenset()


def test_chain_name_says_whose_it_is() -> None:
    assert re.fullmatch(r"svc-[0-9a-f]{10}/default/web/http/tcp", CHAIN)


def test_service_is_translated_to_its_backends_in_turn() -> None:
    assert render_service(facts(A, B), NO_PORTS) == Fragment(
        {
            CHAIN: (
                "meta l4proto tcp dnat ip to numgen inc mod 2 map { 0 : 10.244.0.2 . 8080, 1 : 10.244.0.3 . 8080 }",
            )
        },
        {
            "cluster_ips": {"10.96.0.5": ""},
            "hairpin": {"10.244.0.2 . 10.244.0.2": "", "10.244.0.3 . 10.244.0.3": ""},
            "cluster_ports": {"tcp . 10.96.0.5 . 80": f"goto {CHAIN}"},
        },
    )


def test_one_backend_needs_no_turns() -> None:
    assert render_service(facts(A), NO_PORTS).chains == {
        CHAIN: ("meta l4proto tcp dnat ip to 10.244.0.2:8080",)
    }


def test_service_without_backends_is_refused_everywhere_it_is_open() -> None:
    balanced = facts(load_balanced=True, node_port=30080, external_ips=("203.0.113.7",))
    granted = frozenset({HostPort("tcp", 80), HostPort("tcp", 30080)})
    assert render_service(balanced, granted) == Fragment(
        {},
        {
            "cluster_ips": {"10.96.0.5": ""},
            "refused_address_ports": {
                "tcp . 10.96.0.5 . 80": "goto refuse",
                "tcp . 203.0.113.7 . 80": "goto refuse",
            },
            "refused_host_ports": {"tcp . 80": "goto refuse", "tcp . 30080": "goto refuse"},
        },
    )


def test_only_granted_host_ports_are_translated() -> None:
    balanced = facts(A, load_balanced=True, node_port=30080)
    assert "host_ports" not in render_service(balanced, NO_PORTS).elements
    granted = render_service(balanced, frozenset({HostPort("tcp", 30080)}))
    assert granted.elements["host_ports"] == {"tcp . 30080": f"goto {CHAIN}"}


def test_source_ranges_guard_the_load_balancer_but_not_the_node_port() -> None:
    guarded = facts(A, load_balanced=True, node_port=30080, source_ranges=("203.0.113.0/24",))
    fragment = render_service(guarded, frozenset({HostPort("tcp", 80), HostPort("tcp", 30080)}))
    guard = CHAIN.replace("svc-", "ext-")
    assert fragment.chains[guard] == (
        f"fib saddr type local goto {CHAIN}",
        f"ip saddr 203.0.113.0/24 goto {CHAIN}",
        "drop",
    )
    assert fragment.elements["host_ports"] == {"tcp . 80": f"goto {guard}", "tcp . 30080": f"goto {CHAIN}"}


def test_published_port_on_one_address_is_looked_up_by_that_address() -> None:
    fragment = render_published(PublishedPort("c1", HostPort("udp", 53, "127.0.0.1"), "10.244.0.9", 5353))
    (chain,) = fragment.chains
    assert fragment.elements["address_ports"] == {"udp . 127.0.0.1 . 53": f"goto {chain}"}
    assert fragment.chains[chain] == ("meta l4proto udp dnat ip to 10.244.0.9:5353",)


def test_affinity_moves_only_the_clients_of_the_backend_that_goes() -> None:
    before, after = assign_buckets((A, B, C)), assign_buckets((A, B))
    assert all(old == new for old, new in zip(before, after, strict=True) if old != C)
    shares = Counter(before)
    assert all(
        25 < shares[backend] < 62 for backend in (A, B, C)
    )  # 128 / 3 = 43, within three standard deviations


def test_equal_facts_give_equal_text() -> None:
    one, other = (
        render_service(facts(A), NO_PORTS),
        render_service(facts(B, name="db", cluster_ips=("10.96.0.6",)), NO_PORTS),
    )
    assert render_table(BASE, [one, other]) == render_table(BASE, [other, one])


def test_of_two_services_with_one_address_the_first_has_it() -> None:
    one, other = render_service(facts(A), NO_PORTS), render_service(facts(B, name="db"), NO_PORTS)
    merged = merge_fragments([one, other])
    assert merged.elements["cluster_ports"] == one.elements["cluster_ports"]


def test_table_replaces_itself_in_one_transaction() -> None:
    lines = render_table(BASE, []).splitlines()
    assert lines[:3] == ["table ip pinnace {}", "delete table ip pinnace", "table ip pinnace {"]


@pytest.mark.parametrize(
    "rule",
    [
        'iifname "pinnace0" ip daddr 127.0.0.0/8 drop',
        "ip saddr . ip daddr @hairpin ct status dnat masquerade fully-random",
        'oifname "pinnace0" ip saddr 127.0.0.0/8 masquerade fully-random',
        'oifname != "pinnace0" ip saddr 10.244.0.0/20 ip daddr != 10.244.0.0/20 masquerade fully-random',
        "meta l4proto udp dnat ip to 10.244.0.1:10053",
        "fib daddr type local meta l4proto . th dport vmap @host_ports",
    ],
)
def test_table_has_the_rule(rule: str) -> None:
    assert rule in [line.strip() for line in render_table(BASE, []).splitlines()]


def test_change_of_backends_touches_one_chain_only() -> None:
    old, new = render_service(facts(A, B), NO_PORTS), render_service(facts(A, C), NO_PORTS)
    assert render_update("pinnace", old, new).splitlines() == [
        f"add chain ip pinnace {CHAIN}",
        f"flush chain ip pinnace {CHAIN}",
        f"add rule ip pinnace {CHAIN} {new.chains[CHAIN][0]}",
        "add element ip pinnace hairpin { 10.244.0.4 . 10.244.0.4 }",
    ]


def test_no_change_is_no_text() -> None:
    fragment = render_service(facts(A), NO_PORTS)
    assert render_update("pinnace", fragment, fragment) == ""


def test_removed_service_leaves_its_maps_before_its_chain_goes() -> None:
    lines = render_update("pinnace", render_service(facts(A), NO_PORTS), NOTHING).splitlines()
    assert lines == [
        "delete element ip pinnace cluster_ports { tcp . 10.96.0.5 . 80 }",
        "delete element ip pinnace cluster_ips { 10.96.0.5 }",
        f"flush chain ip pinnace {CHAIN}",
        f"delete chain ip pinnace {CHAIN}",
    ]


BACKENDS = st.lists(st.sampled_from([A, B, C]), unique=True).map(
    lambda found: facts(*sorted(found), sticky=False)
)


@given(BACKENDS, BACKENDS)
def test_update_says_exactly_the_difference(old_facts, new_facts) -> None:  # type: ignore[no-untyped-def]
    old, new = render_service(old_facts, NO_PORTS), render_service(new_facts, NO_PORTS)
    text = render_update("pinnace", old, new)
    for name in ("cluster_ports", "refused_address_ports"):
        gone = old.elements.get(name, {}).keys() - new.elements.get(name, {}).keys()
        assert (f"delete element ip pinnace {name} " in text) == bool(gone)
    for chain in old.chains.keys() - new.chains.keys():
        assert f"delete chain ip pinnace {chain}\n" in text


@pytest.mark.skipif(shutil.which("nft") is None, reason="nft is not installed")
def test_nft_itself_accepts_the_table() -> None:
    everything = facts(
        A,
        B,
        load_balanced=True,
        sticky=True,
        node_port=30080,
        external_ips=("203.0.113.7",),
        source_ranges=("10.0.0.0/8",),
    )
    fragment = render_service(everything, frozenset({HostPort("tcp", 80), HostPort("tcp", 30080)}))
    text = render_table(
        BASE, [fragment, render_service(facts(name="none", cluster_ips=("10.96.0.7",)), NO_PORTS)]
    )
    checked = subprocess.run(
        ["nft", "-c", "-f", "-"], input=text, capture_output=True, text=True, check=False
    )
    if "Operation not permitted" in checked.stderr:
        pytest.skip("nft checks only for root")
    assert checked.stderr == ""
