"""Tells when somebody changed links, addresses, routes or nftables rules on this host.

Called by `bridge`, `proxy` and `foreign`. Reads the kernel's multicast groups; it tells that something happened, never
what to do about it. Invariant: after `close` no callback is called.

Source: Linux, include/uapi/linux/rtnetlink.h (RTNLGRP_*), include/uapi/linux/netfilter/nfnetlink.h (NFNLGRP_NFTABLES).
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress

from pinnace.network.netlink import NETFILTER, ROUTE, iter_messages, open_group_socket

log = logging.getLogger("pinnace.network")

GROUP_LINK, GROUP_ADDRESS, GROUP_ROUTE = 1, 5, 7  # RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV4_ROUTE
GROUP_NFTABLES = 7  # NFNLGRP_NFTABLES
_RECEIVE_BYTES = 1 << 17
_MOST_PER_TURN = 64


class KernelEvents:
    """A subscription to multicast groups; `on_message(type, body)` is called on the loop for each event.

    When the kernel drops events because nobody read them, `on_lost` is called: look at everything anew.
    """

    def __init__(
        self,
        protocol: int,
        groups: Sequence[int],
        on_message: Callable[[int, bytes], None],
        on_lost: Callable[[], None],
    ) -> None:
        self._on_message = on_message
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._socket: socket.socket | None = open_group_socket(protocol, groups)
        self._loop.add_reader(self._socket.fileno(), self._read)

    @classmethod
    def of_links(cls, on_message: Callable[[int, bytes], None], on_lost: Callable[[], None]) -> KernelEvents:
        """Subscribe to links, IPv4 addresses and IPv4 routes."""
        return cls(ROUTE, (GROUP_LINK, GROUP_ADDRESS, GROUP_ROUTE), on_message, on_lost)

    @classmethod
    def of_rules(cls, on_message: Callable[[int, bytes], None], on_lost: Callable[[], None]) -> KernelEvents:
        """Subscribe to changes of nftables, by whatever program."""
        return cls(NETFILTER, (GROUP_NFTABLES,), on_message, on_lost)

    def close(self) -> None:
        """End the subscription; twice is fine."""
        if self._socket is not None:
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None

    def _read(self) -> None:
        for _ in range(_MOST_PER_TURN):
            if self._socket is None:
                return
            try:
                data = self._socket.recv(_RECEIVE_BYTES)
            except BlockingIOError:
                return
            except OSError as error:  # ENOBUFS: events were dropped
                log.info("kernel events were lost: %s", error)
                self._drain()
                self._on_lost()
                return
            for kind, _, _, body in iter_messages(data):
                self._on_message(kind, body)
                if self._socket is None:
                    return

    def _drain(self) -> None:
        """Throw away what is left of the events: without the lost ones it can't be understood."""
        with suppress(OSError):
            while self._socket is not None and self._socket.recv(_RECEIVE_BYTES):
                pass
