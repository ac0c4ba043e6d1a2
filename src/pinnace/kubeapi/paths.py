"""Reads a request's path: which kind, namespace, object and subresource it names. Pure.

One routing table, derived from the table of kinds: a new kind needs nothing here.
Source: Kubernetes v1.36, apiserver/pkg/endpoints/request/requestinfo.go.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from pinnace.kube.kind_table import BUILT_IN, KindTable
from pinnace.kube.kinds import Kind


@dataclass(frozen=True, slots=True)
class Target:
    """What a path names. Shape: `name` is "" for a collection, `namespace` for all namespaces or for none."""

    kind: Kind[Any]
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    watch: bool = False
    rest: str = ""


def parse_target(path: str, kinds: KindTable = BUILT_IN) -> Target | None:
    """Return what the path names, or None if it is no path of a served kind.

    `path` is still percent-encoded: a name may hold a slash or a colon in that form.
    Example: "/apis/apps/v1/namespaces/default/deployments/web/scale".
    """
    parts = path.split("/")
    if parts[1] == "api":
        group, version, rest = "", parts[2] if len(parts) > 2 else "", parts[3:]
    elif parts[1] == "apis" and len(parts) > 3 and parts[2]:
        group, version, rest = parts[2], parts[3], parts[4:]
    else:
        return None
    routes = kinds.routes.get((group, version))
    if routes is None or not rest:
        return None
    watch = rest[0] == "watch" and len(rest) > 1
    if watch:
        rest = rest[1:]
    if not rest[-1]:
        rest = rest[:-1]
    return _find(routes, rest, watch)


def _find(routes: Mapping[str, Kind[Any]], rest: list[str], watch: bool) -> Target | None:
    namespace = ""
    if len(rest) > 2 and rest[0] == "namespaces" and not _is_part_of_namespace(routes, rest):
        namespace, rest = unquote(rest[1]), rest[2:]
    if not rest:
        return None
    kind = routes.get(rest[0])
    if kind is None or (namespace and not kind.namespaced):
        return None
    name = unquote(rest[1]) if len(rest) > 1 else ""
    if name and kind.namespaced and not namespace:
        return None
    subresource = rest[2] if len(rest) > 2 else ""
    return Target(kind, namespace, name, subresource, watch, "/".join(rest[3:]))


def _is_part_of_namespace(routes: Mapping[str, Kind[Any]], rest: list[str]) -> bool:
    """Whether /namespaces/NAME/WORD means a subresource of the namespace, not a kind inside it."""
    own = routes.get("namespaces")
    return own is not None and len(rest) == 3 and own.subresource(rest[2]) is not None
