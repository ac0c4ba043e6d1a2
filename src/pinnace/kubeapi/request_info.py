"""Reads from method, path and query what a request asks for, as authorization sees it. Pure.

It knows no kinds: a resource that nobody serves is refused, not "not found", to those who may not see it.
Source: Kubernetes v1.36, apiserver/pkg/endpoints/request/requestinfo.go.
"""

from functools import lru_cache
from urllib.parse import unquote

from pinnace.api.access.attributes import Attributes
from pinnace.kubeapi.query import Query, parse_query

_VERBS = {
    "POST": "create",
    "GET": "get",
    "HEAD": "get",
    "PUT": "update",
    "PATCH": "patch",
    "DELETE": "delete",
}
_NAMESPACE_PARTS = frozenset({"status", "finalize"})
_SPECIAL = frozenset({"proxy", "watch"})
_KEPT_BYTES = 512  # a stranger's endless paths must not fill the memory


def read_attributes(method: str, path: str, query_text: str) -> Attributes:
    """Return what is asked. `path` is still percent-encoded.

    Example: GET /api/v1/namespaces/a/pods?watch=1 is watch of pods in the namespace a; GET /api/v1/namespaces/a is get of
    the namespace a, which counts as being in itself.
    """
    asked = _read_known(method, path) if len(path) <= _KEPT_BYTES else _read_path(method, path)
    if asked.resource and not asked.name and asked.verb == "get":
        query = parse_query(query_text)
        watches = "watch" in query and query.flag("watch")
        return asked._replace(verb="watch" if watches else "list", name=_selected_name(query))
    if asked.resource and not asked.name and asked.verb == "delete":
        return asked._replace(verb="deletecollection")
    return asked


def _read_path(method: str, path: str) -> Attributes:
    other = Attributes(method.lower(), path=unquote(path))
    parts = path.strip("/").split("/")
    if len(parts) < 3 or parts[0] not in ("api", "apis"):
        return other
    group, parts = ("", parts[1:]) if parts[0] == "api" else (parts[1], parts[2:])
    if len(parts) < 2:
        return other
    version, parts = parts[0], [unquote(part) for part in parts[1:]]
    verb = _VERBS.get(method, "")
    if parts[0] in _SPECIAL and len(parts) > 1:  # alone it is a kind's name, as for `paths.py`
        verb, parts = parts[0], parts[1:]
    namespace = ""
    if parts[0] == "namespaces" and len(parts) > 1:
        namespace = parts[1]
        if len(parts) > 2 and parts[2] not in _NAMESPACE_PARTS:
            parts = parts[2:]
    return Attributes(
        verb,
        unquote(group),
        version,
        resource=parts[0],
        subresource=parts[2] if len(parts) > 2 and verb != "proxy" else "",
        namespace=namespace,
        name=parts[1] if len(parts) > 1 else "",
    )


_read_known = lru_cache(maxsize=8192)(_read_path)


def _selected_name(query: Query) -> str:
    """Return the one name that a field selector leaves."""
    for term in query.text("fieldSelector").split(","):
        key, sign, value = term.partition("=")
        if key == "metadata.name" and sign:
            name = value.removeprefix("=")
            return name if name and "/" not in name and "%" not in name else ""
    return ""
