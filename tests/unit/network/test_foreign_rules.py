"""Which rules other programs' chains need. The texts are what Docker 20.10, ufw 0.36 and firewalld 1.3 set up."""

from __future__ import annotations

from typing import Any

import pytest

from pinnace.network.foreign_rules import (
    IPTABLES,
    NFT,
    Accept,
    ForeignChain,
    Place,
    decide_accepts,
    find_own,
    parse_iptables,
    parse_nft_chain,
    render_iptables_rule,
    render_nft_insertion,
)

DOCKER = """-P INPUT ACCEPT
-P FORWARD DROP
-P OUTPUT ACCEPT
-N DOCKER
-N DOCKER-ISOLATION-STAGE-1
-N DOCKER-USER
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-ISOLATION-STAGE-1
-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A DOCKER-USER -j RETURN
"""
UFW = (
    "-P INPUT DROP\n-P FORWARD DROP\n-P OUTPUT ACCEPT\n-N ufw-user-forward\n-A FORWARD -j ufw-user-forward\n"
)
OPEN = "-P INPUT ACCEPT\n-P FORWARD ACCEPT\n-P OUTPUT ACCEPT\n"
REJECTING = "-P INPUT ACCEPT\n-P FORWARD ACCEPT\n-A FORWARD -j REJECT --reject-with icmp-host-prohibited\n"
PORTS = (("tcp", 6443), ("udp", 10053))


def place(chain: str) -> Place:
    return Place(IPTABLES, "ip", "filter", chain)


def both_ways(chain: str) -> list[Accept]:
    return [
        Accept(place(chain), "pinnace0:in", from_device="pinnace0"),
        Accept(place(chain), "pinnace0:out", to_device="pinnace0"),
    ]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (DOCKER, both_ways("DOCKER-USER")),
        (OPEN, []),
        (REJECTING, both_ways("FORWARD")),
        (
            UFW,
            [
                *both_ways("FORWARD"),
                Accept(place("INPUT"), "pinnace0:tcp:6443", "pinnace0", "", "10.244.0.1", "tcp", 6443),
                Accept(place("INPUT"), "pinnace0:udp:10053", "pinnace0", "", "10.244.0.1", "udp", 10053),
            ],
        ),
        (DOCKER.replace("-A FORWARD -j DOCKER-USER\n", ""), both_ways("FORWARD")),  # nobody jumps there
    ],
)
def test_rules_go_where_packets_would_be_dropped(text: str, wanted: list[Accept]) -> None:
    assert decide_accepts(parse_iptables(text, IPTABLES), "pinnace0", "10.244.0.1", PORTS) == tuple(wanted)


def firewalld(*rules: dict[str, Any], policy: str = "accept", hook: str = "forward") -> ForeignChain:
    chain = {"family": "inet", "table": "firewalld", "name": "filter_FORWARD", "hook": hook, "policy": policy}
    return parse_nft_chain(chain, rules)


@pytest.mark.parametrize(
    ("chain", "drops"),
    [
        (
            firewalld({"expr": [{"match": {}}, {"accept": None}]}, {"expr": [{"reject": {"type": "icmpx"}}]}),
            True,
        ),
        (firewalld({"expr": [{"counter": {}}, {"drop": None}]}), True),
        (firewalld({"expr": [{"match": {}}, {"drop": None}]}), False),
        (firewalld(policy="drop"), True),
        (firewalld(), False),
    ],
)
def test_chain_that_rejects_at_its_end_drops_too(chain: ForeignChain, drops: bool) -> None:
    assert bool(decide_accepts([chain], "pinnace0", "10.244.0.1", ())) is drops


def test_own_rules_are_found_by_their_marks_and_those_of_other_instances_are_not() -> None:
    text = DOCKER + "".join(
        f"-A DOCKER-USER -i {bridge} -m comment --comment {bridge}:in -j ACCEPT\n"
        for bridge in ("pinnace0", "pinnace01")
    )
    assert find_own(parse_iptables(text, IPTABLES), "pinnace0") == {
        (place("DOCKER-USER"), "pinnace0:in"): "-i pinnace0 -m comment --comment pinnace0:in -j ACCEPT"
    }


def test_own_nft_rules_are_found_by_their_handles() -> None:
    chain = firewalld({"expr": [{"accept": None}], "comment": "pinnace0:out", "handle": 7}, policy="drop")
    assert find_own([chain], "pinnace0") == {(chain.place, "pinnace0:out"): "7"}


def test_iptables_rule_is_written_as_iptables_prints_it() -> None:
    accept = Accept(place("INPUT"), "pinnace0:udp:53", "pinnace0", "", "10.244.0.1", "udp", 53)
    text = "-A INPUT " + " ".join(render_iptables_rule(accept)) + "\n"
    assert text == (
        "-A INPUT -d 10.244.0.1/32 -i pinnace0 -p udp -m udp --dport 53 "
        "-m comment --comment pinnace0:udp:53 -j ACCEPT\n"
    )


def test_nft_rule_is_put_at_the_head() -> None:
    where = Place(NFT, "inet", "firewalld", "filter_INPUT")
    accept = Accept(where, "pinnace0:tcp:6443", "pinnace0", "", "10.244.0.1", "tcp", 6443)
    assert render_nft_insertion(accept) == (
        'insert rule inet firewalld filter_INPUT iifname "pinnace0" ip daddr 10.244.0.1 tcp dport 6443 '
        'accept comment "pinnace0:tcp:6443"\n'
    )
