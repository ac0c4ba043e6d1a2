"""Says what is served: the documents from which clients learn kinds, names and verbs. Pure, derived from `kube.kinds`.

Source: Kubernetes v1.36, apiserver/pkg/endpoints/discovery and discovery/aggregated (apidiscovery.k8s.io/v2).
"""

from functools import cache
from typing import Any

from pinnace.kube import kinds
from pinnace.kube.kinds import Kind


@cache
def build_api_versions() -> dict[str, Any]:
    """Return the answer of /api."""
    return {
        "kind": "APIVersions",
        "apiVersion": "v1",
        "versions": list(kinds.group_versions()[""]),
        "serverAddressByClientCIDRs": [],
    }


@cache
def build_group_list() -> dict[str, Any]:
    """Return the answer of /apis."""
    groups = [build_group(group) for group in kinds.group_versions() if group]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def build_group(group: str) -> dict[str, Any] | None:
    """Return one group as /apis/GROUP shows it, None if it isn't served."""
    versions = kinds.group_versions().get(group) if group else None
    if versions is None:
        return None
    listed = [{"groupVersion": f"{group}/{version}", "version": version} for version in versions]
    return {"name": group, "versions": listed, "preferredVersion": listed[0]}


@cache
def build_resource_list(group: str, version: str) -> dict[str, Any] | None:
    """Return the answer of /api/v1 or /apis/GROUP/VERSION, None if it isn't served."""
    rows = _rows(group, version)
    if not rows:
        return None
    resources = [resource for kind in rows for resource in _legacy_resources(kind)]
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": rows[0].api_version,
        "resources": resources,
    }


def _rows(group: str, version: str) -> list[Kind[Any]]:
    return [kind for kind in kinds.SERVED if (kind.group, kind.version) == (group, version)]


def _legacy_resources(kind: Kind[Any]) -> list[dict[str, Any]]:
    main: dict[str, Any] = {
        "name": kind.plural,
        "singularName": kind.singular,
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": sorted(kind.verbs),
    }
    if kind.short_names:
        main["shortNames"] = list(kind.short_names)
    if kind.categories:
        main["categories"] = list(kind.categories)
    parts = [_legacy_part(kind, part) for part in kind.subresources]
    return [main, *parts]


def _legacy_part(kind: Kind[Any], part: kinds.Subresource) -> dict[str, Any]:
    resource: dict[str, Any] = {
        "name": f"{kind.plural}/{part.name}",
        "singularName": "",
        "namespaced": kind.namespaced,
        "kind": part.kind or kind.kind,
        "verbs": sorted(part.verbs),
    }
    if part.group:
        resource |= {"group": part.group, "version": part.version}
    return resource


@cache
def build_aggregated(core: bool, version: str) -> dict[str, Any]:
    """Return all that is served in one document: the core group for /api, the others for /apis."""
    groups = [group for group in kinds.group_versions() if (not group) is core]
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": f"apidiscovery.k8s.io/{version}",
        "metadata": {},
        "items": [_aggregated_group(group) for group in groups],
    }


def _aggregated_group(group: str) -> dict[str, Any]:
    versions = [
        {
            "version": version,
            "resources": [_aggregated_resource(kind) for kind in _rows(group, version)],
            "freshness": "Current",
        }
        for version in kinds.group_versions()[group]
    ]
    return {"metadata": {"name": group} if group else {}, "versions": versions}


def _aggregated_resource(kind: Kind[Any]) -> dict[str, Any]:
    resource: dict[str, Any] = {
        "resource": kind.plural,
        "responseKind": {"group": kind.group, "version": kind.version, "kind": kind.kind},
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "singularResource": kind.singular,
        "verbs": sorted(kind.verbs),
    }
    if kind.short_names:
        resource["shortNames"] = list(kind.short_names)
    if kind.categories:
        resource["categories"] = list(kind.categories)
    if kind.subresources:
        resource["subresources"] = [_aggregated_part(kind, part) for part in kind.subresources]
    return resource


def _aggregated_part(kind: Kind[Any], part: kinds.Subresource) -> dict[str, Any]:
    if part.kind:
        group, version = (part.group, part.version) if part.version else (kind.group, kind.version)
        response = {"group": group, "version": version, "kind": part.kind}
    else:
        response = {"group": kind.group, "version": kind.version, "kind": kind.kind}
    return {"subresource": part.name, "responseKind": response, "verbs": sorted(part.verbs)}
