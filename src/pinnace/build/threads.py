"""File work in threads, with what the machine refuses told as that. Used where a build touches files of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from pinnace.base.errors import HostError

P = ParamSpec("P")
R = TypeVar("R")


async def in_thread(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run a function in a thread. Raises: what it raises; HostError in the place of an OSError."""

    def run() -> R:
        try:
            return function(*args, **kwargs)
        except OSError as error:
            name = f"{error.filename}: " if error.filename else ""
            raise HostError(f"{name}{error.strerror or error}", errno=error.errno) from error

    return await asyncio.to_thread(run)
