"""Decides the nftables rules: facts in, one table's text out, as a whole or as the difference of two states.

Pure: called by `proxy`. Invariant: equal facts give equal text, and the text of an update leads from the old state's
table exactly to the new state's (but for addresses in `hairpin`, which stay until the next whole replacement: each
matches only a pod that talks to itself).

How a packet goes. New connections are looked up in a map, by protocol, address and port (`cluster_ports` from our pods
and the host; `address_ports` from anywhere) or by protocol and port if the address is the host's (`host_ports`); the
map names the chain of one Service port, which translates to one of its backends in turn. What has no backend is in the
`refused_*` maps and is refused at once. Established connections never come here: connection tracking keeps them, so a
backend that left the rules finishes what it has.

Backends take turns (`numgen inc`) rather than being drawn: with few connections the load is visibly even. With
`sessionAffinity: ClientIP` the client's address picks one of 128 buckets, and each bucket its backend by the highest
digest, so that only the clients of a backend that goes, or the share of one that comes, move. (Kubernetes keeps a
client until a time-out; here the time-out is not needed, and a new backend may take over a client.)
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from pinnace.network.host_ports import ANY_ADDRESS, HostPort
from pinnace.network.service_facts import Backend, PortFacts, ServiceFacts

AFFINITY_BUCKETS = 128
_CHAIN_NAME_BYTES = (
    100  # Source: Linux, include/uapi/linux/netfilter/nf_tables.h, NFT_CHAIN_MAXNAMELEN is 256; be readable
)

CLUSTER_PORTS, ADDRESS_PORTS, HOST_PORTS = "cluster_ports", "address_ports", "host_ports"
REFUSED_ADDRESS_PORTS, REFUSED_HOST_PORTS = "refused_address_ports", "refused_host_ports"
CLUSTER_IPS, HAIRPIN = "cluster_ips", "hairpin"

_ADDRESS_KEY = "type inet_proto . ipv4_addr . inet_service"
_PORT_KEY = "type inet_proto . inet_service"
_SETS = {
    CLUSTER_PORTS: ("map", f"{_ADDRESS_KEY} : verdict"),
    ADDRESS_PORTS: ("map", f"{_ADDRESS_KEY} : verdict"),
    HOST_PORTS: ("map", f"{_PORT_KEY} : verdict"),
    REFUSED_ADDRESS_PORTS: ("map", f"{_ADDRESS_KEY} : verdict"),
    REFUSED_HOST_PORTS: ("map", f"{_PORT_KEY} : verdict"),
    CLUSTER_IPS: ("set", "type ipv4_addr"),
    HAIRPIN: ("set", "type ipv4_addr . ipv4_addr"),
}
_NEVER_DELETED = frozenset({HAIRPIN})


@dataclass(frozen=True, slots=True)
class BaseFacts:
    """What all rules of an instance share. `dns_port` is where our name server listens on the gateway; 0 for none."""

    table: str
    bridge: str
    pods_range: str
    services_range: str
    gateway: str
    dns_ip: str = ""
    dns_port: int = 0


@dataclass(frozen=True, slots=True)
class PublishedPort:
    """A port of the host that leads to one container."""

    key: str
    host_port: HostPort
    target_ip: str
    target_port: int


@dataclass(frozen=True, slots=True)
class Fragment:
    """The part of the table that one Service or published port needs.

    Shape: `chains` by name, each with its rules; `elements` by set, each key with its verdict ("" in a plain set).
    """

    chains: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    elements: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def describe(self) -> list[str]:
        """Return the fragment as lines that a person can read."""
        lines = [
            f"{name}: {key} {value}".rstrip()
            for name, keys in self.elements.items()
            for key, value in keys.items()
        ]
        return lines + [f"{name}: {rule}" for name, rules in self.chains.items() for rule in rules]


NOTHING = Fragment()


def render_service(facts: ServiceFacts, granted: frozenset[HostPort]) -> Fragment:
    """Return the rules of one Service; of host ports only those that are `granted`, because we hold them."""
    chains: dict[str, tuple[str, ...]] = {}
    elements: dict[str, dict[str, str]] = {}

    def put(name: str, key: str, value: str = "") -> None:
        elements.setdefault(name, {})[key] = value

    for address in facts.cluster_ips if facts.ports else ():
        put(CLUSTER_IPS, address)
    for port in facts.ports:
        chain = _name_chain("svc", facts.namespace, facts.name, port.name or str(port.port), port.protocol)
        balanced = HostPort(port.protocol, port.port)
        node = HostPort(port.protocol, port.node_port)
        open_ports = [
            p
            for p in (balanced if facts.load_balanced else None, node if port.node_port else None)
            if p in granted
        ]
        if not port.backends:
            for address in facts.cluster_ips + facts.external_ips:
                put(REFUSED_ADDRESS_PORTS, f"{port.protocol} . {address} . {port.port}", "goto refuse")
            for host_port in open_ports:
                put(REFUSED_HOST_PORTS, f"{host_port.protocol} . {host_port.port}", "goto refuse")
            continue
        chains[chain] = (_render_translation(port, sticky=facts.sticky),)
        for backend in port.backends:
            put(HAIRPIN, f"{backend.address} . {backend.address}")
        for address in facts.cluster_ips:
            put(CLUSTER_PORTS, f"{port.protocol} . {address} . {port.port}", f"goto {chain}")
        outside = chain
        if facts.source_ranges and facts.load_balanced:
            outside = _name_chain(
                "ext", facts.namespace, facts.name, port.name or str(port.port), port.protocol
            )
            chains[outside] = _render_guard(facts.source_ranges, chain)
        for address in facts.external_ips:
            put(ADDRESS_PORTS, f"{port.protocol} . {address} . {port.port}", f"goto {outside}")
        for host_port in open_ports:
            target = outside if host_port == balanced else chain
            put(HOST_PORTS, f"{host_port.protocol} . {host_port.port}", f"goto {target}")
    return Fragment(chains, elements)


def render_published(published: PublishedPort) -> Fragment:
    """Return the rules of one published port."""
    port = published.host_port
    chain = _name_chain("pub", published.key, str(port.port), port.protocol)
    backend = Backend(published.target_ip, published.target_port)
    facts = PortFacts("", port.protocol, port.port, 0, (backend,))
    place = (
        {HOST_PORTS: {f"{port.protocol} . {port.port}": f"goto {chain}"}}
        if port.address == ANY_ADDRESS
        else {ADDRESS_PORTS: {f"{port.protocol} . {port.address} . {port.port}": f"goto {chain}"}}
    )
    hairpin = {HAIRPIN: {f"{published.target_ip} . {published.target_ip}": ""}}
    return Fragment({chain: (_render_translation(facts, sticky=False),)}, {**place, **hairpin})


def render_dns(base: BaseFacts) -> Fragment:
    """Return the rules that lead the name server's address to where it listens."""
    if not base.dns_ip or not base.dns_port:
        return NOTHING
    rules = {
        f"dns/{protocol}": (f"meta l4proto {protocol} dnat ip to {base.gateway}:{base.dns_port}",)
        for protocol in ("tcp", "udp")
    }
    keys = {f"{protocol} . {base.dns_ip} . 53": f"goto dns/{protocol}" for protocol in ("tcp", "udp")}
    return Fragment(rules, {CLUSTER_PORTS: keys, CLUSTER_IPS: {base.dns_ip: ""}})


def render_table(base: BaseFacts, fragments: Iterable[Fragment]) -> str:
    """Return the text that replaces the whole table at once; of two fragments that want one key, the first has it."""
    merged = merge_fragments([render_dns(base), *fragments])
    lines = [f"table ip {base.table} {{}}", f"delete table ip {base.table}", f"table ip {base.table} {{"]
    for name, (kind, definition) in _SETS.items():
        lines += [f"  {kind} {name} {{", f"    {definition}"]
        if keys := merged.elements.get(name):
            lines.append(f"    elements = {{ {_render_elements(keys)} }}")
        lines.append("  }")
    for chain, rules in sorted(merged.chains.items()):
        lines += _render_chain(chain, "", rules)
    for chain, (hook, rules) in _render_base_chains(base).items():
        lines += _render_chain(chain, hook, rules)
    lines.append("}")
    return "\n".join(lines) + "\n"


def render_update(table: str, old: Fragment, new: Fragment) -> str:
    """Return the text that leads from one state of some fragments (merged) to another; "" when they are equal."""
    lines: list[str] = []
    for name in _SETS:
        before, after = old.elements.get(name, {}), new.elements.get(name, {})
        gone = [
            key for key, value in before.items() if after.get(key) != value and name not in _NEVER_DELETED
        ]
        if gone:
            lines.append(f"delete element ip {table} {name} {{ {', '.join(sorted(gone))} }}")
    for chain in sorted(old.chains.keys() - new.chains.keys(), key=_outer_chains_first):
        lines += [f"flush chain ip {table} {chain}", f"delete chain ip {table} {chain}"]
    changed = [chain for chain, rules in new.chains.items() if old.chains.get(chain) != rules]
    lines += [f"add chain ip {table} {chain}" for chain in sorted(changed)]
    for chain in sorted(changed):
        lines.append(f"flush chain ip {table} {chain}")
        lines += [f"add rule ip {table} {chain} {rule}" for rule in new.chains[chain]]
    for name in _SETS:
        before, after = old.elements.get(name, {}), new.elements.get(name, {})
        added = {key: value for key, value in after.items() if before.get(key) != value or key not in before}
        if added:
            lines.append(f"add element ip {table} {name} {{ {_render_elements(added)} }}")
    return "".join(f"{line}\n" for line in lines)


def merge_fragments(fragments: Iterable[Fragment]) -> Fragment:
    """Return all fragments as one; of two that want one key or chain, the first has it."""
    chains: dict[str, tuple[str, ...]] = {}
    elements: dict[str, dict[str, str]] = {}
    for fragment in fragments:
        for chain, rules in fragment.chains.items():
            chains.setdefault(chain, rules)
        for name, keys in fragment.elements.items():
            merged = elements.setdefault(name, {})
            for key, value in keys.items():
                merged.setdefault(key, value)
    return Fragment(chains, elements)


def _render_base_chains(base: BaseFacts) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return the chains that the kernel calls, each with its hook."""
    address, port = (
        "meta l4proto . ip daddr . th dport vmap",
        "fib daddr type local meta l4proto . th dport vmap",
    )
    refusals = (
        f"ct state new {address} @{REFUSED_ADDRESS_PORTS}",
        f"ct state new {port} @{REFUSED_HOST_PORTS}",
    )
    strays = (
        f"ip daddr @{CLUSTER_IPS} goto refuse",
        f"ip daddr {base.services_range} reject with icmp type host-unreachable",
    )
    here = f'"{base.bridge}"'
    return {
        "refuse": ("", ("meta l4proto tcp reject with tcp reset", "reject with icmp type port-unreachable")),
        "raw": (
            "type filter hook prerouting priority raw; policy accept;",
            (f"iifname {here} ip daddr 127.0.0.0/8 drop",),
        ),
        "prerouting": (
            "type nat hook prerouting priority dstnat; policy accept;",
            (
                f"iifname {here} {address} @{CLUSTER_PORTS}",
                f"{address} @{ADDRESS_PORTS}",
                f"{port} @{HOST_PORTS}",
            ),
        ),
        "output": (
            "type nat hook output priority -100; policy accept;",
            (f"{address} @{CLUSTER_PORTS}", f"{address} @{ADDRESS_PORTS}", f"{port} @{HOST_PORTS}"),
        ),
        "postrouting": (
            "type nat hook postrouting priority srcnat; policy accept;",
            (
                f"ip saddr . ip daddr @{HAIRPIN} ct status dnat masquerade fully-random",
                f"oifname {here} ip saddr 127.0.0.0/8 masquerade fully-random",
                f"oifname != {here} ip saddr {base.pods_range} ip daddr != {base.pods_range} masquerade fully-random",
            ),
        ),
        "forward": (
            "type filter hook forward priority filter; policy accept;",
            (
                f"iifname {here} ct state invalid drop",  # else a reset from the host ends a connection under load
                f"oifname {here} ct state invalid drop",
                *refusals[:1],
                *(f"iifname {here} {stray}" for stray in strays),
            ),
        ),
        "input": ("type filter hook input priority filter; policy accept;", refusals),
        "host_output": ("type filter hook output priority filter; policy accept;", (*refusals, *strays)),
    }


def _render_translation(port: PortFacts, *, sticky: bool) -> str:
    match, backends = f"meta l4proto {port.protocol} dnat ip to", port.backends
    if len(backends) == 1:
        return f"{match} {backends[0].address}:{backends[0].port}"
    if sticky:
        choice = f"jhash ip saddr mod {AFFINITY_BUCKETS} seed 0x{_digest(port.protocol, str(port.port))[:8]}"
        targets: Sequence[Backend] = assign_buckets(backends)
    else:
        choice, targets = f"numgen inc mod {len(backends)}", backends
    pairs = ", ".join(f"{number} : {target.address} . {target.port}" for number, target in enumerate(targets))
    return f"{match} {choice} map {{ {pairs} }}"


@lru_cache(maxsize=1024)
def assign_buckets(backends: tuple[Backend, ...]) -> tuple[Backend, ...]:
    """Return the backend of each bucket, by the highest digest of the pair."""
    return tuple(_choose_for_bucket(bucket, backends) for bucket in range(AFFINITY_BUCKETS))


def _choose_for_bucket(bucket: int, backends: tuple[Backend, ...]) -> Backend:
    return max(backends, key=lambda backend: _digest(str(bucket), backend.address, str(backend.port)))


def _render_guard(ranges: Sequence[str], chain: str) -> tuple[str, ...]:
    return (
        f"fib saddr type local goto {chain}",
        *(f"ip saddr {network} goto {chain}" for network in ranges),
        "drop",
    )


def _render_chain(name: str, hook: str, rules: Iterable[str]) -> list[str]:
    head = [f"    {hook}"] if hook else []
    return [f"  chain {name} {{", *head, *(f"    {rule}" for rule in rules), "  }"]


def _render_elements(keys: Mapping[str, str]) -> str:
    return ", ".join(f"{key} : {value}" if value else key for key, value in sorted(keys.items()))


def _name_chain(kind: str, *parts: str) -> str:
    """Return a chain's name: short and unique first, then readable. Example: "svc-1f0c9a77b2/default/web/http/tcp"."""
    readable = "".join(c if c.isalnum() or c in "/-_." else "_" for c in "/".join(parts))
    return f"{kind}-{_digest(*parts)[:10]}/{readable}"[:_CHAIN_NAME_BYTES]


def _outer_chains_first(chain: str) -> tuple[bool, str]:
    return not chain.startswith("ext-"), chain


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
