"""Shows plain values as Go's fmt does, for messages that Kubernetes words that way. Pure."""

from __future__ import annotations

from typing import Any

import msgspec


def plain(value: Any) -> str:
    """Return a value as %v shows it. Example: {"a": [1, "x"]} is map[a:[1 x]]"""
    if isinstance(value, dict):
        return f"map[{' '.join(f'{key}:{plain(part)}' for key, part in sorted(value.items()))}]"
    if isinstance(value, list):
        return f"[{' '.join(map(plain, value))}]"
    return "<nil>" if value is None else value if isinstance(value, str) else _text(value)


def syntax(value: Any) -> str:
    """Return a value as %#v shows it. Example: {"a": [1]} is map[string]interface {}{"a":[]interface {}{1}}"""
    if isinstance(value, dict):
        inner = ", ".join(f"{_text(key)}:{syntax(part)}" for key, part in sorted(value.items()))
        return f"map[string]interface {{}}{{{inner}}}"
    if isinstance(value, list):
        return f"[]interface {{}}{{{', '.join(map(syntax, value))}}}"
    return "interface {}(nil)" if value is None else _text(value)


def type_name(value: Any) -> str:
    """Return the type of a value as %T shows it."""
    names: dict[type, str] = {
        bool: "bool",
        str: "string",
        int: "int64",
        float: "float64",
        dict: "map[string]interface {}",
        list: "[]interface {}",
        type(None): "<nil>",
    }
    return names.get(type(value), type(value).__name__)


def quoted(text: str) -> str:
    """Return a text as %q shows it."""
    return _text(text)


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode()
