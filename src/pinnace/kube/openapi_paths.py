"""The paths of OpenAPI documents: what may be done to each kind, where, and with which parameters.

Pure; called by `openapi` only. kubectl asks these paths whether a kind can be patched strategically, and whether a
request may carry `fieldValidation` or `dryRun`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pinnace.kube.kinds import Kind, Subresource

JsonObject = dict[str, Any]
Component = Callable[[str, str, str], str]  # (group, version, kind) -> name of its schema

META = "io.k8s.apimachinery.pkg.apis.meta.v1"
PATCH_TYPES = (
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
)

_PATCHES_OF_CUSTOM = PATCH_TYPES[:3]  # there is no Go type to merge strategically by


def _query(name: str, type: str = "string") -> JsonObject:
    return {"name": name, "in": "query", "schema": {"type": type, "uniqueItems": True}}


def _path(name: str) -> JsonObject:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "uniqueItems": True}}


_WRITE = (_query("dryRun"), _query("fieldManager"), _query("fieldValidation"))
_LIST = tuple(
    _query(name, type)
    for name, type in (
        ("allowWatchBookmarks", "boolean"),
        ("continue", "string"),
        ("fieldSelector", "string"),
        ("labelSelector", "string"),
        ("limit", "integer"),
        ("resourceVersion", "string"),
        ("resourceVersionMatch", "string"),
        ("sendInitialEvents", "boolean"),
        ("timeoutSeconds", "integer"),
        ("watch", "boolean"),
    )
)
_DELETE = (
    _query("dryRun"),
    _query("gracePeriodSeconds", "integer"),
    _query("orphanDependents", "boolean"),
    _query("propagationPolicy"),
)

# Verb -> (HTTP method, x-kubernetes-action, query parameters)
_ON_ALL: Mapping[str, tuple[str, str, tuple[JsonObject, ...]]] = {
    "list": ("get", "list", _LIST),
    "create": ("post", "post", _WRITE),
    "deletecollection": ("delete", "deletecollection", (*_LIST, *_DELETE)),
}
_ON_ONE: Mapping[str, tuple[str, str, tuple[JsonObject, ...]]] = {
    "get": ("get", "get", ()),
    "create": ("post", "post", _WRITE),
    "update": ("put", "put", _WRITE),
    "patch": ("patch", "patch", (*_WRITE, _query("force", "boolean"))),
    "delete": ("delete", "delete", _DELETE),
}


def paths_of(kind: Kind[Any], component: Component) -> Iterator[tuple[str, JsonObject]]:
    """Yield each path of a kind with its operations."""
    root = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
    base = f"{root}/namespaces/{{namespace}}/{kind.plural}" if kind.namespaced else f"{root}/{kind.plural}"
    outer = [_path("namespace")] if kind.namespaced else []
    inner = [_path("name"), *outer]
    if kind.namespaced and "list" in kind.verbs:
        every = _operations(kind, None, {"list": _ON_ALL["list"]}, ("list",), component, everywhere=True)
        yield f"{root}/{kind.plural}", {"parameters": [], **every}
    yield base, {"parameters": outer, **_operations(kind, None, _ON_ALL, kind.verbs, component)}
    named = tuple(verb for verb in kind.verbs if verb != "create")
    if operations := _operations(kind, None, _ON_ONE, named, component):
        yield f"{base}/{{name}}", {"parameters": inner, **operations}
    for part in kind.subresources:
        operations = _operations(kind, part, _ON_ONE, part.verbs, component)
        yield f"{base}/{{name}}/{part.name}", {"parameters": inner, **operations}


def _operations(
    kind: Kind[Any],
    part: Subresource | None,
    table: Mapping[str, tuple[str, str, tuple[JsonObject, ...]]],
    verbs: tuple[str, ...],
    component: Component,
    *,
    everywhere: bool = False,
) -> JsonObject:
    group, version, name = _body_kind(kind, part)
    schema = component(group, version, name)
    operations: JsonObject = {}
    for verb, (method, action, query) in table.items():
        if verb not in verbs:
            continue
        operation: JsonObject = {
            "operationId": _operation_id(kind, part, verb, method, everywhere),
            "x-kubernetes-action": "connect" if part and part.kind.endswith("Options") else action,
            "x-kubernetes-group-version-kind": {"group": group, "version": version, "kind": name},
            "responses": {"200": {"description": "OK", "content": _content(_answer(action, schema))}},
        }
        if query:
            operation["parameters"] = list(query)
        if body := _body(action, schema, _PATCHES_OF_CUSTOM if kind.custom is not None else PATCH_TYPES):
            operation["requestBody"] = body
        operations[method] = operation
    return operations


_ID_VERBS = {"get": "read", "update": "replace", "deletecollection": "delete"}


def _operation_id(kind: Kind[Any], part: Subresource | None, verb: str, method: str, everywhere: bool) -> str:
    """Return what client generators call an operation. Source: GET /openapi/v3 of a real server.

    Example: readAppsV1NamespacedDeploymentScale, listCoreV1PodForAllNamespaces, deleteCoreV1CollectionNode.
    """
    group = "".join(word.title() for word in (kind.group or "core").removesuffix(".k8s.io").split("."))
    where = "Namespaced" if kind.namespaced and not everywhere else ""
    many = "Collection" if verb == "deletecollection" else ""
    suffix = "ForAllNamespaces" if everywhere else part.name.title() if part else ""
    word = _ID_VERBS.get(verb, verb)
    if part and part.kind.endswith("Options"):
        word, many = "connect", method.title()
    return f"{word}{group}{kind.version.title()}{many}{where}{kind.kind}{suffix}"


def _body_kind(kind: Kind[Any], part: Subresource | None) -> tuple[str, str, str]:
    if part is None or not part.kind:
        return kind.group, kind.version, kind.kind
    return (part.group, part.version, part.kind) if part.version else (kind.group, kind.version, part.kind)


def _answer(action: str, schema: str) -> str:
    match action:
        case "list":
            return f"{schema}List"
        case "delete" | "deletecollection":
            return f"{META}.Status"
        case _:
            return schema


def _body(action: str, schema: str, patches: tuple[str, ...]) -> JsonObject | None:
    match action:
        case "post" | "put":
            return {"required": True, "content": _content(schema)}
        case "patch":
            reference = {"$ref": f"#/components/schemas/{META}.Patch"}
            return {"required": True, "content": {media: {"schema": reference} for media in patches}}
        case "delete" | "deletecollection":
            return {"content": _content(f"{META}.DeleteOptions")}
        case _:
            return None


def _content(schema: str) -> JsonObject:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
