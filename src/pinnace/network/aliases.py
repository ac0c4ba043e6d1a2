"""Writes and reads the alias of a link: what the kernel remembers for us, readable in `ip link`.

Pure. Source: Linux, include/uapi/linux/if.h, IFALIASZ: at most 255 bytes.
"""

from __future__ import annotations

from pinnace.base.errors import Bug

_MOST_BYTES = 255
_MARK = "pinnace"


def render_alias(**facts: str) -> str:
    """Return the alias for these facts. Example: "pinnace instance=pinnace key=web-1 ip=10.244.0.5".

    Raises: Bug if a value has white space or all is too long.
    """
    alias = " ".join([_MARK, *(f"{name}={value}" for name, value in facts.items() if value)])
    if len(alias.encode()) > _MOST_BYTES or any(len(value.split()) > 1 for value in facts.values()):
        raise Bug(f"a link's alias can't hold {facts}")
    return alias


def parse_alias(alias: str) -> dict[str, str]:
    """Return the facts of an alias of ours; nothing for anybody else's."""
    words = alias.split()
    if not words or words[0] != _MARK:
        return {}
    return dict(word.split("=", 1) for word in words[1:] if "=" in word)
