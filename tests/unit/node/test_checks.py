"""Single checks against a small server: what counts as healthy, and what is said when it isn't."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from pinnace.base.errors import HostError
from pinnace.kube.objects.core_v1 import (
    ContainerPort,
    ExecAction,
    HTTPGetAction,
    HTTPHeader,
    Probe,
    TCPSocketAction,
)
from pinnace.node.checks import CheckResult, run_probe
from tests.unit.node.builders import container

REDIRECTS = {"/": "/login", "/login": "/login/", "/away": "http://other.example/", "/loop": "/loop"}


class Server:
    """Answers every path with 200, except `/sick` (503), `/silent` (never) and the redirects above."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.port = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.requests.append(request)
        path = request.split(" ")[1]
        if path == "/silent":
            await reader.read()
        elif path in REDIRECTS:
            writer.write(f"HTTP/1.1 302 Found\r\nLocation: {REDIRECTS[path]}\r\n\r\n".encode())
        else:
            writer.write(b"HTTP/1.1 503 No\r\n\r\n" if path == "/sick" else b"HTTP/1.1 200 OK\r\n\r\n")
        writer.close()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    one = Server()
    listening = await asyncio.start_server(one.answer, "127.0.0.1", 0)
    one.port = listening.sockets[0].getsockname()[1]
    yield one
    listening.close()
    await listening.wait_closed()


async def no_exec(command: tuple[str, ...], timeout_s: float) -> tuple[int, bytes]:
    raise AssertionError(command)


async def get(server: Server, path: str, **more: object) -> CheckResult:
    action = HTTPGetAction(path=path, port="web", **more)  # type: ignore[arg-type]
    target = container(ports=(ContainerPort(name="web", container_port=server.port),))
    return await run_probe(Probe(http_get=action, timeout_seconds=1), target, "127.0.0.1", no_exec)


async def test_an_answer_from_200_to_399_is_healthy_and_any_other_is_named(server: Server) -> None:
    assert await get(server, "/fine") == CheckResult(True)
    assert await get(server, "/sick") == CheckResult(False, "HTTP probe failed with statuscode: 503")


async def test_a_redirect_on_the_same_host_is_followed_and_one_to_another_host_is_an_answer(
    server: Server,
) -> None:
    # Source: Kubernetes, pkg/probe/http, RedirectChecker.
    assert await get(server, "/") == CheckResult(True)
    assert [request.split(" ")[1] for request in server.requests] == ["/", "/login", "/login/"]
    assert await get(server, "/away") == CheckResult(True)
    looped = await get(server, "/loop")
    assert not looped.success
    assert looped.output.endswith("stopped after 10 redirects")


async def test_headers_that_the_probe_names_replace_ours_by_any_spelling(server: Server) -> None:
    await get(server, "/fine", http_headers=(HTTPHeader(name="host", value="my.example"),))
    lines = [line.lower() for line in server.requests[0].split("\r\n")]
    assert [line for line in lines if line.startswith("host:")] == ["host: my.example"]
    assert "user-agent: kube-probe/1.36" in lines


async def test_a_server_that_never_answers_is_given_up_in_the_kubelets_words(server: Server) -> None:
    result = await get(server, "/silent")
    assert not result.success
    assert result.output.endswith(
        "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
    )


async def test_a_closed_port_is_a_result() -> None:
    probe = Probe(tcp_socket=TCPSocketAction(port=1))
    assert await run_probe(probe, container(), "127.0.0.1", no_exec) == CheckResult(
        False, "dial tcp 127.0.0.1:1: connect: connection refused"
    )


async def test_a_command_that_cannot_be_run_is_a_result_and_no_error() -> None:
    async def execute(command: tuple[str, ...], timeout_s: float) -> tuple[int, bytes]:
        raise HostError("container c is not running")

    probe = Probe(exec=ExecAction(command=("true",)))
    assert await run_probe(probe, container(), "", execute) == CheckResult(
        False, "container c is not running"
    )
