"""Opaque values of CEL functions, as maps with a tag: the library passes only plain values to and from functions.

Equal values are equal maps: what a tag holds is canonical. Used by the functions only.
"""

from typing import Any

_TAG = "$type"
_TEXT = "$text"


def tag(type_: str, text: str, **more: Any) -> dict[str, Any]:
    """Return an opaque value; `text` is its canonical form."""
    return {_TAG: type_, _TEXT: text, **more}


def untag(value: Any, type_: str) -> str:
    """Return the canonical form of an opaque value. Raises: ValueError for one of another type."""
    if not isinstance(value, dict) or value.get(_TAG) != type_:
        raise ValueError("no such overload")
    return str(value[_TEXT])


def type_of(value: Any) -> str:
    """Return the type of an opaque value, "" for all else."""
    return str(value.get(_TAG, "")) if isinstance(value, dict) else ""


def text_of(value: Any) -> str | None:
    """Return the canonical form of an opaque value, None for all else."""
    return str(value[_TEXT]) if type_of(value) else None
