"""Tells when a peer has closed its side of a connection, also while nothing is read from it. A doer.

A stream whose reader waits for somebody else (a process that doesn't read its input) would not see that its client has
gone: the kernel tells it to a poll for that alone, whatever lies unread. Used by `sessions.py`, `forwarding.py` and the
proxy.
"""

import asyncio
import contextlib
import select
from collections.abc import Iterator

_GONE = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR


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

        def hear() -> None:
            loop.remove_reader(poll.fileno())
            gone.set()

        loop.add_reader(poll.fileno(), hear)
        yield gone
    finally:
        if not gone.is_set():
            loop.remove_reader(poll.fileno())
        poll.close()
