"""Decides which containers `ps --filter` shows. Pure.

Filters of one key are alternatives, different keys must all hold. Source: Docker's documentation, docker container ls, filters.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from pinnace.base.errors import UserError
from pinnace.engine.health import NONE
from pinnace.kube.objects.pinnace_v1 import Container


class Subject(NamedTuple):
    """What filters look at: the container, and the names and id of its image."""

    container: Container
    image_names: tuple[str, ...] = ()


Test = Callable[[Subject, str], bool]


def _name(subject: Subject, value: str) -> bool:
    try:
        return (
            re.search(value, subject.container.spec.name) is not None
            or re.search(value, f"/{subject.container.spec.name}") is not None
        )
    except re.error:
        return value in subject.container.spec.name


def _label(subject: Subject, value: str) -> bool:
    key, equal, wanted = value.partition("=")
    labels = subject.container.spec.labels
    return key in labels and (not equal or labels[key] == wanted)


def _ancestor(subject: Subject, value: str) -> bool:
    spec = subject.container.spec
    short = spec.image_id.removeprefix("sha256:")
    tagged = value if ":" in value or "@" in value else f"{value}:latest"
    return (
        value in (spec.image, spec.image_id)
        or (len(value) >= 4 and short.startswith(value))
        or tagged in (spec.image, *subject.image_names)
    )


def _volume(subject: Subject, value: str) -> bool:
    return any(value in (mount.source, mount.target) for mount in subject.container.spec.mounts)


def _published(subject: Subject, value: str) -> bool:
    port, _, protocol = value.partition("/")
    return any(
        str(b.container_port) == port and b.protocol == (protocol or "tcp")
        for b in subject.container.spec.ports
    )


TESTS: Mapping[str, Test] = {
    "id": lambda s, value: s.container.metadata.name.startswith(value),
    "name": _name,
    "status": lambda s, value: s.container.status.state == value,
    "exited": lambda s, value: (
        s.container.status.state == "exited" and str(s.container.status.exit_code) == value
    ),
    "label": _label,
    "ancestor": _ancestor,
    "volume": _volume,
    "publish": _published,
    "expose": lambda s, value: (value if "/" in value else f"{value}/tcp") in s.container.spec.exposed,
    "network": lambda s, value: s.container.spec.network == value,
    "health": lambda s, value: (s.container.status.health or NONE) == value,
}


def parse_filters(texts: Iterable[str]) -> dict[str, list[str]]:
    """Return key → values. Raises: UserError for a filter that there isn't."""
    filters: dict[str, list[str]] = {}
    for text in texts:
        key, equal, value = text.partition("=")
        if not equal or key not in TESTS:
            raise UserError(f"invalid filter {text!r}", f"KEY=VALUE, with one of {', '.join(sorted(TESTS))}")
        filters.setdefault(key, []).append(value)
    return filters


def matches(subject: Subject, filters: Mapping[str, Iterable[str]]) -> bool:
    """Say whether a container is to be shown."""
    return all(any(TESTS[key](subject, value) for value in values) for key, values in filters.items())
