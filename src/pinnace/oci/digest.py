"""Content addresses: "sha256:" and 64 hexadecimal digits, and the chain ids that are made of them.

Source: OCI image-spec v1.1, descriptor.md ("Digests") and config.md ("Layer ChainID").
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import NewType

from pinnace.base.errors import UserError

Digest = NewType("Digest", str)

_LENGTHS = {"sha256": 64, "sha384": 96, "sha512": 128}
_GRAMMAR = re.compile(r"[a-z0-9]+(?:[+._-][a-z0-9]+)*:[a-zA-Z0-9=_-]+")
_LOWER_HEX = re.compile(r"[a-f0-9]+")


def parse_digest(text: str) -> Digest:
    """Return `text` as a digest.

    Raises: UserError when the algorithm is unknown, or the digits are not those of the algorithm.
    Example: "sha256:" and 64 lower-case hexadecimal digits.
    """
    algorithm, colon, digits = text.partition(":")
    if not colon or not _GRAMMAR.fullmatch(text):
        raise UserError(f"{text!r} is not a digest", hint="a digest reads sha256:<64 hexadecimal digits>")
    length = _LENGTHS.get(algorithm)
    if length is None:
        raise UserError(f"the digest {text!r} uses the unknown algorithm {algorithm!r}", hint="use sha256")
    if len(digits) != length or not _LOWER_HEX.fullmatch(digits):
        raise UserError(
            f"the digest {text!r} should have {length} lower-case hexadecimal digits after {algorithm!r}"
        )
    return Digest(text)


def is_digest(text: str) -> bool:
    """Say whether `text` is a digest that `parse_digest` would take."""
    try:
        parse_digest(text)
    except UserError:
        return False
    return True


def digest_of(data: bytes) -> Digest:
    """Return the sha256 digest of `data`."""
    return Digest("sha256:" + hashlib.sha256(data).hexdigest())


def hex_of(digest: Digest) -> str:
    """Return the digits. Example: "sha256:ab12…" gives "ab12…"."""
    return digest.partition(":")[2]


def short_id(digest: Digest) -> str:
    """Return the 12 digits that people are shown."""
    return hex_of(digest)[:12]


def chain_ids(diff_ids: Iterable[Digest]) -> tuple[Digest, ...]:
    """Return the name of each stack that ends with one of the layers, bottom layer first.

    Example: chain_ids(a, b) is (a, sha256(a + " " + b)).
    """
    chain: list[Digest] = []
    for diff_id in diff_ids:
        chain.append(digest_of(f"{chain[-1]} {diff_id}".encode()) if chain else diff_id)
    return tuple(chain)
