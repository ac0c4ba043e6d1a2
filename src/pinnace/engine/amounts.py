"""Reads sizes, CPU counts and other amounts as `docker run` writes them. Pure.

Source: docker/go-units, RAMInBytes (1024-based, one letter); docker/cli, opts/opts.go, NanoCPUs.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation

from pinnace.base.errors import UserError
from pinnace.container.plan import Rlimit

MEMORY_MIN_BYTES = 6 << 20  # Source: moby, daemon/daemon_unix.go, linuxMinMemory
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([kmgtpKMGTP]?)(?:i?[bB])?")
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_ULIMITS = frozenset(
    [
        "as",
        "core",
        "cpu",
        "data",
        "fsize",
        "locks",
        "memlock",
        "msgqueue",
        "nice",
        "nofile",
        "nproc",
        "rss",
        "rtprio",
        "rttime",
        "sigpending",
        "stack",
    ]
)


def parse_size(text: str, flag: str) -> int:
    """Return bytes. Example: "512m" is 536870912, "1.5g" 1610612736, "1000" 1000. Raises: UserError."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise UserError(f"{flag}: invalid size: {text!r}", "a number and b, k, m or g: 512m, 1.5g")
    return int(Decimal(match[1]) * 1024 ** _POWERS[match[2].lower()])


def parse_memory(text: str, flag: str = "--memory") -> int:
    """Return bytes; refuses what is too little for any container. Raises: UserError."""
    size = parse_size(text, flag)
    if 0 < size < MEMORY_MIN_BYTES:
        raise UserError(f"{flag}: Minimum memory limit allowed is 6MB", f"{text!r} is less")
    return size


def parse_memory_swap(text: str, memory_bytes: int) -> int:
    """Return memory and swap together; -1 is no limit. Raises: UserError."""
    if text == "-1":
        return -1
    size = parse_size(text, "--memory-swap")
    if size and not memory_bytes:
        raise UserError(
            "You should always set the Memory limit when using Memoryswap limit", "give --memory too"
        )
    if 0 < size < memory_bytes:
        raise UserError(
            "Minimum memoryswap limit should be larger than memory limit",
            "it counts memory and swap together",
        )
    return size


def parse_cpus(text: str, available: int) -> int:
    """Return thousandths of a core. Example: "1.5" is 1500. Raises: UserError."""
    try:
        milli = Decimal(text.strip()) * 1000
    except InvalidOperation:
        raise UserError(f"--cpus: {text!r} is not a number", "how many CPUs: 0.5, 2") from None
    if not milli.is_finite() or milli < 0 or milli != milli.to_integral_value():
        raise UserError(
            f"--cpus: {text!r} can't be used", "a positive number with at most three decimals: 0.25"
        )
    if 0 < milli < 10 or milli > available * 1000:
        raise UserError(
            f"Range of CPUs is from 0.01 to {available}.00, as there are only {available} CPUs available",
            f"--cpus {available} is all of them",
        )
    return int(milli)


def parse_ulimit(text: str) -> Rlimit:
    """Return a resource limit. Example: "nofile=1024:2048". Raises: UserError."""
    name, equal, values = text.partition("=")
    soft, _, hard = values.partition(":")
    numbers = [soft, hard or soft]
    if not equal or name not in _ULIMITS or not all(re.fullmatch(r"-1|\d+", value) for value in numbers):
        raise UserError(f"invalid ulimit argument: {text}", "NAME=SOFT[:HARD], such as nofile=1024:2048")
    unlimited = (1 << 64) - 1
    pair = [unlimited if value == "-1" else int(value) for value in numbers]
    if pair[0] > pair[1]:
        raise UserError(f"ulimit soft limit must be less than or equal to hard limit: {pair[0]} > {pair[1]}")
    return Rlimit(type=f"RLIMIT_{name.upper()}", soft=pair[0], hard=pair[1])
