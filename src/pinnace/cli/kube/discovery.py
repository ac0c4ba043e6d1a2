"""Finds kinds that are not built in: those that CustomResourceDefinitions have added to the instance.

Asked only for what the table of built-in kinds doesn't know, so that other commands need no request. What the server says
is remembered until a word is not in it.
"""

from __future__ import annotations

import json
from typing import Any

from pinnace.base.errors import PinnaceError
from pinnace.cli.client import Client
from pinnace.kube import kinds
from pinnace.kube.kinds import Kind, Subresource

_ACCEPT = {"Accept": "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"}

_known: list[Kind[Any]] = []


def find_custom(word: str) -> Kind[Any] | None:
    """Return the custom kind that a person names: "ct", "crontab", "crontabs.stable.example.com"."""
    wanted = word.lower()

    def matches(kind: Kind[Any]) -> bool:
        words = (kind.plural, kind.singular, *kind.short_names)
        return any(
            wanted in (one, f"{one}.{kind.group}", f"{one}.{kind.version}.{kind.group}") for one in words
        )

    return _find(matches)


def find_custom_version(api_version: str, name: str) -> Kind[Any] | None:
    """Return the custom kind of an object's apiVersion and kind."""
    return _find(lambda kind: (kind.api_version, kind.kind) == (api_version, name))


def find_custom_members(category: str) -> list[Kind[Any]]:
    """Return the custom kinds in a category, each in its preferred version; none where no daemon answers."""
    try:
        listed = _ask()
    except PinnaceError:
        return []
    members: dict[str, Kind[Any]] = {}
    for kind in listed:
        if category in kind.categories:
            members.setdefault(kind.group_resource, kind)
    return list(members.values())


def _find(matches: Any) -> Kind[Any] | None:
    for listed in (list(_known), None):
        for kind in _ask() if listed is None else listed:
            if matches(kind):
                return kind
    return None


def _ask() -> list[Kind[Any]]:
    document = json.loads(Client().open("GET", "/apis", headers=_ACCEPT).read())
    found = []
    for group in document.get("items", ()):
        name = group.get("metadata", {}).get("name", "")
        for version in group.get("versions", ()):
            for resource in version.get("resources", ()):
                if kinds.by_plural(name, version["version"], resource["resource"]) is None:
                    found.append(_read(name, version["version"], resource))
    _known[:] = found
    return found


def _read(group: str, version: str, resource: dict[str, Any]) -> Kind[Any]:
    parts = tuple(
        kinds.SCALE_SUBRESOURCE if part["subresource"] == "scale" else Subresource(part["subresource"])
        for part in resource.get("subresources", ())
    )
    return Kind(
        group,
        version,
        resource["responseKind"]["kind"],
        resource["resource"],
        "custom.CustomObject",
        namespaced=resource.get("scope") == "Namespaced",
        short_names=tuple(resource.get("shortNames", ())),
        categories=tuple(resource.get("categories", ())),
        subresources=parts,
        verbs=tuple(resource.get("verbs", ())),
        singular_name=resource.get("singularResource", ""),
    )
