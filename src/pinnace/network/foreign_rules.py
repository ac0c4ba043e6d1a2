"""Decides which accept rules other programs' firewalls need, so that pods are reachable and reach the world.

Pure: called by `foreign`. An accept in our own table does not help: each chain at a hook decides for itself, and one
that drops ends the packet (Docker sets the policy of its forward chain to DROP; ufw and firewalld drop or reject too).
Invariant: nothing is wanted in a chain that lets everything through.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

NFT, IPTABLES, IPTABLES_LEGACY = "nft", "iptables-nft", "iptables-legacy"
DOCKER_CHAIN = (
    "DOCKER-USER"  # Source: Docker, "Packet filtering and firewalls": rules here come before Docker's own
)
FORWARD, INPUT = "forward", "input"

_DROPPING_TARGETS = frozenset({"DROP", "REJECT"})
_HARMLESS_EXPRESSIONS = frozenset({"counter", "log", "comment"})


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A chain of somebody else's. `family` and `table` are "ip" and "filter" for both kinds of iptables."""

    backend: str
    family: str
    table: str
    chain: str

    def __str__(self) -> str:
        if self.backend == NFT:
            return f"{self.family} {self.table} {self.chain}"
        return f"{self.chain} ({self.backend})"


@dataclass(frozen=True, slots=True)
class ForeignChain:
    """A chain as it is: where it is called from, whether it drops what no rule accepts, our rules in it by their marks.

    Shape: `hook` is "forward", "input", or "" for a chain that only others jump to; `marks` maps a mark to what
    deletes its rule (a handle for nft, the rule's own words for iptables).
    """

    place: Place
    hook: str
    drops: bool
    jumps: frozenset[str]
    marks: Mapping[str, str]


@dataclass(frozen=True, slots=True, order=True)
class Accept:
    """One rule of ours in somebody else's chain. `mark` names it there; the rest is what it matches."""

    place: Place
    mark: str
    from_device: str = ""
    to_device: str = ""
    to_address: str = ""
    protocol: str = ""
    port: int = 0


def decide_accepts(
    chains: Iterable[ForeignChain], bridge: str, gateway: str, ports: Sequence[tuple[str, int]]
) -> tuple[Accept, ...]:
    """Return the rules that are needed: two for each forward path that drops, one per port of ours for input.

    Example: with Docker's chains, `-i pinnace0 -j ACCEPT` and `-o pinnace0 -j ACCEPT` in DOCKER-USER.
    """
    known = {chain.place: chain for chain in chains}
    wanted: list[Accept] = []
    for chain in known.values():
        if chain.hook == FORWARD and chain.drops:
            place = _find_docker_chain(chain, known) or chain.place
            wanted.append(Accept(place, f"{bridge}:in", from_device=bridge))
            wanted.append(Accept(place, f"{bridge}:out", to_device=bridge))
        elif chain.hook == INPUT and chain.drops:
            for protocol, port in ports:
                mark = f"{bridge}:{protocol}:{port}"
                wanted.append(Accept(chain.place, mark, bridge, "", gateway, protocol, port))
    return tuple(sorted(set(wanted)))


def find_own(chains: Iterable[ForeignChain], bridge: str) -> dict[tuple[Place, str], str]:
    """Return our rules that are there, by place and mark, each with what deletes it."""
    return {
        (chain.place, mark): handle
        for chain in chains
        for mark, handle in chain.marks.items()
        if mark.startswith(f"{bridge}:")
    }


def parse_iptables(text: str, backend: str) -> tuple[ForeignChain, ...]:
    """Return the chains that `iptables -S` prints."""
    policies: dict[str, str] = {}
    rules: dict[str, list[list[str]]] = {}
    for line in text.splitlines():
        words = shlex.split(line)
        if len(words) >= 3 and words[0] == "-P":
            policies[words[1]] = words[2]
            rules.setdefault(words[1], [])
        elif len(words) >= 2 and words[0] == "-N":
            rules.setdefault(words[1], [])
        elif len(words) >= 2 and words[0] == "-A":
            rules.setdefault(words[1], []).append(words[2:])
    return tuple(
        _describe_iptables(name, its, policies.get(name, ""), backend) for name, its in rules.items()
    )


def parse_nft_chain(chain: Mapping[str, Any], rules: Sequence[Mapping[str, Any]]) -> ForeignChain:
    """Return a chain as nft's JSON describes it."""
    place = Place(NFT, chain["family"], chain["table"], chain["name"])
    drops = chain.get("policy") == "drop" or (bool(rules) and _drops_all(rules[-1]))
    marks = {
        str(rule["comment"]): str(rule["handle"]) for rule in rules if "comment" in rule and "handle" in rule
    }
    return ForeignChain(place, str(chain.get("hook", "")), drops, frozenset(), marks)


def render_iptables_rule(accept: Accept) -> list[str]:
    """Return the words of a rule, as iptables takes them after the chain's name."""
    words: list[str] = []
    if accept.to_address:
        words += ["-d", f"{accept.to_address}/32"]
    if accept.from_device:
        words += ["-i", accept.from_device]
    if accept.to_device:
        words += ["-o", accept.to_device]
    if accept.protocol:
        words += ["-p", accept.protocol, "-m", accept.protocol, "--dport", str(accept.port)]
    return [*words, "-m", "comment", "--comment", accept.mark, "-j", "ACCEPT"]


def render_nft_insertion(accept: Accept) -> str:
    """Return the nft command that puts a rule at the head of its chain."""
    place, words = accept.place, []
    if accept.from_device:
        words.append(f'iifname "{accept.from_device}"')
    if accept.to_device:
        words.append(f'oifname "{accept.to_device}"')
    if accept.to_address:
        words.append(f"ip daddr {accept.to_address}")
    if accept.protocol:
        words.append(f"{accept.protocol} dport {accept.port}")
    rule = " ".join(words)
    return f'insert rule {place.family} {place.table} {place.chain} {rule} accept comment "{accept.mark}"\n'


def render_nft_deletion(place: Place, handle: str) -> str:
    """Return the nft command that deletes a rule."""
    return f"delete rule {place.family} {place.table} {place.chain} handle {handle}\n"


def _find_docker_chain(chain: ForeignChain, known: Mapping[Place, ForeignChain]) -> Place | None:
    docker = Place(chain.place.backend, chain.place.family, chain.place.table, DOCKER_CHAIN)
    return docker if docker in known and DOCKER_CHAIN in chain.jumps else None


def _describe_iptables(name: str, rules: list[list[str]], policy: str, backend: str) -> ForeignChain:
    hook = {"FORWARD": FORWARD, "INPUT": INPUT}.get(name, "")
    last = rules[-1] if rules else []
    drops = policy == "DROP" or (len(last) >= 2 and last[0] == "-j" and last[1] in _DROPPING_TARGETS)
    jumps = {words[words.index("-j") + 1] for words in rules if "-j" in words[:-1]}
    marks = {
        words[words.index("--comment") + 1]: shlex.join(words) for words in rules if "--comment" in words[:-1]
    }
    return ForeignChain(Place(backend, "ip", "filter", name), hook, drops, frozenset(jumps), marks)


def _drops_all(rule: Mapping[str, Any]) -> bool:
    """Say whether a rule drops or rejects without matching anything."""
    kinds = [next(iter(expression)) for expression in rule.get("expr", [])]
    return bool(kinds) and kinds[-1] in ("drop", "reject") and set(kinds[:-1]) <= _HARMLESS_EXPRESSIONS
