"""Every kind and field is described in a sentence of our own, and `kubectl explain` finds it in OpenAPI."""

import re
from typing import Any

import msgspec
import pytest

from pinnace.kube import descriptions, openapi
from pinnace.kube.kinds import SERVED
from pinnace.kube.schema import Shape, schema_of

GROUP_VERSIONS = tuple(dict.fromkeys((kind.group, kind.version) for kind in SERVED))


def served_structs() -> dict[Any, None]:
    """Return the structs of all served kinds, and those that these are made of."""
    seen: dict[Any, None] = {}
    queue: list[Any] = [kind.type for kind in SERVED]
    while queue:
        struct = queue.pop()
        if struct in seen:
            continue
        seen[struct] = None
        for field in schema_of(struct).fields.values():
            shape: Shape | None = field.shape
            while shape is not None:
                if shape.struct is not None:
                    queue.append(shape.struct)
                shape = shape.item
    return seen


def test_no_field_of_a_served_kind_is_without_a_sentence() -> None:
    missing = []
    for struct in served_structs():
        module = struct.__module__.rpartition(".")[2]
        if not descriptions.describe_struct(module, struct.__name__):
            missing.append(f"{module}.{struct.__name__}")
        missing += [
            f"{module}.{struct.__name__}.{field}"
            for field in schema_of(struct).fields
            if not descriptions.describe_field(module, struct.__name__, field)
        ]
    assert missing == [], "add them to src/pinnace/kube/descriptions/"


@pytest.mark.parametrize(("group", "version"), GROUP_VERSIONS)
def test_no_kind_or_property_of_a_document_is_without_a_sentence(group: str, version: str) -> None:
    document = msgspec.json.decode(openapi.openapi_v3(group, version))
    missing = []
    for name, schema in document["components"]["schemas"].items():
        is_kind = "x-kubernetes-group-version-kind" in schema
        missing += [] if schema.get("description") or not is_kind else [name]
        missing += [
            f"{name}.{field}"
            for field, part in schema.get("properties", {}).items()
            if not part.get("description")
        ]
    assert missing == []


def test_the_same_sentence_is_not_said_twice_in_a_row() -> None:
    schemas = msgspec.json.decode(openapi.openapi_v3("apps", "v1"))["components"]["schemas"]
    spec = schemas["io.k8s.api.apps.v1.Deployment"]["properties"]["spec"]
    assert spec["description"] == "How many pods, which, and how they are replaced."
    assert "description" not in schemas["io.k8s.api.apps.v1.DeploymentSpec"]
    assert "description" in schemas["io.k8s.api.core.v1.Container"]


def test_no_sentence_is_about_something_that_is_not_there() -> None:
    structs = {(s.__module__.rpartition(".")[2], s.__name__): s for s in served_structs()}
    stale = [
        f"{module}.{name}.{field}"
        for module in {module for module, _ in structs}
        for name, table in descriptions.structs_of(module).items()
        if (struct := structs.get((module, name))) is not None
        for field in table
        if field and field not in schema_of(struct).fields
    ]
    assert stale == []


def test_sentences_are_sentences() -> None:
    odd = []
    for struct in served_structs():
        module = struct.__module__.rpartition(".")[2]
        table = descriptions.structs_of(module).get(struct.__name__, {})
        odd += [
            f"{module}.{struct.__name__}.{field}: {text}"
            for field, text in table.items()
            if not text.endswith((".", '"')) or len(text) > 220 or re.search(r"\s\s|TODO", text)
        ]
    assert odd == []


def test_a_structs_own_sentence_comes_before_those_that_are_shared() -> None:
    assert descriptions.describe_field("apps_v1", "DeploymentSpec", "minReadySeconds").startswith(
        "How many seconds a new pod"
    )
    assert descriptions.describe_field("apps_v1", "ReplicaSetSpec", "minReadySeconds").startswith(
        "How many seconds a pod"
    )
    assert (
        descriptions.describe_field("apps_v1", "ReplicaSet", "kind")
        == 'The kind of the object, such as "Pod".'
    )
    assert descriptions.describe_field("apps_v1", "ReplicaSet", "nothing") == ""


def test_a_line_that_is_no_field_is_refused() -> None:
    with pytest.raises(ValueError, match="line 2"):
        descriptions.parse_descriptions("[A] It is.\nno sentence\n")
