"""Notices when somebody else changes our nftables table, and tells our own changes from theirs.

Called by `proxy`. Each transaction on the host ends with one event; one that touched our table and that we don't
expect is somebody else's. When events were lost, the caller looks at the table itself.

Source: Linux, include/uapi/linux/netfilter/nf_tables.h: NFT_MSG_NEWGEN ends each transaction's events, and attribute 1
names the table in all other messages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pinnace.network.events import KernelEvents
from pinnace.network.netlink import iter_attributes

_SUBSYSTEM = 10  # NFNL_SUBSYS_NFTABLES
_NEW_GENERATION = (_SUBSYSTEM << 8) | 15
_TABLE_NAME = 1


class TableWatch:
    """The watch of one table."""

    def __init__(self, table: str, on_tampering: Callable[[], None], on_lost: Callable[[], None]) -> None:
        self._name = table.encode()
        self._on_tampering = on_tampering
        self._on_lost = on_lost
        self._expected = 0
        self._in_flight = 0
        self._touched = False
        self._events = KernelEvents.of_rules(self._hear, self._lose)

    @contextmanager
    def own_change(self) -> Iterator[None]:
        """Expect one transaction of our own; none when it fails."""
        self._expected += 1
        self._in_flight += 1
        try:
            yield
        except BaseException:
            self._expected = max(0, self._expected - 1)
            raise
        finally:
            self._in_flight -= 1

    def close(self) -> None:
        """End the watch."""
        self._events.close()

    def _hear(self, kind: int, body: bytes) -> None:
        if kind == _NEW_GENERATION:
            touched, self._touched = self._touched, False
            if touched and self._expected:
                self._expected -= 1
            elif touched:
                self._on_tampering()
        elif not self._touched:
            first = next(iter_attributes(body, 4), None)
            self._touched = (
                first is not None and first[0] == _TABLE_NAME and first[1].rstrip(b"\0") == self._name
            )

    def _lose(self) -> None:
        self._expected, self._touched = self._in_flight, False
        self._on_lost()
