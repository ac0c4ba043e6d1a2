"""A patch of named parts makes what a patch of the whole document makes, or says that it can't."""

import json
from typing import Any

import pytest

from pinnace.api.apply.tracking import Author
from pinnace.api.context import Context
from pinnace.api.patches import Patch, PatchType, patch_document, patch_named_parts, patch_object
from pinnace.api.strategy import with_meta
from pinnace.base.errors import ApiError
from pinnace.kube import codec, kinds
from pinnace.kube.kinds import Kind
from pinnace.kube.objects.meta_v1 import ManagedFieldsEntry
from tests.unit.api.builders import config_map, deployment, pod, service

OBJECTS = [
    (kinds.POD, pod("web", image="a:1", ports=[{"containerPort": 80}])),
    (kinds.DEPLOYMENT, deployment("web")),
    (kinds.SERVICE, service("web", ports=[{"port": 80}])),
    (kinds.CONFIG_MAP, config_map("web")),
]
PATCHES: list[Any] = [
    {},
    {"metadata": {"labels": {"a": "b", "app": None}}},
    {"metadata": {"annotations": {"turn": "1"}, "finalizers": ["x/y"]}},
    {"metadata": {"labels": None}},
    {"metadata": {"name": "other"}},
    {"metadata": {"namespace": "elsewhere"}},
    {"metadata": {"labels": {"a": 1}}},
    {"metadata": None},
    {"metadata": {"managedFields": [{}]}},
    {"metadata": {"managedFields": None}},
    {"spec": {"containers": [{"name": "main", "image": "b:2"}]}},
    {"spec": {"replicas": 3}, "metadata": {"labels": {"a": "b"}}},
    {"spec": {"replicas": "three"}},
    {"spec": None},
    {"spec": []},
    {"spec": {"unknown": 1}},
    {"spec": {"ports": [{"port": 81}]}},
    {"status": {"phase": "Running", "message": None}},
    {"data": {"a": "b", "b": None}},
    {"unknown": {"a": "b"}},
    {"kind": "Pod", "spec": {}},
    {"apiVersion": "v2", "spec": {}},
    {"$patch": "replace", "spec": {}},
    {"spec": {"$patch": "delete"}},
    {"spec": {"template": {"spec": {"containers": [{"name": "web", "image": None}]}}}},
    [],
    "text",
]
CONTEXT = Context(user="ann", groups=("system:masters",), field_validation="Warn")


def patched_whole(kind: Kind[Any], obj: Any, patch: Patch) -> Any:
    return codec.from_json(kind, patch_document(kind, codec.to_json(obj), patch, CONTEXT))


@pytest.mark.parametrize(("kind", "obj"), OBJECTS, ids=lambda value: getattr(value, "plural", ""))
@pytest.mark.parametrize("dialect", [PatchType.MERGE, PatchType.STRATEGIC])
@pytest.mark.parametrize("wanted", PATCHES, ids=str)
def test_parts_say_what_the_whole_says(kind: Kind[Any], obj: Any, dialect: PatchType, wanted: Any) -> None:
    obj = with_meta(obj, namespace="default", managed_fields=(ManagedFieldsEntry(manager="ann"),))
    patch = Patch(dialect.value, json.dumps(wanted).encode())
    quickly = patch_named_parts(kind, obj, patch, CONTEXT)
    if quickly is not None:
        assert quickly == patched_whole(kind, obj, patch)


def test_what_a_patch_does_not_name_stays_the_very_same() -> None:
    patch = Patch(PatchType.MERGE.value, b'{"metadata":{"labels":{"a":"b"}}}')
    one = pod("web")
    patched = patch_named_parts(kinds.POD, one, patch, CONTEXT)
    assert patched is not None and patched.metadata.labels["a"] == "b"
    assert patched.spec is one.spec and patched.status is one.status


@pytest.mark.parametrize(
    "wanted", [{"spec": {"replicas": "x"}}, {"spec": {"unknown": 1}}, [], {"spec": None}]
)
def test_what_there_is_something_to_say_of_is_left_to_the_whole_document(wanted: Any) -> None:
    patch = Patch(PatchType.MERGE.value, json.dumps(wanted).encode())
    assert patch_named_parts(kinds.DEPLOYMENT, deployment("web"), patch, CONTEXT) is None


def test_an_unknown_field_is_warned_of_once() -> None:
    context = Context(user="ann", groups=("system:masters",), field_validation="Warn")
    patch = Patch(PatchType.MERGE.value, b'{"spec":{"unknown":1}}')
    patch_object(kinds.POD, pod("web"), patch, context, Author(kinds.POD), 0.0)
    assert context.warnings == ['unknown field "spec.unknown"']


def test_another_name_is_refused_as_ever() -> None:
    patch = Patch(PatchType.MERGE.value, b'{"metadata":{"name":"other"}}')
    with pytest.raises(ApiError, match="does not match the name on the URL"):
        patch_object(kinds.POD, pod("web"), patch, CONTEXT, Author(kinds.POD), 0.0)
