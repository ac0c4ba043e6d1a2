from typing import Any

from pinnace.kube import kinds
from pinnace.kubeapi.subresources import SUBRESOURCES
from tests.unit.kubeapi.conftest import Kube

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"


async def test_the_core_group_and_the_others(kube: Kube) -> None:
    assert (await kube.get("/api"))["versions"] == ["v1"]
    groups = {group["name"]: group for group in (await kube.get("/apis"))["groups"]}
    assert groups["autoscaling"]["preferredVersion"] == {"groupVersion": "autoscaling/v2", "version": "v2"}
    alone = {"kind": "APIGroup", "apiVersion": "v1", **groups["autoscaling"]}
    assert await kube.get("/apis/autoscaling") == alone


async def test_resources_have_their_names_and_parts(kube: Kube) -> None:
    document = await kube.get("/apis/apps/v1")
    resources = {resource["name"]: resource for resource in document["resources"]}
    assert document["groupVersion"] == "apps/v1"
    assert resources["deployments"] == {
        "name": "deployments",
        "singularName": "deployment",
        "namespaced": True,
        "kind": "Deployment",
        "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
        "shortNames": ["deploy"],
        "categories": ["all"],
    }
    assert resources["deployments/scale"] == {
        "name": "deployments/scale",
        "singularName": "",
        "namespaced": True,
        "kind": "Scale",
        "verbs": ["get", "patch", "update"],
        "group": "autoscaling",
        "version": "v1",
    }


async def test_one_document_says_it_all(kube: Kube) -> None:
    core = await kube.get("/api", Accept=AGGREGATED)
    assert (
        kube.headers["Content-Type"] == "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    )
    others = await kube.get("/apis", Accept=AGGREGATED)
    served = {
        (group["metadata"].get("name", ""), version["version"], resource["resource"])
        for document in (core, others)
        for group in document["items"]
        for version in group["versions"]
        for resource in version["resources"]
    }
    assert served == {(kind.group, kind.version, kind.plural) for kind in kinds.SERVED}


async def test_both_forms_name_the_same_verbs(kube: Kube) -> None:
    def verbs(resource: dict[str, Any]) -> dict[str, list[str]]:
        parts = {part["subresource"]: part["verbs"] for part in resource.get("subresources", [])}
        return {resource["resource"]: resource["verbs"]} | {
            f"{resource['resource']}/{name}": listed for name, listed in parts.items()
        }

    legacy = {r["name"]: r["verbs"] for r in (await kube.get("/api/v1"))["resources"]}
    aggregated: dict[str, list[str]] = {}
    for resource in (await kube.get("/api", Accept=AGGREGATED))["items"][0]["versions"][0]["resources"]:
        aggregated |= verbs(resource)
    assert legacy == aggregated


def test_no_part_of_an_object_is_offered_that_nobody_serves() -> None:
    methods = {"get": "GET", "update": "PUT", "patch": "PATCH", "create": "POST", "delete": "DELETE"}
    offered = {
        (part.name, methods[v]) for kind in kinds.SERVED for part in kind.subresources for v in part.verbs
    }
    assert offered == set(SUBRESOURCES) - {("proxy", "HEAD"), ("proxy", "OPTIONS")}  # which no verb names
