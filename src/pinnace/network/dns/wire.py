"""Turns packets into questions and answers into packets. Called by `server`; decides nothing about names.

Source: RFC 1035, RFC 2308 (the SOA that comes with a "no"), RFC 6891 (how large an answer may be).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import dnslib
from dnslib import QTYPE, RCODE, RR, DNSRecord

from pinnace.network.dns.answer import TTL_S, Answer, DnsRecord, Outcome, Question

PLAIN_UDP_BYTES = 512
MOST_UDP_BYTES = 1232  # Source: DNS Flag Day 2020
_OPCODE_QUERY = 0


@dataclass(frozen=True, slots=True)
class Query:
    """A packet that asks one question. `most_bytes` is what its sender takes in a datagram."""

    packet: DNSRecord
    question: Question
    most_bytes: int


def parse_query(data: bytes) -> Query | None:
    """Return the question of a packet; None for what is no packet, an answer, or something else than a query."""
    try:
        packet = DNSRecord.parse(data)
    except (dnslib.DNSError, ValueError, IndexError):
        return None
    if packet.header.qr or packet.header.opcode != _OPCODE_QUERY or len(packet.questions) != 1:
        return None
    sizes = [int(rr.rclass) for rr in packet.ar if rr.rtype == QTYPE.OPT]
    most = min(max(sizes[0], PLAIN_UDP_BYTES), MOST_UDP_BYTES) if sizes else PLAIN_UDP_BYTES
    asked = packet.q
    return Query(packet, Question(str(asked.qname).rstrip("."), QTYPE.get(asked.qtype)), most)


def render_answer(
    query: Query, answer: Answer, zone: str, *, turn: int = 0, appended: Iterable[RR] = ()
) -> bytes:
    """Return the packet of an answer; its addresses start with another one each `turn`."""
    reply = _start_reply(query)
    reply.header.aa = 1
    shift = turn % len(answer.records) if answer.records else 0
    for record in answer.records[shift:] + answer.records[:shift]:
        reply.add_answer(_render_record(record))
    for rr in appended:
        reply.add_answer(rr)
    for record in answer.extra:
        reply.add_ar(_render_record(record))
    if answer.outcome is Outcome.NO_NAME:
        reply.header.rcode = RCODE.NXDOMAIN
    if answer.outcome in (Outcome.NO_NAME, Outcome.NO_DATA):
        reply.add_auth(_render_soa(zone))
    return bytes(reply.pack())


def render_failure(query: Query) -> bytes:
    """Return the packet that says that the answer could not be found out."""
    reply = _start_reply(query)
    reply.header.rcode = RCODE.SERVFAIL
    return bytes(reply.pack())


def render_query(name: str, type: str) -> bytes:
    """Return a packet that asks a question of ours."""
    return bytes(DNSRecord.question(name, type).pack())


def read_answers(data: bytes) -> tuple[RR, ...]:
    """Return the answer section of a packet; nothing of a broken one."""
    try:
        return tuple(DNSRecord.parse(data).rr)
    except (dnslib.DNSError, ValueError, IndexError):
        return ()


def truncate(query: Query, data: bytes) -> bytes:
    """Return an answer as it fits into a datagram: itself, or a short one that says "ask by TCP"."""
    if len(data) <= query.most_bytes:
        return data
    reply = _start_reply(query)
    reply.header.tc = 1
    return bytes(reply.pack())


def _start_reply(query: Query) -> DNSRecord:
    reply = query.packet.reply(ra=1, aa=0)
    if any(rr.rtype == QTYPE.OPT for rr in query.packet.ar):
        reply.add_ar(dnslib.EDNS0(udp_len=MOST_UDP_BYTES))
    return reply


def _render_record(record: DnsRecord) -> RR:
    return RR(record.name, getattr(QTYPE, record.type), ttl=TTL_S, rdata=_render_value(record))


def _render_value(record: DnsRecord) -> dnslib.RD:
    match record.type:
        case "A":
            return dnslib.A(record.value)
        case "SRV":
            port, _, target = record.value.partition(" ")
            return dnslib.SRV(0, 100, int(port), target)
        case "CNAME":
            return dnslib.CNAME(record.value)
        case "PTR":
            return dnslib.PTR(record.value)
    return dnslib.TXT(record.value)


def _render_soa(zone: str) -> RR:
    times = (1, 7200, 1800, 86400, TTL_S)  # serial, refresh, retry, expire, and how long a "no" may be kept
    return RR(zone, QTYPE.SOA, ttl=TTL_S, rdata=dnslib.SOA(f"ns.dns.{zone}", f"hostmaster.{zone}", times))
