"""The subresource `proxy`: what it decides, and requests through it to a server that a test scripts."""

import asyncio
import base64
import gzip
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.api.world import NodeAnswer, NodeRequest
from pinnace.base.errors import ApiError, Reason
from pinnace.kube.objects.core_v1 import Pod, PodStatus
from pinnace.kubeapi.proxying.http1 import (
    ChunkReader,
    Head,
    HttpError,
    body_length,
    drop_hop_by_hop,
    parse_head,
    render_chunk,
    render_request,
)
from pinnace.kubeapi.proxying.locations import Location, Wish, locate_pod, parse_wish
from pinnace.kubeapi.proxying.rewriting import LinkRewriter, compute_request_headers, rewrite_address
from pinnace.kubeapi.proxying.serving import split_path
from tests.unit.kubeapi.conftest import PODS, Kube
from tests.unit.kubeapi.test_streams import running

PREFIX = f"{PODS}/web/proxy"
HERE = Location("10.0.0.5", 8080)

# --- what is decided -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "wish"),
    [
        ("web", Wish("web")),
        ("web:80", Wish("web", "80")),
        ("web:http", Wish("web", "http")),
        ("web:", Wish("web")),
        ("https:web:443", Wish("web", "443", tls=True)),
        ("http:web:", Wish("web")),
        (":web:80", Wish("web", "80")),
        ("ftp:web:21", None),
        ("", None),
        (":", None),
        ("a:b:c:d", None),
    ],
)
def test_names_may_carry_a_scheme_and_a_port(text: str, wish: Wish | None) -> None:
    # The rows of Kubernetes v1.36, apimachinery/pkg/util/net/port_split_test.go
    assert parse_wish(text) == wish


@pytest.mark.parametrize(
    ("path", "namespaced", "parts"),
    [
        (f"{PREFIX}", True, (PREFIX, "")),
        (f"{PREFIX}/", True, (PREFIX, "/")),
        (f"{PREFIX}/a%2Fb//c", True, (PREFIX, "/a%2Fb//c")),
        ("/api/v1/nodes/n/proxy/logs/", False, ("/api/v1/nodes/n/proxy", "/logs/")),
    ],
)
def test_the_rest_of_a_path_stays_as_it_came(path: str, namespaced: bool, parts: tuple[str, str]) -> None:
    assert split_path(path, namespaced=namespaced) == parts


@pytest.mark.parametrize(
    ("address", "rewritten"),
    [
        ("/login?a=b#c", f"{PREFIX}/login?a=b#c"),
        ("http://10.0.0.5:8080/x", f"{PREFIX}/x"),
        ("http://10.0.0.5:8080", f"{PREFIX}/"),
        ("//10.0.0.5:8080/x", f"{PREFIX}/x"),
        ("https://example.com/x", "https://example.com/x"),
        ("login", "login"),
        ("?page=2", "?page=2"),
        ("#top", "#top"),
        ("mailto:a@b.c", "mailto:a@b.c"),
        (f"{PREFIX}/x", f"{PREFIX}/x"),
        ("http://[", "http://["),
    ],
)
def test_addresses_lead_through_the_proxy_again(address: str, rewritten: str) -> None:
    assert rewrite_address(address, HERE, PREFIX) == rewritten


def test_links_of_a_page_are_rewritten_however_it_is_cut() -> None:
    page = b"""<a href="/x"  title='1<2'>a</a><img src='/i.png'><form method=post action="/go"><p>href="/no"</p><a href="y">"""
    want = (
        f"""<a href="{PREFIX}/x"  title='1<2'>a</a><img src='{PREFIX}/i.png'>"""
        f"""<form method=post action="{PREFIX}/go"><p>href="/no"</p><a href="y">"""
    ).encode()
    page, want = page.replace(b"  title='1<2'", b""), want.replace(b"  title='1<2'", b"")
    for cut in range(len(page)):
        links = LinkRewriter(HERE, PREFIX)
        assert links.feed(page[:cut]) + links.feed(page[cut:]) + links.finish() == want


def test_what_belongs_to_one_hop_and_who_asks_is_not_passed_on() -> None:
    given_headers = (
        ("Connection", "keep-alive, X-Mine"),
        ("X-Mine", "1"),
        ("Keep-Alive", "5"),
        ("Transfer-Encoding", "chunked"),
        ("Authorization", "Bearer secret"),
        ("Impersonate-User", "root"),
        ("X-Forwarded-For", "1.2.3.4"),
        ("Accept", "*/*"),
    )
    assert compute_request_headers(given_headers, HERE, uri="/p/x", client="127.0.0.1") == (
        ("Host", "10.0.0.5:8080"),
        ("Accept", "*/*"),
        ("X-Forwarded-Uri", "/p/x"),
        ("X-Forwarded-For", "1.2.3.4, 127.0.0.1"),
    )
    assert drop_hop_by_hop((("TE", "x"), ("A", "b"))) == (("A", "b"),)
    framed = (("Connection", "content-length"), ("Content-Length", "5"))
    assert drop_hop_by_hop(framed) == framed[1:]


def test_a_token_among_the_protocols_of_a_websocket_stays_here() -> None:
    # Source: Kubernetes v1.36, apiserver/pkg/authentication/request/websocket/protocol.go
    given_headers = (("Sec-WebSocket-Protocol", "base64url.bearer.authorization.k8s.io.c2VjcmV0, chat"),)
    passed = compute_request_headers(given_headers, HERE, uri="/p/x", client="")
    assert ("Sec-WebSocket-Protocol", "chat") in passed


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "::1", "169.254.169.254", "0.0.0.0", "::ffff:127.0.0.1", "::ffff:a9fe:a9fe", "x"]
)
def test_what_is_of_this_machine_alone_is_not_reached_through_a_pod(address: str) -> None:
    with pytest.raises(ApiError, match="address not allowed"):
        locate_pod(Pod(status=PodStatus(pod_ip=address)), Wish("web", "80"))


@pytest.mark.parametrize(
    ("method", "status", "headers", "length"),
    [
        ("GET", 200, (("Content-Length", "5"),), 5),
        ("GET", 200, (("Content-Length", "5, 5"),), 5),
        ("GET", 200, (("Transfer-Encoding", "chunked"), ("Content-Length", "5")), None),
        ("GET", 200, (), -1),
        ("HEAD", 200, (("Content-Length", "5"),), 0),
        ("GET", 204, (), 0),
        ("GET", 304, (("Content-Length", "5"),), 0),
    ],
)
def test_how_long_a_body_is(method: str, status: int, headers: Any, length: int | None) -> None:
    assert body_length(method, Head(status, "", headers)) == length  # RFC 9112, 6.3


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"hello",
        b"HTTP/2 200 OK",
        b"HTTP/1.1 20x OK",
        b"HTTP/1.1 200 OK\r\nno colon",
        b"HTTP/1.1 200 OK\r\n a: b",
    ],
)
def test_heads_that_are_none(text: bytes) -> None:
    with pytest.raises(HttpError):
        parse_head(text + b"\r\n\r\n")


def test_lengths_that_differ_are_an_error() -> None:
    with pytest.raises(HttpError):
        body_length("GET", Head(200, "", (("Content-Length", "5"), ("Content-Length", "6"))))


def test_a_header_cannot_bring_a_second_one_along() -> None:
    with pytest.raises(HttpError):
        render_request("GET", "/", (("A", "b\r\nC: d"),))


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=6), st.integers(1, 60))
def test_chunks_are_read_as_they_are_written(pieces: list[bytes], cut: int) -> None:
    sent = b"".join(map(render_chunk, [*pieces, b""]))
    chunks = ChunkReader()
    got = b"".join(piece for at in range(0, len(sent), cut) for piece in chunks.feed(sent[at : at + cut]))
    assert (got, chunks.over) == (b"".join(pieces), True)


@given(st.binary(max_size=300))
def test_noise_is_no_endless_body(data: bytes) -> None:
    try:
        assert len(b"".join(ChunkReader().feed(data))) <= len(data)
    except HttpError:
        return


# --- through the server ----------------------------------------------------------------------------------------------------

Answer = Callable[[bytes, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Backend:
    """A server whose answers a test scripts: raw bytes in, raw bytes out."""

    def __init__(self) -> None:
        self.heads: list[str] = []
        self.bodies: list[bytes] = []
        self.answer: bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        self.then: Answer | None = None
        self.dialled: list[tuple[str, int, bool]] = []
        self.idle = asyncio.Event()
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head.decode())
            lower = head.decode().lower()
            if "content-length: " in lower:
                length = int(lower.partition("content-length: ")[2].partition("\r\n")[0])
                self.bodies.append(await reader.readexactly(length))
            elif "transfer-encoding: chunked" in lower:
                chunks, body = ChunkReader(), b""
                while not chunks.over:
                    body += b"".join(chunks.feed(await reader.read(65536)))
                self.bodies.append(body)
            writer.write(self.answer)
            await writer.drain()
            if self.then is not None:
                await self.then(head, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.idle.set()
            writer.close()

    async def dial(
        self, host: str, port: int, *, tls: bool = False
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        self.dialled.append((host, port, tls))
        if port == 81:
            raise ConnectionRefusedError(111, "Connection refused")
        return await asyncio.open_connection("127.0.0.1", self.port)


@pytest.fixture
async def backend(kube: Kube) -> AsyncIterator[Backend]:
    one = Backend()
    server = await asyncio.start_server(one.serve, "127.0.0.1", 0)
    one.port = server.sockets[0].getsockname()[1]
    kube.world.dialer = one
    await running(kube)
    await kube.call(
        "PATCH",
        f"{PODS}/web/status",
        {"status": {"podIP": "10.0.0.5"}},
        content_type="application/merge-patch+json",
    )
    yield one
    server.close()


async def ask(kube: Kube, method: str, path: str, **options: Any) -> tuple[int, bytes, Any]:
    async with kube.session.request(
        method, f"http://kube{path}", allow_redirects=False, **options
    ) as response:
        return response.status, await response.read(), response.headers


async def test_a_request_reaches_the_pod_with_all_that_it_says(kube: Kube, backend: Backend) -> None:
    status, body, _ = await ask(
        kube,
        "POST",
        f"{PREFIX}/a%2Fb/?q=1&q=2",
        data=b"x" * 100_000,
        headers={"X-Own": "1", "Authorization": "Basic eA=="},
    )
    assert (status, body) == (200, b"ok")
    head = backend.heads[0]
    assert head.startswith("POST /a%2Fb/?q=1&q=2 HTTP/1.1\r\nHost: 10.0.0.5\r\n")
    assert "X-Own: 1\r\n" in head and f"X-Forwarded-Uri: {PREFIX}/a%2Fb/\r\n" in head
    assert "Authorization" not in head
    assert backend.bodies == [b"x" * 100_000]
    assert backend.dialled == [("10.0.0.5", 80, False)]


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_every_method_is_passed_on(kube: Kube, backend: Backend, method: str) -> None:
    status, _, _ = await ask(kube, method, f"{PREFIX}/x")
    assert (status, backend.heads[0].split()[0]) == (200, method)


async def test_bodies_without_a_length_are_streamed_both_ways(kube: Kube, backend: Backend) -> None:
    backend.answer = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3;x=y\r\ndef\r\n0\r\nT: 1\r\n\r\n"
    )

    async def pieces() -> AsyncIterator[bytes]:
        yield b"one"
        yield b"two"

    status, body, headers = await ask(kube, "POST", f"{PREFIX}/x", data=pieces())
    assert (status, body, backend.bodies) == (200, b"abcdef", [b"onetwo"])
    assert headers["Transfer-Encoding"] == "chunked"


async def test_an_answer_comes_as_it_is_written_and_ends_with_the_connection(
    kube: Kube, backend: Backend
) -> None:
    go_on = asyncio.Event()
    backend.answer = b"HTTP/1.0 200 OK\r\n\r\nfirst\n"

    async def then(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await go_on.wait()
        writer.write(b"second\n")

    backend.then = then
    async with asyncio.timeout(5), kube.session.get(f"http://kube{PREFIX}/x") as response:
        assert await response.content.readline() == b"first\n"
        go_on.set()
        assert await response.content.read() == b"second\n"


async def test_a_body_that_is_cut_off_does_not_look_complete(kube: Kube, backend: Backend) -> None:
    backend.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort"
    with pytest.raises(aiohttp.ClientError):
        await ask(kube, "GET", f"{PREFIX}/x")


async def test_redirects_and_pages_lead_through_the_proxy(kube: Kube, backend: Backend) -> None:
    backend.answer = b"HTTP/1.1 302 Found\r\nLocation: http://10.0.0.5/login\r\nAccess-Control-Allow-Origin: *\r\nContent-Length: 0\r\n\r\n"
    status, _, headers = await ask(kube, "GET", f"{PREFIX}/")
    assert (status, headers["Location"]) == (302, f"{PREFIX}/login")
    assert "Access-Control-Allow-Origin" not in headers
    page = b'<html><a href="/x">x</a>'
    for encoding, body in ((b"identity", page), (b"gzip", gzip.compress(page))):
        backend.answer = (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Encoding: %b\r\nContent-Length: %d\r\n\r\n%b"
            % (encoding, len(body), body)
        )
        status, got, _ = await ask(kube, "GET", f"{PREFIX}/")
        assert got == f'<html><a href="{PREFIX}/x">x</a>'.encode()


async def test_a_path_without_a_slash_is_led_to_one(kube: Kube, backend: Backend) -> None:
    status, _, headers = await ask(kube, "GET", f"{PREFIX}?a=b")
    assert (status, headers["Location"]) == (301, f"{PREFIX}/?a=b")
    assert backend.heads == []


async def test_an_upgrade_becomes_bytes_both_ways(kube: Kube, backend: Backend) -> None:
    async def then(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data.upper())

    backend.answer = (
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: shout\r\nX-Own: 1\r\n\r\nhello "
    )
    backend.then = then
    reader, writer = await asyncio.open_unix_connection(str(kube.path))
    writer.write(
        f"GET {PREFIX}/x HTTP/1.1\r\nHost: kube\r\nConnection: Upgrade\r\nUpgrade: shout\r\n\r\n".encode()
    )
    async with asyncio.timeout(5):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        assert head.startswith("HTTP/1.1 101") and "X-Own: 1" in head and "Upgrade: shout" in head
        writer.write(b"world")
        assert await reader.readexactly(11) == b"hello WORLD"
        writer.close()
        await backend.idle.wait()
    assert "Connection: Upgrade\r\nUpgrade: shout\r\n" in backend.heads[0]


async def test_a_websocket_goes_through(kube: Kube, backend: Backend) -> None:
    async def then(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        frame = await reader.readexactly(2 + 4 + 3)  # a masked text of three letters
        text = bytes(byte ^ frame[2 + n % 4] for n, byte in enumerate(frame[6:]))
        writer.write(b"\x81\x03" + text.upper())
        await reader.read(100)

    backend.then = then

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        at = head.lower().index(b"sec-websocket-key: ") + len("sec-websocket-key: ")
        key = head[at:].partition(b"\r\n")[0].decode()
        accept = base64.b64encode(
            hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()
        )
        writer.write(
            b"HTTP/1.1 101 OK\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: "
            + accept
            + b"\r\n\r\n"
        )
        await then(head, reader, writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    backend.port = server.sockets[0].getsockname()[1]
    async with asyncio.timeout(5), kube.session.ws_connect(f"http://kube{PREFIX}/ws") as socket:
        await socket.send_str("abc")
        assert (await socket.receive()).data == "ABC"
    server.close()


async def test_a_client_that_leaves_lets_the_pod_go(kube: Kube, backend: Backend) -> None:
    async def then(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    backend.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc"
    backend.then = then
    async with asyncio.timeout(5):
        async with kube.session.get(f"http://kube{PREFIX}/x") as response:
            assert await response.content.read(3) == b"abc"
            response.close()
        await backend.idle.wait()


@pytest.mark.parametrize(
    ("path", "code", "message"),
    [
        (
            f"{PODS}/web:81/proxy/",
            503,
            "error trying to reach service: dial tcp 10.0.0.5:81: connect: connection refused",
        ),
        (f"{PODS}/ftp:web:81/proxy/", 400, 'invalid pod request "ftp:web:81"'),
        (f"{PODS}/web:nope/proxy/", 400, 'invalid pod request "web:nope"'),
        (f"{PODS}/other/proxy/", 404, 'pods "other" not found'),
        ("/api/v1/namespaces/default/services/none/proxy/", 404, 'services "none" not found'),
        ("/api/v1/nodes/none/proxy/healthz", 404, 'nodes "none" not found'),
    ],
)
async def test_what_cannot_be_reached_is_told(
    kube: Kube, backend: Backend, path: str, code: int, message: str
) -> None:
    status, body, _ = await ask(kube, "GET", path)
    assert (status, json.loads(body)["message"]) == (code, message)


async def test_an_answer_that_is_no_http_is_told(kube: Kube, backend: Backend) -> None:
    backend.answer = b"SSH-2.0-OpenSSH\r\n\r\n"
    status, body, _ = await ask(kube, "GET", f"{PREFIX}/x")
    assert (status, json.loads(body)["reason"]) == (503, "ServiceUnavailable")
    backend.answer = b""
    status, body, _ = await ask(kube, "GET", f"{PREFIX}/x")
    assert json.loads(body)["message"] == "error trying to reach service: EOF"


async def test_a_service_is_reached_at_a_ready_endpoint(kube: Kube, backend: Backend) -> None:
    base = "/api/v1/namespaces/default/services"
    spec = {"selector": {"a": "b"}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}
    await kube.call("POST", base, {"metadata": {"name": "web"}, "spec": spec})
    status, body, _ = await ask(kube, "GET", f"{base}/web:80/proxy/")
    assert (status, json.loads(body)["message"]) == (503, 'no endpoints available for service "web"')
    ready = {
        "addresses": ["10.0.0.6"],
        "conditions": {"ready": True},
        "targetRef": {"kind": "Pod", "name": "x", "namespace": "default"},
    }
    await kube.call(
        "POST",
        "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices",
        {
            "metadata": {"name": "web-1", "labels": {"kubernetes.io/service-name": "web"}},
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
            "endpoints": [{**ready, "addresses": ["10.0.0.7"], "conditions": {"ready": False}}, ready],
        },
    )
    for name in ("web:80", "web:http", "https:web:http"):
        assert (await ask(kube, "GET", f"{base}/{name}/proxy/"))[0] == 200
    assert backend.dialled == [("10.0.0.6", 8080, False)] * 2 + [("10.0.0.6", 8080, True)]
    for name, message in (
        ("web:81", 'no service port 81 found for service "web"'),
        ("web", 'no endpoints available for service "web"'),
        ("web:other", 'no endpoints available for service "web:other"'),
    ):
        status, body, _ = await ask(kube, "GET", f"{base}/{name}/proxy/")
        assert (status, json.loads(body)["message"]) == (503, message)


async def test_a_node_answers_for_itself(kube: Kube, backend: Backend) -> None:
    asked: list[NodeRequest] = []

    class Node:
        async def answer(self, node: str, request: NodeRequest) -> NodeAnswer:
            asked.append(request)
            if request.path == "/bad":
                raise ApiError(Reason.BAD_REQUEST, "no")
            return NodeAnswer(body=_count()) if request.path == "/logs/" else NodeAnswer(body=b"ok")

    async def _count() -> AsyncIterator[bytes]:
        for number in range(3):
            yield b"%d\n" % number

    kube.world.node = Node()
    await kube.call("POST", "/api/v1/nodes", {"metadata": {"name": "here"}})
    assert (await ask(kube, "GET", "/api/v1/nodes/here/proxy/healthz?a=b"))[1] == b"ok"
    assert asked[0] == NodeRequest(method="GET", path="/healthz", query=(("a", "b"),))
    assert (await ask(kube, "GET", "/api/v1/nodes/here:10250/proxy/logs/"))[1] == b"0\n1\n2\n"
    assert (await ask(kube, "GET", "/api/v1/nodes/here/proxy/bad"))[0] == 400


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"X: a\rb", 503),
        (b"X: a\0b", 503),
        (b"X Y: a", 503),
        (b"X-\xe9: a", 503),
        (b"\xff\xfe", 503),
        (b"X-Note: caf\xe9\tcr\xc3\xa8me", 200),
        (b"Upgrade: h2c\r\nConnection: Upgrade", 200),
    ],
)
async def test_an_answer_with_headers_that_could_be_mistaken_for_ours_is_none(
    kube: Kube, backend: Backend, line: bytes, expected: int
) -> None:
    backend.answer = b"HTTP/1.1 200 OK\r\n" + line + b"\r\nContent-Length: 2\r\n\r\nok"
    status, body, _ = await ask(kube, "GET", f"{PREFIX}/x")
    assert status == expected
    assert body == b"ok" if expected == 200 else b"malformed MIME header line" in body
