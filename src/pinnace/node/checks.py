"""Carries out one probe or hook: HTTP, TCP, command, sleep. Says what came of it; decides nothing.

Called by `prober` and, for hooks, by `host`. It speaks HTTP by hand: a probe needs one request and the head of one answer,
and must not keep a connection. Invariant: whatever fails while a check runs is its result; nothing is raised.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from pinnace.base.errors import PinnaceError
from pinnace.kube.objects.core_v1 import (
    Container,
    ExecAction,
    HTTPGetAction,
    LifecycleHandler,
    Probe,
    TCPSocketAction,
)
from pinnace.node.dialing import build_trusting_context

Exec = Callable[[tuple[str, ...], float], Awaitable[tuple[int, bytes]]]

MAX_BODY = 10 * 1024  # Source: pkg/probe/http, maxRespBodyLength
MAX_REDIRECTS = 10  # Source: pkg/probe/http, RedirectChecker
REDIRECTS = frozenset((301, 302, 303, 307, 308))


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What a check found; `output` is what events show when it failed."""

    success: bool
    output: str = ""


async def run_probe(probe: Probe, container: Container, pod_ip: str, execute: Exec) -> CheckResult:
    """Run one probe within its time-out. Never raises for a check that fails."""
    timeout_s = float(probe.timeout_seconds or 1)
    if probe.grpc is not None:
        return CheckResult(False, "gRPC probes are not supported: use httpGet, tcpSocket or exec")
    return await _run(probe.exec, probe.http_get, probe.tcp_socket, container, pod_ip, execute, timeout_s)


async def run_hook(
    hook: LifecycleHandler, container: Container, pod_ip: str, execute: Exec, timeout_s: float
) -> CheckResult:
    """Run a postStart or preStop hook within `timeout_s`."""
    if hook.sleep is not None:
        await asyncio.sleep(min(float(hook.sleep.seconds or 0), timeout_s))
        return CheckResult(True)
    return await _run(hook.exec, hook.http_get, hook.tcp_socket, container, pod_ip, execute, timeout_s)


async def _run(
    command: ExecAction | None,
    http: HTTPGetAction | None,
    tcp: TCPSocketAction | None,
    container: Container,
    pod_ip: str,
    execute: Exec,
    timeout_s: float,
) -> CheckResult:
    try:
        if command is not None:
            code, output = await execute(command.command, timeout_s)
            return CheckResult(code == 0, output.decode(errors="replace").strip()[:MAX_BODY])
        async with asyncio.timeout(timeout_s):
            if http is not None:
                return await _check_http(http, find_port(http.port, container), http.host or pod_ip)
            if tcp is not None:
                return await _check_tcp(tcp.host or pod_ip, find_port(tcp.port, container))
    except TimeoutError:
        return CheckResult(
            False,
            f"command timed out after {timeout_s:g}s" if command else _deadline(http, container, pod_ip),
        )
    except PinnaceError as error:  # the container has ended meanwhile, or the command can't be started in it
        return CheckResult(False, error.message)
    except (OSError, ValueError, asyncio.IncompleteReadError) as error:
        return CheckResult(False, str(error))
    return CheckResult(False, "the probe names no check")


def find_port(port: int | str | None, container: Container) -> int:
    """Return a port by number or by name. Raises: ValueError when the container has no port of that name."""
    if isinstance(port, int):
        return port
    if port is not None and port.isdigit():
        return int(port)
    for known in container.ports:
        if known.name == port and known.container_port is not None:
            return known.container_port
    raise ValueError(f"couldn't find port: {port!r}")


async def _check_tcp(host: str, port: int) -> CheckResult:
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError as error:
        return CheckResult(False, f"dial tcp {host}:{port}: connect: {_words(error)}")
    writer.close()
    return CheckResult(True)


async def _check_http(action: HTTPGetAction, port: int, host: str) -> CheckResult:
    path = action.path or "/"
    scheme = (action.scheme or "HTTP").lower()
    url = f"{scheme}://{host}:{port}{path if path.startswith('/') else '/' + path}"
    for _ in range(MAX_REDIRECTS):
        answer = await _request(url, action)
        if isinstance(answer, CheckResult):
            return answer
        if answer.status in REDIRECTS and answer.location:
            target = urljoin(url, answer.location)
            if urlsplit(target).hostname == urlsplit(url).hostname:
                url = target
                continue
        if 200 <= answer.status < 400:  # a redirect to another host counts as an answer
            return CheckResult(True)
        return CheckResult(False, f"HTTP probe failed with statuscode: {answer.status}")
    return CheckResult(False, f'Get "{url}": stopped after {MAX_REDIRECTS} redirects')


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    location: str = ""


async def _request(url: str, action: HTTPGetAction) -> _Answer | CheckResult:
    parts = urlsplit(url)
    tls = parts.scheme == "https"
    host, port = parts.hostname or "", parts.port or (443 if tls else 80)
    try:
        reader, writer = await asyncio.open_connection(
            host, port, ssl=build_trusting_context() if tls else None
        )
    except OSError as error:
        return CheckResult(False, f'Get "{url}": dial tcp {host}:{port}: connect: {_words(error)}')
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        writer.write(f"GET {target} HTTP/1.1\r\n{_render_headers(parts.netloc, action)}\r\n".encode())
        await writer.drain()
        words = (await reader.readline()).decode(errors="replace").split(" ", 2)
        if len(words) < 2 or not words[1].strip().isdigit():
            return CheckResult(False, f'Get "{url}": EOF')
        status = int(words[1])
        return _Answer(status, await _read_location(reader) if status in REDIRECTS else "")
    finally:
        writer.close()


def _render_headers(authority: str, action: HTTPGetAction) -> str:
    """Return the header lines; what the probe names replaces ours, by any spelling.."""
    named = {header.name.lower() for header in action.http_headers}
    ours = {"Host": authority, "User-Agent": "kube-probe/1.36", "Accept": "*/*"}
    pairs = [(name, value) for name, value in ours.items() if name.lower() not in named]
    pairs += [(header.name, header.value) for header in action.http_headers]
    return "".join(f"{name}: {value}\r\n" for name, value in (*pairs, ("Connection", "close")))


async def _read_location(reader: asyncio.StreamReader) -> str:
    while (line := (await reader.readline()).strip()) != b"":
        name, _, value = line.decode(errors="replace").partition(":")
        if name.strip().lower() == "location":
            return value.strip()
    return ""


def _deadline(http: HTTPGetAction | None, container: Container, pod_ip: str) -> str:
    if http is None:
        return "dial tcp: i/o timeout"
    scheme = (http.scheme or "HTTP").lower()
    url = f"{scheme}://{http.host or pod_ip}:{find_port(http.port, container)}{http.path or '/'}"
    return f'Get "{url}": context deadline exceeded (Client.Timeout exceeded while awaiting headers)'


def _words(error: OSError) -> str:
    return os.strerror(error.errno).lower() if error.errno else str(error)
