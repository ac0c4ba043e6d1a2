"""Listens on the bridge for questions, by UDP and TCP, and sends answers.

Called by `daemon`, which also tells the rules where it listens. Each question that must be forwarded is a task of its
own; those about our zone are answered at once. It keeps nothing, so a restart loses nothing.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import struct
from contextlib import suppress
from ipaddress import IPv4Network
from pathlib import Path

from pinnace.api.facade import Api
from pinnace.base.errors import HostError
from pinnace.base.tasks import Tasks
from pinnace.network.dns.answer import FORWARD, Answer, DnsRecord, Outcome, Question, answer
from pinnace.network.dns.forward import Forwarder
from pinnace.network.dns.records import ApiFacts
from pinnace.network.dns.resolvers import RESOLV_CONF, HostResolvers
from pinnace.network.dns.wire import (
    Query,
    parse_query,
    read_answers,
    render_answer,
    render_failure,
    render_query,
    truncate,
)

log = logging.getLogger("pinnace.network")

CLUSTER_DOMAIN = "cluster.local"
_MOST_FORWARDED = 512  # at once; more are told to come again
_MOST_CONNECTIONS = 128
_CONNECTION_IDLE_S = 10.0
_PORT_TRIES = 20


class Dns:
    """The name server of one instance."""

    def __init__(
        self,
        api: Api,
        *,
        zone: str = CLUSTER_DOMAIN,
        service_ip: str = "10.96.0.10",
        ranges: tuple[IPv4Network, ...] = (),
        resolv_conf: Path = RESOLV_CONF,
        upstream_port: int = 53,
    ) -> None:
        self._facts = ApiFacts(api, zone, ranges, {service_ip: f"kube-dns.kube-system.svc.{zone}"})
        self._zone = zone
        self._service_ip = service_ip
        self._resolv_conf = resolv_conf
        self._upstream_port = upstream_port
        self._tasks = Tasks("dns")
        self._forwarder: Forwarder | None = None
        self._udp: asyncio.DatagramTransport | None = None
        self._tcp: asyncio.Server | None = None
        self._connections: set[asyncio.StreamWriter] = set()
        self._turn = 0

    async def start(self, address: str, port: int = 0) -> int:
        """Listen on an address; return the port, the same one for UDP and TCP. Raises: HostError."""
        without = (address, self._service_ip)
        resolvers = HostResolvers(self._resolv_conf, without=without)
        self._forwarder = Forwarder(resolvers.list_servers, port=self._upstream_port)
        for _ in range(_PORT_TRIES):
            try:
                return await self._listen(address, port)
            except OSError as error:
                if error.errno != errno.EADDRINUSE or port:
                    raise HostError(
                        f"DNS can't listen on {address}:{port}: {error.strerror}", errno=error.errno
                    ) from error
        raise HostError(f"DNS found no port of {address} that is free for UDP and TCP")

    async def close(self) -> None:
        """Stop listening and drop the questions that are under way."""
        if self._udp is not None:
            self._udp.close()
        if self._tcp is not None:
            self._tcp.close()
        for writer in list(self._connections):
            writer.transport.abort()
        await self._tasks.close()
        if self._tcp is not None:
            await self._tcp.wait_closed()
        self._udp = self._tcp = None

    async def answer_packet(self, data: bytes, *, by_tcp: bool) -> bytes | None:
        """Return the answer to a packet; None for one that deserves none."""
        query = parse_query(data)
        if query is None:
            return None
        decided = answer(query.question, self._facts)
        if decided is FORWARD:
            return await self._forward(query, data, by_tcp=by_tcp)
        return await self._answer_ours(query, decided, by_tcp=by_tcp)

    async def _listen(self, address: str, port: int) -> int:
        loop = asyncio.get_running_loop()
        tcp = await asyncio.start_server(self._serve_connection, address, port)
        chosen: int = tcp.sockets[0].getsockname()[1]
        try:
            udp, _ = await loop.create_datagram_endpoint(
                lambda: _Datagrams(self), local_addr=(address, chosen)
            )
        except OSError:
            tcp.close()
            raise
        self._tcp, self._udp = tcp, udp
        return chosen

    def receive(self, data: bytes, peer: tuple[str, int]) -> None:
        """Take a datagram: answer it at once if it is about us, else in a task."""
        query = parse_query(data)
        if query is None:
            return
        decided = answer(query.question, self._facts)
        if decided.outcome is not Outcome.FORWARD and not _find_alias(query.question, decided):
            self._send(truncate(query, self._render(query, decided)), peer)
        elif len(self._tasks) < _MOST_FORWARDED:
            self._tasks.spawn(self._answer_later(query, decided, data, peer), "forward")
        else:
            self._send(render_failure(query), peer)

    async def _answer_later(self, query: Query, decided: Answer, data: bytes, peer: tuple[str, int]) -> None:
        if decided.outcome is Outcome.FORWARD:
            self._send(await self._forward(query, data, by_tcp=False), peer)
        else:
            self._send(truncate(query, await self._answer_ours(query, decided, by_tcp=False)), peer)

    async def _answer_ours(self, query: Query, decided: Answer, *, by_tcp: bool) -> bytes:
        alias = _find_alias(query.question, decided)
        if alias is None:
            return self._render(query, decided)
        # Stub resolvers don't follow an alias themselves, so the answer has what it leads to.
        packet = render_query(alias.value, query.question.type)
        found = await self.answer_packet(packet, by_tcp=by_tcp)
        return render_answer(query, decided, self._zone, appended=read_answers(found or b""))

    def _render(self, query: Query, decided: Answer) -> bytes:
        self._turn += 1
        return render_answer(query, decided, self._zone, turn=self._turn)

    async def _forward(self, query: Query, data: bytes, *, by_tcp: bool) -> bytes:
        assert self._forwarder is not None
        found = await self._forwarder.ask(data, by_tcp=by_tcp)
        return render_failure(query) if found is None else found

    def _send(self, data: bytes, peer: tuple[str, int]) -> None:
        if self._udp is not None and not self._udp.is_closing():
            self._udp.sendto(data, peer)

    async def _serve_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._connections) >= _MOST_CONNECTIONS:
            writer.transport.abort()
            return
        self._connections.add(writer)
        try:
            with suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
                await self._answer_connection(reader, writer)
        finally:
            self._connections.discard(writer)
            writer.close()

    async def _answer_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            async with asyncio.timeout(_CONNECTION_IDLE_S):
                (length,) = struct.unpack("!H", await reader.readexactly(2))
                data = await reader.readexactly(length)
            found = await self.answer_packet(data, by_tcp=True)
            if found is None:
                return
            writer.write(struct.pack("!H", len(found)) + found)
            await writer.drain()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, dns: Dns) -> None:
        self._dns = dns

    def datagram_received(self, data: bytes, peer: tuple[str, int]) -> None:
        self._dns.receive(data, peer)

    def error_received(self, error: Exception) -> None:
        log.debug("a DNS answer could not be delivered: %s", error)


def _find_alias(question: Question, decided: Answer) -> DnsRecord | None:
    if question.type not in ("A", "AAAA"):
        return None
    return next((record for record in decided.records if record.type == "CNAME"), None)
