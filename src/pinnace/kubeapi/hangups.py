"""Tells when a peer has closed its side of a connection, also while nothing is read from it. A doer.

A stream whose reader waits for somebody else (a process that doesn't read its input) would not see that its client has
gone: the kernel tells it to a poll for that alone, whatever lies unread. Only a client that went with more to send than
we had room for tells nothing: its end waits behind its data. To knock, now and then, brings that to light: who is not
there any more answers with a reset. Used by `sessions.py`, `forwarding.py` and the proxy.
"""

import asyncio
import contextlib
import select
import socket
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any, TypeVar

from pinnace.base.clock import Clock

T = TypeVar("T")

KNOCK_S = 10.0
_GONE = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
# Where nothing can be said for a knock, the kernel knocks: for the first time after so long, then each 10 s, three times.
_KEEPALIVE_S, _INTERVAL_S, _TIMES = 30, 10, 3


@contextlib.contextmanager
def watch_hangup(transport: asyncio.BaseTransport | None) -> Iterator[asyncio.Event]:
    """Give an event that is set once the peer has closed its side."""
    gone = asyncio.Event()
    endpoint = transport.get_extra_info("socket") if transport is not None else None
    if endpoint is None or endpoint.fileno() < 0:
        gone.set()
        yield gone
        return
    loop = asyncio.get_running_loop()
    poll = select.epoll()
    try:
        poll.register(endpoint.fileno(), _GONE)
        _keep_alive(endpoint)

        def hear() -> None:
            loop.remove_reader(poll.fileno())
            gone.set()

        loop.add_reader(poll.fileno(), hear)
        yield gone
    finally:
        if not gone.is_set():
            loop.remove_reader(poll.fileno())
        poll.close()


def _keep_alive(endpoint: Any) -> None:
    with contextlib.suppress(OSError):  # a Unix socket has no such thing, and needs none
        endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        endpoint.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEPALIVE_S)
        endpoint.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _INTERVAL_S)
        endpoint.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _TIMES)


async def until_gone(
    work: Coroutine[Any, Any, T],
    transport: asyncio.BaseTransport | None,
    knock: Callable[[], Awaitable[None]] | None,
    clock: Clock,
) -> T | None:
    """Work until it is over, and return what it gives; None when the client has gone before. Raises: what `work` does."""
    with watch_hangup(transport) as gone:
        task = asyncio.ensure_future(work)
        others: list[asyncio.Future[Any]] = [asyncio.ensure_future(gone.wait())]
        if knock is not None:
            others.append(asyncio.ensure_future(_keep_knocking(knock, clock)))
        try:
            await asyncio.wait((task, *others), return_when=asyncio.FIRST_COMPLETED)
            return task.result() if task.done() else None
        finally:
            for one in (task, *others):
                one.cancel()
            await asyncio.gather(task, *others, return_exceptions=True)
            if gone.is_set() and transport is not None:
                transport.abort()  # type: ignore[attr-defined]  # nothing more comes or goes: no polite end is waited for


async def _keep_knocking(knock: Callable[[], Awaitable[None]], clock: Clock) -> None:
    """Knock for ever; end when the client has gone."""
    with contextlib.suppress(ConnectionError):
        while True:
            await clock.sleep(KNOCK_S)
            await knock()
