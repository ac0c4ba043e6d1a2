"""Decides the answer to one question: records, "no such name", "no such record", or "ask the host's resolvers".

Pure: called by `server`. Names are compared without regard to case.
Invariant: a question in our zone, or about an address of ours, is never forwarded.

Source: Kubernetes DNS-Based Service Discovery specification 1.1.0; RFC 2308 for the two kinds of "no".
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address

from pinnace.network.dns.records import DnsFacts, EndpointName, NamedPort, ServiceNames

TTL_S = 5  # Source: CoreDNS, plugin/kubernetes, default ttl
SCHEMA_VERSION = "1.1.0"
_REVERSE = "in-addr.arpa"


class Outcome(Enum):
    """What becomes of a question."""

    RECORDS = "records"
    NO_DATA = "no data"  # the name exists, the type doesn't
    NO_NAME = "no name"
    FORWARD = "forward"


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: a name without a dot at its end, and a type such as "A"."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class DnsRecord:
    """One record. Shape: `value` is an address, a name or a text; for SRV "PORT TARGET"."""

    name: str
    type: str
    value: str


@dataclass(frozen=True, slots=True)
class Answer:
    """The outcome with its records; `extra` are the addresses of what SRV records name."""

    outcome: Outcome
    records: tuple[DnsRecord, ...] = ()
    extra: tuple[DnsRecord, ...] = ()


FORWARD, NO_DATA, NO_NAME = Answer(Outcome.FORWARD), Answer(Outcome.NO_DATA), Answer(Outcome.NO_NAME)


def answer(question: Question, facts: DnsFacts) -> Answer:
    """Return the answer to a question.

    Example: "web.default.svc.cluster.local" A gives the Service's cluster IP, or each ready pod of a headless one.
    """
    labels = question.name.lower().split(".")
    zone = facts.zone.lower().split(".")
    if labels[-len(zone) :] == zone:
        return _answer_in_zone(question, labels[: -len(zone)], facts)
    if question.name.lower().endswith(f".{_REVERSE}"):
        return _answer_reverse(question, labels[:-2], facts)
    return FORWARD


def _answer_in_zone(question: Question, labels: list[str], facts: DnsFacts) -> Answer:
    match labels:
        case [] | ["svc"] | ["pod"]:
            return NO_DATA
        case ["dns-version"]:
            return _select(question, [DnsRecord(question.name, "TXT", SCHEMA_VERSION)])
        case [namespace, "svc" | "pod"]:
            return NO_DATA if facts.has_namespace(namespace) else NO_NAME
        case [dashed, namespace, "pod"]:
            return _answer_pod(question, dashed, namespace, facts)
        case [*below, name, namespace, "svc"]:
            service = facts.find_service(namespace, name)
            return NO_NAME if service is None else _answer_service(question, below, service, facts.zone)
    return NO_NAME


def _answer_service(question: Question, below: list[str], service: ServiceNames, zone: str) -> Answer:
    match below:
        case []:
            return _answer_own_name(question, service, zone)
        case [port, protocol] if port.startswith("_") and protocol.startswith("_"):
            return _answer_port(question, port[1:], protocol[1:], service, zone)
        case [hostname]:
            records = [
                DnsRecord(question.name, "A", e.address)
                for e in service.endpoints
                if e.hostname.lower() == hostname
            ]
            return _select(question, records) if records else NO_NAME
    return NO_NAME


def _answer_own_name(question: Question, service: ServiceNames, zone: str) -> Answer:
    if service.external_name:
        return Answer(Outcome.RECORDS, (DnsRecord(question.name, "CNAME", service.external_name),))
    addresses = service.addresses or tuple(endpoint.address for endpoint in service.endpoints)
    if not addresses:  # a headless Service without ready pods. Source: the specification, 2.4.1
        return NO_NAME
    records = [DnsRecord(question.name, "A", address) for address in addresses]
    if question.type == "SRV":
        ports = [*service.ports] if service.addresses else []
        records += _render_srv(question.name, ports, service, zone)
    return _select(question, records)


def _answer_port(question: Question, port: str, protocol: str, service: ServiceNames, zone: str) -> Answer:
    if service.addresses:
        ports = [each for each in service.ports if each.name.lower() == port and each.protocol == protocol]
        records = _render_srv(question.name, ports, service, zone)
        extra = [DnsRecord(_name(service, zone), "A", address) for address in service.addresses]
    else:
        pairs = [
            (endpoint, each)
            for endpoint in service.endpoints
            for each in endpoint.ports
            if each.name.lower() == port and each.protocol == protocol
        ]
        records = [
            DnsRecord(question.name, "SRV", f"{each.port} {_below(e, service, zone)}") for e, each in pairs
        ]
        extra = [DnsRecord(_below(endpoint, service, zone), "A", endpoint.address) for endpoint, _ in pairs]
    if not records:
        return NO_NAME
    if question.type not in ("SRV", "ANY"):
        return NO_DATA
    return Answer(Outcome.RECORDS, tuple(records), tuple(extra))


def _render_srv(asked: str, ports: list[NamedPort], service: ServiceNames, zone: str) -> list[DnsRecord]:
    return [DnsRecord(asked, "SRV", f"{port.port} {_name(service, zone)}") for port in ports]


def _answer_pod(question: Question, dashed: str, namespace: str, facts: DnsFacts) -> Answer:
    """Answer `10-244-0-5.NAMESPACE.pod`: the name says the address. Source: the specification, 2.3.1."""
    try:
        address = IPv4Address(dashed.replace("-", "."))
    except ValueError:
        return NO_NAME
    if not facts.has_namespace(namespace) or not any(address in network for network in facts.ranges):
        return NO_NAME
    return _select(question, [DnsRecord(question.name, "A", str(address))])


def _answer_reverse(question: Question, labels: list[str], facts: DnsFacts) -> Answer:
    try:
        address = IPv4Address(".".join(reversed(labels)))
    except ValueError:
        return FORWARD
    if not any(address in network for network in facts.ranges):
        return FORWARD
    name = facts.find_name_of(str(address))
    return _select(question, [DnsRecord(question.name, "PTR", name)]) if name else NO_NAME


def _select(question: Question, records: list[DnsRecord]) -> Answer:
    """Keep the records of the asked type; the name exists in any case."""
    wanted = tuple(record for record in records if question.type in (record.type, "ANY"))
    return Answer(Outcome.RECORDS, wanted) if wanted else NO_DATA


def _name(service: ServiceNames, zone: str) -> str:
    return f"{service.name}.{service.namespace}.svc.{zone}"


def _below(endpoint: EndpointName, service: ServiceNames, zone: str) -> str:
    return f"{endpoint.hostname}.{_name(service, zone)}"
