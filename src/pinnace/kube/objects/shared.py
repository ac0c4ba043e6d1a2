"""Defaults that are encoded: what stands in a field that Kubernetes' answers show even when nothing is set.

Used by the modules of this package only. They are factories, because the encoder leaves out plain defaults.
"""

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def shared(struct: type[T]) -> Callable[[], T]:
    """Return a factory that always gives the same empty instance of `struct`; structs are frozen, so one serves all."""
    instance = struct()
    return lambda: instance


def no_items() -> tuple[()]:
    """Return the empty list of a required field (the encoder would leave out `tuple` as a factory)."""
    return ()
