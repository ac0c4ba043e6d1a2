"""Reads which resolvers the host uses. Called by `forward` for each question, so a changed file counts at once.

Source: resolv.conf(5).
"""

from __future__ import annotations

import os
from collections.abc import Collection
from ipaddress import ip_address
from pathlib import Path

RESOLV_CONF = Path("/etc/resolv.conf")
_MOST = 3  # Source: resolv.conf(5), MAXNS


def parse_resolv_conf(text: str, *, without: Collection[str] = ()) -> tuple[str, ...]:
    """Return the name servers of a file, in order, without our own addresses; zones (`%eth0`) are kept."""
    found: list[str] = []
    for line in text.splitlines():
        words = line.split("#", 1)[0].split(";", 1)[0].split()
        if len(words) >= 2 and words[0] == "nameserver" and words[1] not in without and words[1] not in found:
            try:
                ip_address(words[1])
            except ValueError:
                continue
            found.append(words[1])
    return tuple(found[:_MOST])


class HostResolvers:
    """The host's name servers, read again when the file is another one than before."""

    def __init__(self, path: Path = RESOLV_CONF, *, without: Collection[str] = ()) -> None:
        self._path = path
        self._without = frozenset(without)
        self._seen: tuple[int, int, int] | None = None
        self._servers: tuple[str, ...] = ()

    def list_servers(self) -> tuple[str, ...]:
        """Return the name servers; nothing when the file is missing."""
        try:
            facts = os.stat(self._path)
            seen = (facts.st_mtime_ns, facts.st_ino, facts.st_size)
            if seen != self._seen:
                self._servers = parse_resolv_conf(
                    self._path.read_text(errors="replace"), without=self._without
                )
                self._seen = seen
        except OSError:
            self._seen, self._servers = None, ()
        return self._servers
