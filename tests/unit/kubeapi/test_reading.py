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


MERGE = "application/merge-patch+json"


async def test_pages_show_one_revision_whatever_is_written_meanwhile(three: Kube) -> None:
    first = await three.get(f"{PODS}?limit=1")
    await three.call("POST", PODS, pod("bb"))
    await three.call("PATCH", f"{PODS}/b", {"metadata": {"labels": {"app": "z"}}}, content_type=MERGE)
    await three.call("DELETE", f"{PODS}/c?gracePeriodSeconds=0")
    second = await three.get(f"{PODS}?limit=1&continue={first['metadata']['continue']}")
    third = await three.get(f"{PODS}?limit=1&continue={second['metadata']['continue']}")
    seen = [
        (i["metadata"]["name"], i["metadata"]["labels"]["app"])
        for p in (first, second, third)
        for i in p["items"]
    ]
    assert seen == [("a", "x"), ("b", "y"), ("c", "x")]
    assert [page["metadata"].get("remainingItemCount") for page in (first, second, third)] == [2, 1, None]
    assert {page["metadata"]["resourceVersion"] for page in (first, second, third)} == {
        first["metadata"]["resourceVersion"]
    }
    assert "continue" not in third["metadata"]


async def test_a_list_at_an_exact_revision_shows_the_past(three: Kube) -> None:
    revision = three.api.store.revision
    await three.call("DELETE", f"{PODS}/a?gracePeriodSeconds=0")
    assert await names(three, f"resourceVersion={revision}&resourceVersionMatch=Exact") == ["a", "b", "c"]
    # Without a match, a limit means the same. Source: the API concepts page, the table of list's semantics.
    assert await names(three, f"resourceVersion={revision}&limit=5") == ["a", "b", "c"]
    assert await names(three, f"resourceVersion={revision}&resourceVersionMatch=NotOlderThan") == ["b", "c"]
    assert await names(three, f"resourceVersion={revision}") == ["b", "c"]
    assert await names(three, "resourceVersion=0") == ["b", "c"]


async def test_an_exact_revision_that_is_forgotten_has_expired(three: Kube) -> None:
    await three.call("POST", PODS, pod("d"))
    await three.api.store.compact(three.api.store.revision)
    status, document = await three.call("GET", f"{PODS}?resourceVersion=2&resourceVersionMatch=Exact")
    assert (status, document["reason"]) == (410, "Expired")
    assert document["message"] == "The resourceVersion for the provided list is too old."


async def test_pages_of_a_selection_count_what_is_selected(three: Kube) -> None:
    first = await three.get(f"{PODS}?limit=1&labelSelector=app%3Dx")
    second = await three.get(f"{PODS}?limit=1&labelSelector=app%3Dx&continue={first['metadata']['continue']}")
    assert [i["metadata"]["name"] for i in (*first["items"], *second["items"])] == ["a", "c"]
    assert "continue" not in second["metadata"]


async def test_a_forgotten_page_can_be_gone_on_with_from_the_present(three: Kube) -> None:
    first = await three.get(f"{PODS}?limit=1")
    await three.call("DELETE", f"{PODS}/b?gracePeriodSeconds=0")
    await three.call("POST", PODS, pod("d"))
    await three.api.store.compact(three.api.store.revision)
    status, document = await three.call("GET", f"{PODS}?limit=1&continue={first['metadata']['continue']}")
    assert (status, document["reason"]) == (410, "Expired")
    assert "use the continue token in this response" in document["message"]
    rest = await three.get(f"{PODS}?limit=5&continue={document['metadata']['continue']}")
    assert [item["metadata"]["name"] for item in rest["items"]] == ["c", "d"]


# Expected: apimachinery/pkg/apis/meta/internalversion/validation, ValidateListOptions; storage.ValidateListOptions.
@pytest.mark.parametrize(
    ("query", "code", "words"),
    [
        ("resourceVersionMatch=Exact", 422, "resourceVersionMatch is forbidden unless resourceVersion is provided"),
        ("resourceVersionMatch=Exact&resourceVersion=0", 422, 'resourceVersionMatch "exact" is forbidden for'),
        ("resourceVersionMatch=Newest&resourceVersion=1", 422,
         'Unsupported value: "Newest": supported values: "Exact", "NotOlderThan", ""'),
        ("resourceVersionMatch=NotOlderThan&resourceVersion=1&continue=x", 422, "forbidden when continue is provided"),
        ("sendInitialEvents=true", 422, "sendInitialEvents is forbidden for list"),
        ("resourceVersion=abc", 400, 'strconv.ParseUint: parsing "abc": invalid syntax'),
        ("resourceVersion=-1", 400, "invalid syntax"),
        ("resourceVersion=99999999999999999999", 400, "value out of range"),
        ("limit=99999999999999999999", 400, "value out of range"),
        ("limit=1_0", 400, "invalid syntax"),
        ("continue=bm9uc2Vuc2U", 400, "invalid continue token: continue key is not valid"),
        ("continue=eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MSwic3RhcnQiOiIuLi94In0", 400, "continue key is not valid: ../x"),
    ],
)  # fmt: skip
async def test_a_list_that_contradicts_itself_is_refused(
    three: Kube, query: str, code: int, words: str
) -> None:
    status, document = await three.call("GET", f"{PODS}?{query}")
    assert status == code, document
    assert words in document["message"]


async def test_a_continued_list_names_no_revision_of_its_own(three: Kube) -> None:
    token = (await three.get(f"{PODS}?limit=1"))["metadata"]["continue"]
    assert (await three.get(f"{PODS}?limit=1&resourceVersion=0&continue={token}"))["items"]
    status, document = await three.call("GET", f"{PODS}?resourceVersion=1&continue={token}")
    assert (status, document["message"]) == (
        400, "specifying resource version is not allowed when using continue",
    )  # fmt: skip


async def test_get_takes_a_revision_that_it_must_have_reached(three: Kube) -> None:
    assert (await three.get(f"{PODS}/a?resourceVersion=0"))["kind"] == "Pod"
    assert (await three.get(f"{PODS}/a?resourceVersion=2"))["kind"] == "Pod"
    status, document = await three.call("GET", f"{PODS}/a?resourceVersion=999")
    assert (status, document["reason"]) == (504, "Timeout")
    status, _ = await three.call("GET", f"{PODS}/a?resourceVersion=x")
    assert status == 400


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


async def test_events_are_selected_in_the_words_of_each_version(kube: Kube) -> None:
    regarding = {"kind": "Pod", "namespace": "default", "name": "web"}
    event = {"metadata": {"name": "e"}, "involvedObject": regarding, "reason": "Pulled", "type": "Normal"}
    status, document = await kube.call("POST", "/api/v1/namespaces/default/events", event)
    assert status == 201, document
    for path, query, found in (
        ("/api/v1/namespaces/default/events", "involvedObject.name%3Dweb,reason%3DPulled", 1),
        ("/apis/events.k8s.io/v1/namespaces/default/events", "regarding.name%3Dweb,type%3DNormal", 1),
        ("/apis/events.k8s.io/v1/namespaces/default/events", "regarding.kind%3DNode", 0),
    ):
        assert len((await kube.get(f"{path}?fieldSelector={query}"))["items"]) == found, query
    path = "/apis/events.k8s.io/v1/namespaces/default/events?fieldSelector=involvedObject.name%3Dweb"
    status, document = await kube.call("GET", path)
    assert (status, document["message"]) == (400, "field label not supported: involvedObject.name")
    status, document = await kube.call(
        "GET", "/api/v1/namespaces/default/configmaps?fieldSelector=data.x%3Dy"
    )
    assert (status, document["message"]) == (
        400, '"data.x" is not a known field selector: only "metadata.name", "metadata.namespace"',
    )  # fmt: skip


async def test_endpoints_have_a_successor_and_say_so(kube: Kube) -> None:
    await kube.get("/api/v1/namespaces/default/endpoints")
    # Source: a server of Kubernetes v1.33 and later.
    assert kube.headers["Warning"] == (
        '299 - "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"'
    )
    async with kube.session.get("http://kube/api/v1/endpoints?watch=1&timeoutSeconds=1") as response:
        assert response.headers["Warning"] == kube.headers["Warning"]


async def test_a_patch_of_an_event_is_as_strict_as_an_update(kube: Kube) -> None:
    path = "/apis/events.k8s.io/v1/namespaces/default/events"
    event = {
        "metadata": {"name": "e"},
        "regarding": {"kind": "Pod", "namespace": "default", "name": "web"},
        "eventTime": "2026-01-02T00:00:00.000000Z",
        "type": "Normal",
        "reason": "Pulled",
        "action": "Pulling",
        "reportingController": "me.example/x",
        "reportingInstance": "me",
    }
    status, document = await kube.call("POST", path, event)
    assert status == 201, document
    merge = {"content_type": "application/merge-patch+json"}
    status, document = await kube.call("PATCH", f"{path}/e", {"note": "other"}, **merge)
    assert (status, document["details"]["causes"][0]["field"]) == (422, "message")
    series = {"count": 2, "lastObservedTime": "2026-01-02T00:00:01.000000Z"}
    status, document = await kube.call("PATCH", f"{path}/e", {"series": series}, **merge)
    assert (status, document["series"]) == (200, series)
    status, document = await kube.call("PATCH", f"{path}/e", {"series": {"count": 1}}, **merge)
    assert (status, document["details"]["causes"][0]["field"]) == (422, "series.count")
    # The core group's form knows no such rules.
    status, _ = await kube.call("PATCH", "/api/v1/namespaces/default/events/e", {"message": "other"}, **merge)
    assert status == 200
