"""Decides which container a person means: a name, a whole id, or the start of one id. Pure.

Source: moby, daemon/container.go, GetContainer (the order, and the words).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pinnace.base.errors import ApiError, Reason


def find_container(reference: str, ids: Iterable[str], names: Mapping[str, str]) -> str:
    """Return the id. `names` maps names to ids. Raises: ApiError NotFound, or BadRequest when several ids begin so.

    Example: "web", "/web", "4f2a" (if no other id begins so) and the 64 digits all mean one container.
    """
    name = reference.removeprefix("/")
    known = list(ids)
    if name in known:
        return name
    if name in names:
        return names[name]
    found = [one for one in known if name and one.startswith(name)]
    if len(found) > 1:
        raise ApiError(
            Reason.BAD_REQUEST,
            f"multiple IDs found with provided prefix: {name}",
            kind="containers",
            hint="give more of its digits, or its name: pinnace ps -a",
        )
    if not found:
        raise no_such_container(reference)
    return found[0]


def no_such_container(reference: str) -> ApiError:
    """Return the refusal in Docker's words."""
    return ApiError(
        Reason.NOT_FOUND,
        f"No such container: {reference}",
        kind="containers",
        name=reference,
        hint="pinnace ps -a shows them all",
    )
