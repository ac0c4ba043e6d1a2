"""Hands rules to the kernel through `nft`. Called by `proxy` and `foreign`; knows nothing of what the rules mean."""

from __future__ import annotations

import json
from typing import Any

from pinnace.base.errors import HostError
from pinnace.base.spawn import find_program, run

_TIMEOUT_S = 30.0


class Nft:
    """The `nft` program, found once."""

    def __init__(self) -> None:
        self._program = ""

    async def apply(self, text: str) -> None:
        """Apply a text as one transaction: all of it, or nothing. Raises: HostError with nft's own words."""
        await self._run("-f", "-", stdin=text.encode())

    async def list_tables(self) -> frozenset[tuple[str, str]]:
        """Return (family, name) of all tables."""
        found = await self.read_json("list", "tables")
        return frozenset(
            (entry["table"]["family"], entry["table"]["name"]) for entry in found if "table" in entry
        )

    async def delete_table(self, name: str) -> None:
        """Delete one of our tables; one that is missing is fine."""
        await self.apply(f"table ip {name} {{}}\ndelete table ip {name}\n")

    async def read_json(self, *command: str) -> list[dict[str, Any]]:
        """Return what a `list` command prints, as nft's JSON objects. Raises: HostError."""
        out = await self._run("-j", *command)
        entries: list[dict[str, Any]] = json.loads(out or b"{}").get("nftables", [])
        return entries

    async def _run(self, *arguments: str, stdin: bytes = b"") -> bytes:
        if not self._program:
            self._program = find_program("nft", hint="apt-get install nftables")
        try:
            return (await run([self._program, *arguments], stdin=stdin, timeout_s=_TIMEOUT_S)).stdout
        except HostError as error:
            if "Operation not permitted" in error.stderr:
                error.hint = "sudo pinnace up"
            raise
