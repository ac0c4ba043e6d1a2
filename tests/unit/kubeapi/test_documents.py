"""What is no resource: discovery in both forms, OpenAPI v2 and v3, health, metrics."""

import json
from typing import Any

import pytest
import yaml

from pinnace.kubeapi import openapi_v2
from pinnace.store.interface import StoreFailed
from tests.unit.kubeapi.conftest import PODS, Kube, pod

PROTOBUF = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
DISCOVERY = "application/json;g=apidiscovery.k8s.io;v={};as=APIGroupDiscoveryList,application/json"


# ---------------------------------------------------------------------- discovery


@pytest.mark.parametrize("version", ["v2", "v2beta1"])
async def test_discovery_in_one_document_is_tagged(kube: Kube, version: str) -> None:
    document = await kube.get("/apis", Accept=DISCOVERY.format(version))
    assert (document["kind"], document["apiVersion"]) == (
        "APIGroupDiscoveryList",
        f"apidiscovery.k8s.io/{version}",
    )
    assert (
        kube.headers["Content-Type"]
        == f"application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"
    )
    tag = kube.headers["ETag"]
    for known in (tag, f'"old", {tag}', f"W/{tag}"):
        status, _ = await kube.call("GET", "/apis", Accept=DISCOVERY.format(version), If_None_Match=known)
        assert status == 304


async def test_the_first_form_that_is_served_counts(kube: Kube) -> None:
    # Source: client-go v0.37, discovery_client.go: protobuf and newer forms first.
    accept = (
        "application/vnd.kubernetes.protobuf;g=apidiscovery.k8s.io;v=v3;as=APIGroupDiscoveryList,"
        + DISCOVERY.format("v2")
    )
    assert (await kube.get("/api", Accept=accept))["apiVersion"] == "apidiscovery.k8s.io/v2"
    assert (await kube.get("/apis", Accept="application/vnd.kubernetes.protobuf,*/*"))[
        "kind"
    ] == "APIGroupList"


async def test_discovery_can_be_read_as_yaml(kube: Kube) -> None:
    for path, kind in (("/api", "APIVersions"), ("/apis", "APIGroupList"), ("/apis/apps", "APIGroup"),
                       ("/apis/apps/v1", "APIResourceList"), ("/api/v1", "APIResourceList")):  # fmt: skip
        document = yaml.safe_load(await kube.get(path, Accept="application/yaml"))
        assert document.get("kind") == kind, path


async def test_a_document_that_only_protobuf_would_do_for_is_not_acceptable(kube: Kube) -> None:
    for path in ("/apis", "/apis/apps", "/api/v1"):
        assert (await kube.call("GET", path, Accept="application/vnd.kubernetes.protobuf"))[0] == 406


# ---------------------------------------------------------------------- OpenAPI


async def test_a_document_named_by_its_hash_may_be_kept_for_ever(kube: Kube) -> None:
    url = (await kube.get("/openapi/v3"))["paths"]["apis/apps/v1"]["serverRelativeURL"]
    assert (await kube.get(url))["openapi"].startswith("3.")
    assert kube.headers["Cache-Control"] == "public, immutable"
    assert kube.headers["Expires"].endswith("GMT")
    old = url.partition("=")[0] + "=0123"
    async with kube.session.get(f"http://kube{old}", allow_redirects=False) as response:
        assert (response.status, response.headers["Location"]) == (301, url)
    await kube.get(url.partition("?")[0])
    assert kube.headers["Cache-Control"] == "no-cache, private"


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*(references(part) for part in value.values()))
    return set().union(*(references(part) for part in value)) if isinstance(value, list) else set()


async def test_the_old_document_says_what_the_new_ones_say(kube: Kube) -> None:
    document = await kube.get("/openapi/v2")
    assert (document["swagger"], document["info"]["title"]) == ("2.0", "Kubernetes")
    defined = {f"#/definitions/{name}" for name in document["definitions"]}
    assert references(document) <= defined
    deployment = document["definitions"]["io.k8s.api.apps.v1.DeploymentSpec"]
    assert deployment["properties"]["template"]["$ref"] == "#/definitions/io.k8s.api.core.v1.PodTemplateSpec"
    assert deployment["properties"]["replicas"]["format"] == "int32"
    definitions = document["definitions"]
    assert definitions["io.k8s.apimachinery.pkg.util.intstr.IntOrString"]["type"] == "string"
    assert definitions["io.k8s.api.apps.v1.Deployment"]["x-kubernetes-group-version-kind"] == [
        {"group": "apps", "version": "v1", "kind": "Deployment"}
    ]
    patch = document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"]
    assert {"dryRun", "force", "body"} <= {parameter["name"] for parameter in patch["parameters"]}
    assert "application/strategic-merge-patch+json" in patch["consumes"]
    text = json.dumps(document)
    assert not any(
        f'"{word}":' in text.replace("JSONSchemaProps", "") for word in ("requestBody", "components")
    )


async def test_operations_have_names_of_their_own(kube: Kube) -> None:
    document = await kube.get("/openapi/v2")
    names = [
        o["operationId"] for item in document["paths"].values() for o in item.values() if isinstance(o, dict)
    ]
    assert len(names) == len(set(names))
    # Source: GET /openapi/v2 of a real server.
    assert {
        "listCoreV1PodForAllNamespaces", "listCoreV1NamespacedPod", "deleteCoreV1CollectionNamespacedPod",
        "readCoreV1NamespacedPodStatus", "replaceAppsV1NamespacedDeploymentScale", "readCoreV1Node",
        "connectCoreV1GetNamespacedPodExec", "createRbacAuthorizationV1ClusterRole", "patchAutoscalingV2NamespacedHorizontalPodAutoscaler",
    } <= set(names)  # fmt: skip


def parse(data: bytes) -> list[tuple[int, Any]]:
    """The fields of one protobuf message, by the format's own rules: https://protobuf.dev/programming-guides/encoding."""
    fields: list[tuple[int, Any]] = []
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return value

    while at < len(data):
        key = varint()
        if key & 7 == 2:
            size = varint()
            fields.append((key >> 3, data[at : at + size]))
            at += size
        elif key & 7 == 0:
            fields.append((key >> 3, varint()))
        else:
            assert key & 7 == 1
            fields.append((key >> 3, data[at : at + 8]))
            at += 8
    assert at == len(data)
    return fields


def one(data: bytes, number: int) -> Any:
    return next(value for key, value in parse(data) if key == number)


def named(data: bytes, number: int) -> dict[str, bytes]:
    return {one(entry, 1).decode(): one(entry, 2) for key, entry in parse(data) if key == number}


async def test_the_old_document_can_be_had_as_protobuf(kube: Kube) -> None:
    async with kube.session.get("http://kube/openapi/v2", headers={"Accept": PROTOBUF}) as response:
        assert response.content_type == openapi_v2.PROTOBUF
        data = await response.read()
    text = await kube.get("/openapi/v2")
    assert one(data, 1) == b"2.0"
    definitions = named(one(data, 9), 1)
    assert set(definitions) == set(text["definitions"])
    spec = definitions["io.k8s.api.apps.v1.DeploymentSpec"]
    properties = named(one(spec, 25), 1)
    assert one(properties["template"], 1) == b"#/definitions/io.k8s.api.core.v1.PodTemplateSpec"
    assert one(one(properties["replicas"], 22), 1) == b"integer"
    assert [value.decode() for key, value in parse(spec) if key == 19] == text["definitions"][
        "io.k8s.api.apps.v1.DeploymentSpec"
    ]["required"]
    kinds = named(definitions["io.k8s.api.apps.v1.Deployment"], 31)["x-kubernetes-group-version-kind"]
    assert json.loads(one(kinds, 2)) == [{"group": "apps", "version": "v1", "kind": "Deployment"}]
    assert set(named(one(data, 8), 2)) == set(text["paths"])


# ---------------------------------------------------------------------- health


@pytest.mark.parametrize("group", ["healthz", "livez", "readyz"])
async def test_health_is_told_in_one_word_or_check_by_check(kube: Kube, group: str) -> None:
    assert await kube.get(f"/{group}") == "ok"
    text = await kube.get(f"/{group}?verbose")
    shutdown = "[+]shutdown ok\n" if group == "readyz" else ""
    assert text == f"[+]ping ok\n[+]store ok\n{shutdown}{group} check passed\n"
    assert await kube.get(f"/{group}/ping") == "ok"
    assert await kube.get(f"/{group}/store") == "ok"
    assert (await kube.call("GET", f"/{group}/nonsense"))[0] == 404


async def test_a_check_that_fails_is_named_and_can_be_left_out(
    kube: Kube, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(kube.api.store), "failure", StoreFailed("disk full"))
    status, text = await kube.call("GET", "/livez")
    assert (status, text) == (500, "[+]ping ok\n[-]store failed: disk full\nlivez check failed\n")
    assert await kube.call("GET", "/livez/store") == (500, "internal server error: disk full\n")
    assert await kube.get("/livez?exclude=store") == "ok"
    text = await kube.get("/livez?verbose&exclude=store&exclude=moon")
    assert "[+]store excluded: ok\n" in text
    assert 'warn: some health checks cannot be excluded: no matches for "moon"\n' in text


async def test_the_root_names_what_is_served(kube: Kube) -> None:
    paths = (await kube.get("/"))["paths"]
    assert {"/api/v1", "/apis/apps/v1", "/livez/ping", "/readyz/shutdown", "/metrics", "/openapi/v3"} <= set(
        paths
    )


# ---------------------------------------------------------------------- metrics


def samples(text: str) -> dict[str, float]:
    found = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            assert name not in found, line
            found[name] = float(value)
    return found


async def test_metrics_have_kubernetes_names(kube: Kube) -> None:
    await kube.call("POST", PODS, pod("a"))
    await kube.get(PODS)
    await kube.get(f"{PODS}/a")
    await kube.call("GET", f"{PODS}/b")
    await kube.watch(f"{PODS}?watch=1", 1)
    found = samples(await kube.get("/metrics"))
    subject = (
        'group="",version="v1",resource="pods",subresource="",scope="{}",component="apiserver",dry_run=""'
    )

    def total(verb: str, scope: str, code: int) -> float:
        return found[f'apiserver_request_total{{verb="{verb}",{subject.format(scope)},code="{code}"}}']

    assert total("POST", "namespace", 201) == total("LIST", "namespace", 200) == 1
    assert total("GET", "resource", 200) == total("GET", "resource", 404) == 1
    buckets = [value for name, value in found.items()
               if name.startswith("apiserver_request_duration_seconds_bucket") and 'verb="GET"' in name and 'resource="pods"' in name]  # fmt: skip
    assert (buckets, buckets[-1]) == (sorted(buckets), 2)
    assert found['apiserver_current_inflight_requests{request_kind="readOnly"}'] == 1  # this one
    assert found['apiserver_current_inflight_requests{request_kind="mutating"}'] == 0
    assert found['apiserver_watch_events_total{group="",version="v1",resource="pods"}'] == 1
    assert found['apiserver_resource_objects{group="",resource="pods"}'] == 1
    assert found["pinnace_store_revision"] == kube.api.store.revision
    assert found["process_resident_memory_bytes"] > 1e6
    assert not any('verb="WATCH"' in name for name in found if name.startswith("apiserver_request_duration"))


async def test_open_watches_are_counted_while_they_last(kube: Kube) -> None:
    name = 'apiserver_longrunning_requests{verb="WATCH",group="",version="v1",resource="pods",component="apiserver"}'
    async with kube.session.get(f"http://kube{PODS}?watch=1&resourceVersion=1") as response:
        assert response.status == 200
        assert samples(await kube.get("/metrics"))[name] == 1
        assert (
            samples(await kube.get("/metrics"))[
                'apiserver_current_inflight_requests{request_kind="readOnly"}'
            ]
            == 1
        )
        response.close()
