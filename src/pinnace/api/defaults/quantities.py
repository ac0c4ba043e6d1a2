"""Writes quantities in their canonical form ("1000m" becomes "1"). Pure; a wrong one stays, for validation to name."""

from collections.abc import Mapping
from functools import lru_cache

from pinnace.kube.quantity import canonical

Quantities = dict[str, str | int | float]


@lru_cache(8192)
def _canonical(text: str | int | float) -> str | int | float:
    try:
        return canonical(text)
    except ValueError:
        return text


def canonical_quantities(quantities: Mapping[str, str | int | float]) -> Quantities:
    """Return the map with canonical values; the same map when nothing changes."""
    result = {name: _canonical(text) for name, text in quantities.items()}
    return quantities if result == quantities and isinstance(quantities, dict) else result


def canonical_quantity(text: str | int | float | None) -> str | int | float | None:
    """Return one canonical quantity."""
    return text if text is None or text == "" else _canonical(text)
