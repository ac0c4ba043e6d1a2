"""Packets in, packets out, with a resolver of the test's own behind it."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import dnslib
import pytest
from dnslib import QTYPE, RCODE, RR, DNSRecord

from pinnace.kube.kinds import ENDPOINT_SLICE, NAMESPACE, SERVICE, Kind
from pinnace.network.dns import Dns
from pinnace.network.dns.resolvers import HostResolvers, parse_resolv_conf
from tests.unit.network.builders import endpoint, service, slice_of


class FakeApi:
    def __init__(self, services: tuple[Any, ...], slices: tuple[Any, ...] = ()) -> None:
        self._lists = {SERVICE.resource: services, ENDPOINT_SLICE.resource: slices}

    def find(self, kind: Kind[Any], namespace: str, name: str) -> Any:
        if kind is NAMESPACE:
            return "there" if name == "default" else None
        return next((item for item in self._lists[kind.resource] if item.metadata.name == name), None)

    def list(self, kind: Kind[Any], namespace: str | None = None, *, labels: Any = None) -> tuple[Any, ...]:
        return tuple(
            item for item in self._lists[kind.resource] if labels is None or labels(item.metadata.labels)
        )


class Upstream(asyncio.DatagramProtocol):
    """Answers every question with 192.0.2.77, or with "ask by TCP", or not at all."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.silent = False
        self.short = False

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, peer: Any) -> None:
        if not self.silent:
            self.transport.sendto(self.answer(data, truncated=self.short), peer)

    def answer(self, data: bytes, *, truncated: bool = False) -> bytes:
        query = DNSRecord.parse(data)
        self.asked.append(str(query.q.qname))
        reply = query.reply()
        if truncated:
            reply.header.tc = 1
        else:
            reply.add_answer(RR(query.q.qname, QTYPE.A, ttl=60, rdata=dnslib.A("192.0.2.77")))
        return bytes(reply.pack())

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        (length,) = struct.unpack("!H", await reader.readexactly(2))
        found = self.answer(await reader.readexactly(length))
        writer.write(struct.pack("!H", len(found)) + found)
        writer.close()


@asynccontextmanager
async def running(
    tmp_path: Path, *services: Any, slices: tuple[Any, ...] = ()
) -> AsyncIterator[tuple[Dns, int, Upstream]]:
    upstream = Upstream()
    tcp = await asyncio.start_server(upstream.serve, "127.0.0.1", 0)
    port = tcp.sockets[0].getsockname()[1]
    udp, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: upstream, local_addr=("127.0.0.1", port)
    )
    conf = tmp_path / "resolv.conf"
    conf.write_text("nameserver 127.0.0.1\n")
    ranges = (IPv4Network("10.96.0.0/16"),)
    dns = Dns(FakeApi(services, slices), ranges=ranges, resolv_conf=conf, upstream_port=port)  # type: ignore[arg-type]
    dns_port = await dns.start("127.0.0.2")
    try:
        yield dns, dns_port, upstream
    finally:
        await dns.close()
        udp.close()
        tcp.close()


class _Client(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, _: Any) -> None:
        self.answer.set_result(data)


async def ask(port: int, packet: bytes) -> DNSRecord:
    client = _Client()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: client, remote_addr=("127.0.0.2", port))
    transport.sendto(packet)
    try:
        return DNSRecord.parse(await asyncio.wait_for(client.answer, 5))
    finally:
        transport.close()


async def ask_by_tcp(port: int, packet: bytes) -> DNSRecord:
    reader, writer = await asyncio.open_connection("127.0.0.2", port)
    writer.write(struct.pack("!H", len(packet)) + packet)
    (length,) = struct.unpack("!H", await reader.readexactly(2))
    data = await reader.readexactly(length)
    writer.close()
    return DNSRecord.parse(data)


def question(name: str, type: str = "A") -> bytes:
    return bytes(DNSRecord.question(name, type).pack())


WEB = "web.default.svc.cluster.local"


async def test_service_name_is_answered_by_udp_and_tcp(tmp_path: Path) -> None:
    async with running(tmp_path, service("web", "10.96.0.5")) as (_, port, upstream):
        for found in (await ask(port, question(WEB)), await ask_by_tcp(port, question(WEB))):
            assert [str(rr.rdata) for rr in found.rr] == ["10.96.0.5"]
            assert (found.header.aa, found.header.ra, found.header.rcode) == (1, 1, RCODE.NOERROR)
        assert upstream.asked == []


async def test_two_kinds_of_no_both_carry_the_zones_soa(tmp_path: Path) -> None:
    async with running(tmp_path, service("web", "10.96.0.5")) as (_, port, _u):
        missing, typeless = await ask(port, question("no." + WEB)), await ask(port, question(WEB, "AAAA"))
        assert (missing.header.rcode, typeless.header.rcode) == (RCODE.NXDOMAIN, RCODE.NOERROR)
        assert [QTYPE[rr.rtype] for found in (missing, typeless) for rr in found.auth] == ["SOA", "SOA"]


async def test_everything_else_goes_to_the_hosts_resolver_as_it_is(tmp_path: Path) -> None:
    async with running(tmp_path) as (_, port, upstream):
        packet = question("example.com")
        found = await ask(port, packet)
        assert found.header.id == DNSRecord.parse(packet).header.id
        assert [str(rr.rdata) for rr in found.rr] == ["192.0.2.77"]
        assert [str(rr.rdata) for rr in (await ask_by_tcp(port, packet)).rr] == ["192.0.2.77"]
        assert upstream.asked == ["example.com.", "example.com."]


async def test_resolvers_short_answer_is_passed_on_so_that_the_client_asks_by_tcp(tmp_path: Path) -> None:
    async with running(tmp_path) as (_, port, upstream):
        upstream.short = True
        assert (await ask(port, question("example.com"))).header.tc == 1


async def test_without_resolvers_the_client_is_told_at_once(tmp_path: Path) -> None:
    async with running(tmp_path) as (_, port, _u):
        (tmp_path / "resolv.conf").write_text("# nobody\n")
        assert (await ask(port, question("example.com"))).header.rcode == RCODE.SERVFAIL


async def test_silent_resolver_is_given_up(tmp_path: Path) -> None:
    async with running(tmp_path) as (_, port, upstream):
        upstream.silent = True
        assert (await ask(port, question("example.com"))).header.rcode == RCODE.SERVFAIL


async def test_external_name_comes_with_the_addresses_it_leads_to(tmp_path: Path) -> None:
    outside = service("out", "", type="ExternalName", external_name="db.example.com")
    async with running(tmp_path, outside) as (_, port, upstream):
        found = await ask(port, question("out.default.svc.cluster.local"))
        assert [str(rr.rdata) for rr in found.rr] == ["db.example.com.", "192.0.2.77"]
        assert upstream.asked == ["db.example.com."]


async def test_large_answer_is_cut_for_datagrams_and_whole_by_tcp(tmp_path: Path) -> None:
    many = slice_of(*(endpoint(f"10.244.1.{last}") for last in range(1, 101)))
    async with running(tmp_path, service("web", "None"), slices=(many,)) as (_, port, _u):
        cut = await ask(port, question(WEB))
        assert (cut.header.tc, len(cut.rr)) == (1, 0)
        assert len((await ask_by_tcp(port, question(WEB))).rr) == 100


async def test_client_that_takes_larger_datagrams_gets_them(tmp_path: Path) -> None:
    many = slice_of(*(endpoint(f"10.244.1.{last}") for last in range(1, 41)))
    async with running(tmp_path, service("web", "None"), slices=(many,)) as (_, port, _u):
        query = DNSRecord.question(WEB)
        query.add_ar(dnslib.EDNS0(udp_len=4096))
        found = await ask(port, bytes(query.pack()))
        assert (found.header.tc, len(found.rr)) == (0, 40)
        assert [rr.rtype for rr in found.ar] == [QTYPE.OPT]


async def test_addresses_of_a_headless_service_take_turns_at_the_front(tmp_path: Path) -> None:
    pods = slice_of(*(endpoint(f"10.244.1.{last}") for last in (1, 2, 3)))
    async with running(tmp_path, service("web", "None"), slices=(pods,)) as (_, port, _u):
        firsts = {str((await ask(port, question(WEB))).rr[0].rdata) for _ in range(3)}
        assert firsts == {"10.244.1.1", "10.244.1.2", "10.244.1.3"}


@pytest.mark.parametrize("junk", [b"", b"\0", b"hello, is this the web server?", b"\xff" * 40])
async def test_junk_gets_no_answer_and_harms_nobody(tmp_path: Path, junk: bytes) -> None:
    async with running(tmp_path, service("web", "10.96.0.5")) as (dns, port, _u):
        assert await dns.answer_packet(junk, by_tcp=False) is None
        dns.receive(junk, ("127.0.0.1", 9))
        assert len((await ask(port, question(WEB))).rr) == 1


def test_resolv_conf_is_read_as_the_manual_page_says() -> None:
    text = "search lan\nnameserver 192.0.2.1 # home\n;nameserver 192.0.2.9\nnameserver fe80::1%eth0\nnameserver bad\n"
    text += "nameserver 10.96.0.10\nnameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\n"
    assert parse_resolv_conf(text, without=["10.96.0.10"]) == ("192.0.2.1", "fe80::1%eth0", "192.0.2.2")


def test_changed_file_counts_at_the_next_question(tmp_path: Path) -> None:
    conf = tmp_path / "resolv.conf"
    resolvers = HostResolvers(conf)
    assert resolvers.list_servers() == ()
    conf.write_text("nameserver 192.0.2.1\n")
    assert resolvers.list_servers() == ("192.0.2.1",)
    conf.write_text("nameserver 192.0.2.22\n")
    assert resolvers.list_servers() == ("192.0.2.22",)
