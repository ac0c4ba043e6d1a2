"""Patches. Strategic merge results are recorded from kubectl; the others are the RFCs' own examples."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.base.errors import ApiError, Reason
from pinnace.kube import kinds, patch
from pinnace.kube.objects import apps_v1, core_v1

RECORDED = json.loads((Path(__file__).parent / "strategic_merge.json").read_text())
ROWS = RECORDED["rows"]


def without_empty(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: without_empty(v) for k, v in value.items() if v not in ({}, None) or k == "emptyDir"}
    return [without_empty(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("row", ROWS, ids=[row["name"] for row in ROWS])
def test_strategic_merge_does_what_kubectl_does(row: dict[str, Any]) -> None:
    document, change = copy.deepcopy(RECORDED["object"]), copy.deepcopy(row["patch"])
    if row["result"] is None:
        with pytest.raises(ApiError) as error:
            patch.strategic_merge(document, change, core_v1.Pod)
        assert error.value.reason is Reason.BAD_REQUEST
    else:
        assert without_empty(patch.strategic_merge(document, change, core_v1.Pod)) == row["result"]
    assert (document, change) == (RECORDED["object"], row["patch"])  # neither is changed


def test_what_kubectl_apply_sends_for_a_new_image_changes_only_that() -> None:
    template = {"spec": {"containers": [{"name": "a", "image": "x:1"}, {"name": "b", "image": "y"}]}}
    change = {
        "spec": {
            "containers": [{"name": "a", "image": "x:2"}],
            "$setElementOrder/containers": [{"name": "a"}, {"name": "b"}],
        }
    }
    merged = patch.strategic_merge(
        {"spec": {"template": template}}, {"spec": {"template": change}}, apps_v1.Deployment
    )
    assert merged["spec"]["template"]["spec"] == {
        "containers": [{"name": "a", "image": "x:2"}, {"name": "b", "image": "y"}]
    }


def test_a_strategy_of_retain_keys_drops_what_is_not_named() -> None:
    document = {"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}}
    change = {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}
    assert patch.strategic_merge(document, change, apps_v1.Deployment) == {
        "spec": {"strategy": {"type": "Recreate"}}
    }


@pytest.mark.parametrize(
    ("document", "change", "result"),
    # Source: RFC 7386, appendix A
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch_follows_the_rfcs_table(document: Any, change: Any, result: Any) -> None:
    before = copy.deepcopy(document)
    assert patch.merge_patch(document, change) == result
    assert document == before


@pytest.mark.parametrize(
    ("document", "operations", "result"),
    # Source: RFC 6902, appendix A
    [
        ({"foo": "bar"}, [{"op": "add", "path": "/baz", "value": "qux"}], {"baz": "qux", "foo": "bar"}),
        (
            {"foo": ["bar", "baz"]},
            [{"op": "add", "path": "/foo/1", "value": "qux"}],
            {"foo": ["bar", "qux", "baz"]},
        ),
        ({"baz": "qux", "foo": "bar"}, [{"op": "remove", "path": "/baz"}], {"foo": "bar"}),
        ({"foo": ["bar", "qux", "baz"]}, [{"op": "remove", "path": "/foo/1"}], {"foo": ["bar", "baz"]}),
        (
            {"baz": "qux", "foo": "bar"},
            [{"op": "replace", "path": "/baz", "value": "boo"}],
            {"baz": "boo", "foo": "bar"},
        ),
        (
            {"foo": {"bar": "baz", "waldo": "fred"}, "qux": {"corge": "grault"}},
            [{"op": "move", "from": "/foo/waldo", "path": "/qux/thud"}],
            {"foo": {"bar": "baz"}, "qux": {"corge": "grault", "thud": "fred"}},
        ),
        (
            {"foo": ["all", "grass", "cows", "eat"]},
            [{"op": "move", "from": "/foo/1", "path": "/foo/3"}],
            {"foo": ["all", "cows", "eat", "grass"]},
        ),
        (
            {"baz": "qux", "foo": ["a", 2, "c"]},
            [{"op": "test", "path": "/baz", "value": "qux"}, {"op": "test", "path": "/foo/1", "value": 2}],
            {"baz": "qux", "foo": ["a", 2, "c"]},
        ),
        (
            {"foo": "bar"},
            [{"op": "add", "path": "/child", "value": {"g": {}}}],
            {"foo": "bar", "child": {"g": {}}},
        ),
        (
            {"foo": "bar"},
            [{"op": "add", "path": "/baz", "value": "qux", "xyz": 123}],
            {"foo": "bar", "baz": "qux"},
        ),
        ({"/": 9, "~1": 10}, [{"op": "test", "path": "/~01", "value": 10}], {"/": 9, "~1": 10}),
        ({"foo": ["bar"]}, [{"op": "add", "path": "/foo/-", "value": ["abc"]}], {"foo": ["bar", ["abc"]]}),
        (
            {"a": [1]},
            [{"op": "copy", "from": "/a", "path": "/b"}, {"op": "add", "path": "/b/-", "value": 2}],
            {"a": [1], "b": [1, 2]},
        ),
        ({"a": 1}, [{"op": "replace", "path": "", "value": {"b": 2}}], {"b": 2}),
    ],
)
def test_json_patch_follows_the_rfcs_examples(document: Any, operations: Any, result: Any) -> None:
    before = copy.deepcopy(document)
    assert patch.json_patch(document, operations) == result
    assert document == before


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "test", "path": "/baz", "value": "bar"},
        {"op": "test", "path": "/n", "value": True},
        {"op": "test", "path": "/n", "value": "1"},
        {"op": "add", "path": "/missing/x", "value": 1},
        {"op": "add", "path": "/list/2", "value": 1},
        {"op": "add", "path": "/list/-3", "value": 1},
        {"op": "add", "path": "/list/1.0", "value": 1},
        {"op": "replace", "path": "/n/missing", "value": 1},
        {"op": "jump", "path": "/a"},
        {"op": "add", "value": 1},
        {"op": "move", "path": "/a"},
        {},
        {"op": "remove", "path": "/missing"},
        {"op": "remove", "path": "/list/-"},
        {"op": "remove", "path": "/list/٠"},
        {"op": "move", "from": "/map", "path": "/map/a"},
        {"op": "copy", "from": "/missing", "path": "/x"},
        {"op": "add", "path": "baz", "value": 1},
    ],
)
def test_an_operation_that_does_not_apply_makes_the_patch_invalid(operation: Any) -> None:
    with pytest.raises(ApiError) as error:
        patch.json_patch({"baz": "qux", "n": 1, "list": [1], "map": {}}, [operation])
    assert error.value.reason is Reason.INVALID


@pytest.mark.parametrize(
    "operations",
    [
        {},
        "x",
        [1],
        [{"op": "add", "path": 1}],
        [{"op": "move", "path": "/a", "from": 1}],
        [{"op": []}],
    ],
)
def test_what_is_no_json_patch_is_a_bad_request(operations: Any) -> None:
    with pytest.raises(ApiError) as error:
        patch.json_patch({}, operations)
    assert error.value.reason is Reason.BAD_REQUEST


@pytest.mark.parametrize(
    ("operation", "result"),
    # Recorded from kubectl v1.37.1: kubectl patch --local --type json
    [
        ({"op": "add", "path": "/list/-1", "value": "z"}, {"list": ["a", "b", "c", "z"], "k": "v"}),
        ({"op": "add", "path": "/list/-2", "value": "z"}, {"list": ["a", "b", "z", "c"], "k": "v"}),
        ({"op": "add", "path": "/list/01", "value": "z"}, {"list": ["a", "z", "b", "c"], "k": "v"}),
        ({"op": "remove", "path": "/list/-1"}, {"list": ["a", "b"], "k": "v"}),
        ({"op": "replace", "path": "/list/-1", "value": "z"}, {"list": ["a", "b", "z"], "k": "v"}),
        ({"op": "replace", "path": "/none", "value": "z"}, {"list": ["a", "b", "c"], "k": "v", "none": "z"}),
        ({"op": "test", "path": "/list/-1", "value": "c"}, {"list": ["a", "b", "c"], "k": "v"}),
        ({"op": "test", "path": "/none", "value": None}, {"list": ["a", "b", "c"], "k": "v"}),
        ({"op": "test", "path": "/none"}, {"list": ["a", "b", "c"], "k": "v"}),
        ({"op": "add", "path": "/none"}, {"list": ["a", "b", "c"], "k": "v", "none": None}),
    ],
)
def test_json_patch_is_as_lenient_as_kubernetes(operation: Any, result: Any) -> None:
    assert patch.json_patch({"list": ["a", "b", "c"], "k": "v"}, [operation]) == result


@pytest.mark.parametrize(
    ("change", "message"),
    # Recorded from kubectl v1.37.1: kubectl patch --local --type strategic
    [
        (
            {"spec": {"strategy": {"$retainKeys": ["type"], "rollingUpdate": {}}}},
            "invalid patch format of retainKeys",
        ),
        ({"spec": {"strategy": {"$retainKeys": 1}}}, "invalid patch format of retainKeys"),
        ({"spec": {"strategy": {"$patch": "jump"}}}, "unknown patch type: jump in map: map[$patch:jump]"),
        (
            {"spec": {"template": {"spec": {"containers": [{"image": "x"}]}}}},
            "map: map[image:x] does not contain declared merge key: name",
        ),
        (
            {"spec": {"template": {"spec": {"containers": [{"name": "a", "$patch": "jump"}]}}}},
            "unknown patch type: jump in map: map[$patch:jump name:a]",
        ),
        (
            {"spec": {"template": {"spec": {"containers": [1]}}}},
            "list element types are not identical: [[map[name:a]] [1]]",
        ),
        (
            {"metadata": {"finalizers": [["a"]]}},
            "list element types are not identical: [[a/1 a/2] [[a]]]",
        ),
        (
            {"metadata": {"$setElementOrder/finalizers": ["a/1"], "finalizers": ["b/1"]}},
            "The order in patch list:\n[b/1]\n doesn't match $setElementOrder list:\n[a/1]\n",
        ),
        (
            {"metadata": {"$setElementOrder/finalizers": 1}},
            "expected a []interface {}, but received a int64",
        ),
    ],
)
def test_directives_that_make_no_sense_are_refused_in_kubernetes_words(change: Any, message: str) -> None:
    document = {
        "metadata": {"finalizers": ["a/1", "a/2"]},
        "spec": {
            "strategy": {"type": "RollingUpdate"},
            "template": {"spec": {"containers": [{"name": "a"}]}},
        },
    }
    with pytest.raises(ApiError) as error:
        patch.strategic_merge(document, change, apps_v1.Deployment)
    assert error.value.message == message


def test_what_is_not_retained_may_be_named_as_nothing() -> None:
    """The patch that kubectl apply sends for another strategy. Recorded from kubectl v1.37.1."""
    document = {"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}}
    change = {"spec": {"strategy": {"$retainKeys": ["type"], "rollingUpdate": None, "type": "Recreate"}}}
    merged = patch.strategic_merge(document, change, apps_v1.Deployment)
    assert merged == {"spec": {"strategy": {"type": "Recreate"}}}


def test_copies_of_copies_are_bounded() -> None:
    operations = [{"op": "copy", "from": "", "path": f"/{n}"} for n in range(100)]
    with pytest.raises(ApiError, match="exceed the limit"):
        patch.json_patch({"a": "x" * 1000}, operations)


def test_the_content_type_says_how_a_body_is_read() -> None:
    document = {"metadata": {"labels": {"a": "1"}}, "spec": {"containers": [{"name": "a", "image": "x"}]}}
    body = b'{"spec":{"containers":[{"name":"b","image":"y"}]}}'
    merged = patch.apply_patch(kinds.POD, patch.MERGE, body, document)
    strategic = patch.apply_patch(
        kinds.POD, "application/strategic-merge-patch+json; charset=utf-8", body, document
    )
    operations = patch.apply_patch(
        kinds.POD, patch.JSON, b'[{"op":"remove","path":"/metadata/labels"}]', document
    )
    assert [c["name"] for c in merged["spec"]["containers"]] == ["b"]
    assert [c["name"] for c in strategic["spec"]["containers"]] == ["b", "a"]
    assert operations["metadata"] == {}


@pytest.mark.parametrize(
    ("content_type", "body", "reason"),
    [
        ("application/json", b"{}", Reason.UNSUPPORTED_MEDIA_TYPE),
        (patch.MERGE, b"{", Reason.BAD_REQUEST),
        (patch.MERGE, b"[]", Reason.BAD_REQUEST),
        (patch.STRATEGIC, b'"x"', Reason.BAD_REQUEST),
        (patch.STRATEGIC, b'{"spec":{"containers":[1]}}', Reason.BAD_REQUEST),
        (patch.STRATEGIC, b'{"spec":{"$setElementOrder/containers":1}}', Reason.BAD_REQUEST),
        (patch.STRATEGIC, b'{"spec":{"$retainKeys":1}}', Reason.BAD_REQUEST),
        (patch.JSON, b"{}", Reason.BAD_REQUEST),
    ],
)
def test_what_can_not_be_read_is_refused(content_type: str, body: bytes, reason: Reason) -> None:
    with pytest.raises(ApiError) as error:
        patch.apply_patch(kinds.POD, content_type, body, {"spec": {"containers": [{"name": "a"}]}})
    assert error.value.reason is reason


NAMES = st.sampled_from("abcd")
CONTAINERS = st.lists(NAMES, unique=True, max_size=4).map(lambda names: [{"name": n} for n in names])


@given(CONTAINERS, CONTAINERS)
def test_a_merged_list_has_each_item_once_and_keeps_the_patchs_order(original: Any, change: Any) -> None:
    merged = patch.strategic_merge(
        {"spec": {"containers": original}}, {"spec": {"containers": change}}, core_v1.Pod
    )
    names = [c["name"] for c in merged["spec"]["containers"]]
    assert sorted(names) == sorted({c["name"] for c in (*original, *change)})
    assert [n for n in names if {"name": n} in change] == [c["name"] for c in change]
