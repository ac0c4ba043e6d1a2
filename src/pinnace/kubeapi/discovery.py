"""Says what is served: the documents from which clients learn kinds, names and verbs. Pure, derived from `kube.kinds`.

Source: Kubernetes v1.36, apiserver/pkg/endpoints/discovery and discovery/aggregated (apidiscovery.k8s.io/v2).
"""

from typing import Any

from pinnace.kube.kind_table import BUILT_IN, KindTable
from pinnace.kube.kinds import Kind, Subresource


def build_api_versions(kinds: KindTable = BUILT_IN) -> dict[str, Any]:
    """Return the answer of /api."""
    return {
        "kind": "APIVersions",
        "apiVersion": "v1",
        "versions": list(kinds.group_versions()[""]),
        "serverAddressByClientCIDRs": [],
    }


def build_group_list(kinds: KindTable = BUILT_IN) -> dict[str, Any]:
    """Return the answer of /apis."""
    groups = [build_group(group, kinds) for group in kinds.group_versions() if group]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def build_group(group: str, kinds: KindTable = BUILT_IN) -> dict[str, Any] | None:
    """Return one group as /apis/GROUP shows it, None if it isn't served."""
    versions = kinds.group_versions().get(group) if group else None
    if versions is None:
        return None
    listed = [{"groupVersion": f"{group}/{version}", "version": version} for version in versions]
    return {"name": group, "versions": listed, "preferredVersion": listed[0]}


def build_resource_list(group: str, version: str, kinds: KindTable = BUILT_IN) -> dict[str, Any] | None:
    """Return the answer of /api/v1 or /apis/GROUP/VERSION, None if it isn't served."""
    rows = kinds.in_version(group, version)
    if not rows:
        return None
    resources = [resource for kind in rows for resource in _legacy_resources(kind)]
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": rows[0].api_version,
        "resources": resources,
    }


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


def _legacy_part(kind: Kind[Any], part: Subresource) -> dict[str, Any]:
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


def build_aggregated(core: bool, version: str, kinds: KindTable = BUILT_IN) -> dict[str, Any]:
    """Return all that is served in one document: the core group for /api, the others for /apis."""
    groups = [group for group in kinds.group_versions() if (not group) is core]
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": f"apidiscovery.k8s.io/{version}",
        "metadata": {},
        "items": [_aggregated_group(group, kinds) for group in groups],
    }


def _aggregated_group(group: str, kinds: KindTable) -> dict[str, Any]:
    versions = [
        {
            "version": version,
            "resources": [_aggregated_resource(kind) for kind in kinds.in_version(group, version)],
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


def _aggregated_part(kind: Kind[Any], part: Subresource) -> dict[str, Any]:
    if part.kind:
        group, version = (part.group, part.version) if part.version else (kind.group, kind.version)
        response = {"group": group, "version": version, "kind": part.kind}
    else:
        response = {"group": kind.group, "version": kind.version, "kind": kind.kind}
    return {"subresource": part.name, "responseKind": response, "verbs": sorted(part.verbs)}
