"""The only source of chance: uids, name suffixes, jitter. Seeded, so that the same seed gives the same run."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

# No vowels (no words appear), no 0/1/3 (not mistaken for letters).
# Source: Kubernetes, apimachinery/pkg/util/rand, alphanums.
SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"

# The bits that aren't random: version and variant. Source: RFC 9562, 5.4
_UUID_FIXED = 0xF000 << 64 | 0xC000 << 48
_UUID_VERSION_4 = 0x4000 << 64 | 0x8000 << 48


class Chance:
    """A seeded stream of random values; without a seed, the system's entropy seeds it."""

    def __init__(self, seed: int | None = None) -> None:
        self._random = random.Random(seed)

    def uid(self) -> str:
        """Return a fresh version 4 UUID."""
        digits = f"{self._random.getrandbits(128) & ~_UUID_FIXED | _UUID_VERSION_4:032x}"
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"

    def suffix(self, length: int = 5) -> str:
        """Return `length` characters of Kubernetes' safe alphabet."""
        return "".join(self._random.choices(SUFFIX_ALPHABET, k=length))

    def hex(self, length: int) -> str:
        """Return `length` hexadecimal digits."""
        return f"{self._random.getrandbits(4 * length):0{length}x}"

    def random(self) -> float:
        """Return a number in [0, 1)."""
        return self._random.random()

    def integer(self, low: int, high: int) -> int:
        """Return a whole number in [low, high]."""
        return self._random.randint(low, high)

    def jitter(self, base: float, factor: float) -> float:
        """Return a value in [base, base * (1 + factor)). Example: jitter(10, 0.5) is between 10 and 15."""
        return base * (1.0 + factor * self._random.random())

    def choice(self, items: Sequence[T]) -> T:
        return self._random.choice(items)
