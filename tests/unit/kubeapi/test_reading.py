from typing import Any

import pytest
import yaml

from tests.unit.kubeapi.conftest import PODS, Kube, pod

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


async def names(kube: Kube, query: str) -> list[str]:
    return [item["metadata"]["name"] for item in (await kube.get(f"{PODS}?{query}"))["items"]]


@pytest.fixture
async def three(kube: Kube) -> Kube:
    for name, app in (("a", "x"), ("b", "y"), ("c", "x")):
        status, document = await kube.call("POST", PODS, pod(name, labels={"app": app}))
        assert status == 201, document
    return kube


async def test_get_answers_with_the_stored_bytes(three: Kube) -> None:
    from pinnace.kube import kinds

    async with three.session.get(f"http://kube{PODS}/a") as response:
        assert await response.read() == three.api.get_raw(kinds.POD, "default", "a").value


async def test_a_missing_object_is_a_status(kube: Kube) -> None:
    assert await kube.call("GET", f"{PODS}/web") == (
        404,
        {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": 'pods "web" not found',
            "reason": "NotFound",
            "details": {"name": "web", "kind": "pods"},
            "code": 404,
        },
    )


async def test_a_list_carries_its_revision(three: Kube) -> None:
    document = await three.get("/api/v1/pods")
    assert (document["kind"], document["apiVersion"]) == ("PodList", "v1")
    assert document["metadata"] == {"resourceVersion": str(three.api.store.revision)}
    assert [item["metadata"]["name"] for item in document["items"]] == ["a", "b", "c"]


async def test_selectors_choose(three: Kube) -> None:
    assert await names(three, "labelSelector=app%3Dx") == ["a", "c"]
    assert await names(three, "labelSelector=app+notin+(x)") == ["b"]
    assert await names(three, "fieldSelector=metadata.name%3Db") == ["b"]
    assert await names(three, "fieldSelector=status.phase!%3DPending") == []
    assert await names(three, "fieldSelector=spec.restartPolicy%3DAlways,metadata.name!%3Da") == ["b", "c"]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("fieldSelector=spec.colour%3Dred", "field label not supported: spec.colour"),
        (
            "labelSelector=a+b",
            "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt",
        ),
        ("limit=many", 'limit: strconv.ParseInt: parsing "many": invalid syntax'),
        ("continue=!!", None),
    ],
)
async def test_what_cannot_be_asked_is_a_bad_request(kube: Kube, query: str, message: str | None) -> None:
    status, document = await kube.call("GET", f"{PODS}?{query}")
    assert (status, document["reason"]) == (400, "BadRequest")
    assert message is None or document["message"] == message


async def test_pages_cover_the_whole_and_keep_the_first_revision(three: Kube) -> None:
    first = await three.get(f"{PODS}?limit=2")
    await three.call("POST", PODS, pod("d"))
    token = first["metadata"]["continue"]
    second = await three.get(f"{PODS}?limit=2&continue={token}")
    assert [i["metadata"]["name"] for i in first["items"]] == ["a", "b"]
    assert [i["metadata"]["name"] for i in second["items"]] == ["c", "d"]
    assert first["metadata"]["remainingItemCount"] == 1
    assert second["metadata"] == {"resourceVersion": first["metadata"]["resourceVersion"]}


async def test_pages_of_a_selection_count_what_is_selected(three: Kube) -> None:
    first = await three.get(f"{PODS}?limit=1&labelSelector=app%3Dx")
    second = await three.get(f"{PODS}?limit=1&labelSelector=app%3Dx&continue={first['metadata']['continue']}")
    assert [i["metadata"]["name"] for i in (*first["items"], *second["items"])] == ["a", "c"]
    assert "continue" not in second["metadata"]


async def test_a_page_whose_beginning_is_forgotten_has_expired(three: Kube) -> None:
    first = await three.get(f"{PODS}?limit=2")
    await three.call("POST", PODS, pod("d"))
    await three.api.store.compact(three.api.store.revision)
    status, document = await three.call("GET", f"{PODS}?limit=2&continue={first['metadata']['continue']}")
    assert (status, document["reason"]) == (410, "Expired")


async def test_a_revision_that_is_not_yet_asks_to_wait(kube: Kube) -> None:
    status, document = await kube.call("GET", f"{PODS}?resourceVersion=999")
    assert (status, document["reason"]) == (504, "Timeout")
    assert kube.headers["Retry-After"] == "1"


async def test_a_table_has_columns_and_metadata(three: Kube) -> None:
    table = await three.get(PODS, Accept=TABLE)
    assert (table["kind"], table["apiVersion"]) == ("Table", "meta.k8s.io/v1")
    assert [column["name"] for column in table["columnDefinitions"]][:5] == [
        "Name", "Ready", "Status", "Restarts", "Age",
    ]  # fmt: skip
    row = table["rows"][0]
    assert row["cells"][:4] == ["a", "0/1", "Pending", "0"]
    assert (row["object"]["kind"], row["object"]["metadata"]["name"]) == ("PartialObjectMetadata", "a")
    assert "spec" not in row["object"]


async def test_a_table_can_carry_whole_objects_or_none(three: Kube) -> None:
    whole = await three.get(f"{PODS}?includeObject=Object", Accept=TABLE)
    assert whole["rows"][0]["object"]["spec"]["containers"][0]["name"] == "c0"
    none = await three.get(f"{PODS}?includeObject=None", Accept=TABLE)
    assert "object" not in none["rows"][0]
    status, _ = await three.call("GET", f"{PODS}?includeObject=Some", Accept=TABLE)
    assert status == 400


async def test_metadata_only(three: Kube) -> None:
    accept = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
    document = await three.get(PODS, Accept=accept)
    assert document["kind"] == "PartialObjectMetadataList"
    assert [set(item) for item in document["items"]] == [{"kind", "apiVersion", "metadata"}] * 3


async def test_yaml_is_served_on_wish(three: Kube) -> None:
    text = await three.get(f"{PODS}/a", Accept="application/yaml")
    assert yaml.safe_load(text)["metadata"]["name"] == "a"


async def test_protobuf_alone_is_not_acceptable(kube: Kube) -> None:
    status, document = await kube.call("GET", PODS, Accept="application/vnd.kubernetes.protobuf")
    assert (status, document["reason"]) == (406, "NotAcceptable")


async def test_another_version_is_converted(kube: Kube) -> None:
    hpa: dict[str, Any] = {
        "apiVersion": "autoscaling/v1",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "maxReplicas": 5,
            "targetCPUUtilizationPercentage": 70,
        },
    }
    path = "/apis/autoscaling/{}/namespaces/default/horizontalpodautoscalers"
    status, created = await kube.call("POST", path.format("v1"), hpa)
    assert (status, created["apiVersion"]) == (201, "autoscaling/v1"), created
    modern = await kube.get(path.format("v2") + "/web")
    assert modern["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"] == 70
    listed = await kube.get(path.format("v1"))
    assert listed["items"][0]["spec"]["targetCPUUtilizationPercentage"] == 70
    events = await kube.watch(path.format("v1") + "?watch=1", 1)
    assert events[0]["object"]["apiVersion"] == "autoscaling/v1"
    table = await kube.get(path.format("v1"), Accept=TABLE)
    assert table["rows"][0]["cells"][2] == "cpu: <unknown>/70%"
