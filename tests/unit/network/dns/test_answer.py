"""Answers by the Kubernetes DNS specification 1.1.0; each row quotes its section."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Network

import pytest

from pinnace.kube.objects.core_v1 import ServicePort
from pinnace.network.dns.answer import FORWARD, NO_DATA, NO_NAME, Answer, DnsRecord, Outcome, Question, answer
from pinnace.network.dns.records import ServiceNames, compute_service_names
from tests.unit.network.builders import endpoint, service, slice_of

ZONE = "cluster.local"


@dataclass
class Facts:
    services: dict[tuple[str, str], ServiceNames] = field(default_factory=dict)
    zone: str = ZONE
    ranges: tuple[IPv4Network, ...] = (IPv4Network("10.96.0.0/16"), IPv4Network("10.244.0.0/20"))

    def find_service(self, namespace: str, name: str) -> ServiceNames | None:
        return self.services.get((namespace, name))

    def has_namespace(self, name: str) -> bool:
        return name == "default"

    def find_name_of(self, address: str) -> str:
        return "web.default.svc.cluster.local" if address == "10.96.0.5" else ""


WEB = compute_service_names(service("web", "10.96.0.5"), [])
DB = compute_service_names(
    service("db", "None", ServicePort(name="sql", port=5432)),
    [
        slice_of(
            endpoint("10.244.0.8", hostname="db-0"),
            endpoint("10.244.0.9", hostname="db-1"),
            endpoint("10.244.0.10", ready=False, hostname="db-2"),
            port=5432,
            name="sql",
        ),
        slice_of(endpoint("10.244.0.20"), port=5432, name="sql"),
    ],
)
EMPTY = compute_service_names(service("empty", "None"), [])
OUTSIDE = compute_service_names(
    service("outside", "", type="ExternalName", external_name="db.example.com."), []
)
FACTS = Facts({("default", one.name): one for one in (WEB, DB, EMPTY, OUTSIDE)})


def records(*found: DnsRecord, extra: tuple[DnsRecord, ...] = ()) -> Answer:
    return Answer(Outcome.RECORDS, found, extra)


def a(name: str, *addresses: str) -> Answer:
    return records(*(DnsRecord(name, "A", address) for address in addresses))


W, D = "web.default.svc.cluster.local", "db.default.svc.cluster.local"


@pytest.mark.parametrize(
    ("name", "type", "expected"),
    [
        (W, "A", a(W, "10.96.0.5")),  # 2.3.1
        (W.upper(), "A", a(W.upper(), "10.96.0.5")),
        (W, "AAAA", NO_DATA),
        (W, "SRV", records(DnsRecord(W, "SRV", f"80 {W}"))),
        (D, "A", a(D, "10.244.0.8", "10.244.0.9", "10.244.0.20")),  # 2.4.1
        (f"db-0.{D}", "A", a(f"db-0.{D}", "10.244.0.8")),
        (f"db-0.{D}", "AAAA", NO_DATA),
        (f"db-2.{D}", "A", NO_NAME),  # not ready
        (f"10-244-0-20.{D}", "A", a(f"10-244-0-20.{D}", "10.244.0.20")),
        ("empty.default.svc.cluster.local", "A", NO_NAME),  # 2.4.1: headless, nothing ready
        ("none.default.svc.cluster.local", "A", NO_NAME),
        ("web.other.svc.cluster.local", "A", NO_NAME),
        (f"deep.er.{W}", "A", NO_NAME),
        (
            f"_http._tcp.{W}",  # 2.3.2
            "SRV",
            records(DnsRecord(f"_http._tcp.{W}", "SRV", f"80 {W}"), extra=(DnsRecord(W, "A", "10.96.0.5"),)),
        ),
        (f"_http._tcp.{W}", "A", NO_DATA),
        (f"_http._udp.{W}", "SRV", NO_NAME),
        (
            f"_sql._tcp.{D}",  # 2.4.2
            "SRV",
            records(
                DnsRecord(f"_sql._tcp.{D}", "SRV", f"5432 db-0.{D}"),
                DnsRecord(f"_sql._tcp.{D}", "SRV", f"5432 db-1.{D}"),
                DnsRecord(f"_sql._tcp.{D}", "SRV", f"5432 10-244-0-20.{D}"),
                extra=(
                    DnsRecord(f"db-0.{D}", "A", "10.244.0.8"),
                    DnsRecord(f"db-1.{D}", "A", "10.244.0.9"),
                    DnsRecord(f"10-244-0-20.{D}", "A", "10.244.0.20"),
                ),
            ),
        ),
        (
            "outside.default.svc.cluster.local",  # 2.5
            "A",
            records(DnsRecord("outside.default.svc.cluster.local", "CNAME", "db.example.com")),
        ),
        ("5.0.96.10.in-addr.arpa", "PTR", records(DnsRecord("5.0.96.10.in-addr.arpa", "PTR", W))),  # 2.3.3
        ("6.0.96.10.in-addr.arpa", "PTR", NO_NAME),
        ("8.8.8.8.in-addr.arpa", "PTR", FORWARD),
        (
            "dns-version.cluster.local",
            "TXT",
            records(DnsRecord("dns-version.cluster.local", "TXT", "1.1.0")),
        ),  # 2.2
        ("dns-version.cluster.local", "A", NO_DATA),
        (
            "10-244-0-8.default.pod.cluster.local",
            "A",
            a("10-244-0-8.default.pod.cluster.local", "10.244.0.8"),
        ),
        ("10-244-0-8.other.pod.cluster.local", "A", NO_NAME),
        ("8-8-8-8.default.pod.cluster.local", "A", NO_NAME),
        ("cluster.local", "A", NO_DATA),
        ("svc.cluster.local", "A", NO_DATA),
        ("default.svc.cluster.local", "A", NO_DATA),
        ("other.svc.cluster.local", "A", NO_NAME),
        ("example.com", "A", FORWARD),
        ("example.com.default.svc.cluster.local", "A", NO_NAME),  # a search path's first try
        ("notcluster.local", "A", FORWARD),
        ("web", "A", FORWARD),
    ],
)
def test_answer(name: str, type: str, expected: Answer) -> None:
    assert answer(Question(name, type), FACTS) == expected
