"""CustomResourceDefinitions: what is refused, which names are held, what is in force, and what a restart finds."""

import asyncio
import copy
from typing import Any

import pytest
from msgspec.structs import replace

from pinnace.api.context import Context
from pinnace.api.custom.conditions import decide_status, find_condition
from pinnace.api.facade import Api
from pinnace.api.patches import Patch
from pinnace.api.versions import render_stored
from pinnace.base.chance import Chance
from pinnace.base.errors import ApiError, Reason
from pinnace.kube import codec, kinds
from pinnace.kube.objects.custom import CustomObject
from tests.unit.api.builders import NOW, decode, make_api

SPEC = {
    "type": "object",
    "properties": {"size": {"type": "integer", "default": 1}, "note": {"type": "string"}},
}


def version(
    name: str = "v1", *, storage: bool = True, served: bool = True, spec: Any = SPEC, **more: Any
) -> Any:
    schema = {
        "openAPIV3Schema": {
            "type": "object",
            "properties": {
                "spec": spec,
                "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
            },
        }
    }
    return {"name": name, "served": served, "storage": storage, "schema": schema, **more}


def definition(plural: str = "samples", kind: str = "Sample", versions: Any = None, **spec: Any) -> Any:
    return decode(
        kinds.CUSTOM_RESOURCE_DEFINITION,
        {
            "metadata": {"name": f"{plural}.example.com"},
            "spec": {
                "group": "example.com",
                "scope": "Namespaced",
                "names": {"plural": plural, "kind": kind},
                "versions": versions or [version()],
                **spec,
            },
        },
    )


def sample(
    name: str = "a", api_version: str = "example.com/v1", kind: str = "Sample", **body: Any
) -> CustomObject:
    from pinnace.kube.objects.meta_v1 import ObjectMeta

    meta = ObjectMeta(name=name, namespace="default")
    return CustomObject(api_version=api_version, kind=kind, metadata=meta, body=body or {"spec": {}})


def conditions(api: Api, plural: str = "samples") -> dict[str, tuple[str, str]]:
    crd = api.get(kinds.CUSTOM_RESOURCE_DEFINITION, "", f"{plural}.example.com")
    return {one.type: (one.status, one.reason) for one in crd.status.conditions}


async def test_a_definition_is_in_force_when_its_creation_returns() -> None:
    api, _ = await make_api()
    crd = await api.create(definition())
    assert conditions(api) == {
        "NamesAccepted": ("True", "NoConflicts"),
        "Established": ("True", "InitialNamesAccepted"),
    }
    assert crd.status.stored_versions == ("v1",)
    assert crd.status.accepted_names == crd.spec.names
    assert crd.spec.names.list_kind == "SampleList"
    assert crd.spec.conversion is not None
    assert crd.spec.conversion.strategy == "None"
    created = await api.create(sample())
    assert created.body == {"spec": {"size": 1}}
    assert created.metadata.generation == 1


async def test_without_its_definition_a_kind_is_not_served() -> None:
    api, _ = await make_api()
    with pytest.raises(ApiError, match="could not find the requested resource"):
        await api.create(sample())


async def test_names_in_use_are_refused_until_they_are_free() -> None:
    api, _ = await make_api()
    await api.create(definition())
    await api.create(definition("others", "Sample"))
    assert conditions(api, "others")["NamesAccepted"] == ("False", "ListKindConflict")
    assert conditions(api, "others")["Established"] == ("False", "NotAccepted")
    assert api.kinds.by_plural("example.com", "v1", "others") is None
    await api.delete(kinds.CUSTOM_RESOURCE_DEFINITION, "", "samples.example.com")
    await api.change(
        kinds.CUSTOM_RESOURCE_DEFINITION,
        "",
        "samples.example.com",
        lambda crd: replace(crd, metadata=replace(crd.metadata, finalizers=())),
        subresource="status",
    )
    assert api.find(kinds.CUSTOM_RESOURCE_DEFINITION, "", "samples.example.com") is None
    assert conditions(api, "others")["Established"] == ("True", "InitialNamesAccepted")
    assert api.kinds.by_plural("example.com", "v1", "samples") is None


async def test_a_status_that_is_right_is_left_alone() -> None:
    crd = definition()
    status = decide_status(crd, [], NOW)
    assert decide_status(replace(crd, status=status), [], NOW + 9) == status
    found = find_condition(replace(crd, status=status), "Established")
    assert found is not None
    assert found.last_transition_time == "2026-01-02T00:00:00Z"


async def test_a_restart_finds_definitions_and_objects_at_once() -> None:
    api, clock = await make_api()
    await api.create(definition())
    await api.create(sample(spec={"size": 5}))
    again = Api(api.store, clock, Chance(8))
    kind = again.kinds.by_plural("example.com", "v1", "samples")
    assert kind is not None
    assert again.get(kind, "default", "a").body == {"spec": {"size": 5}}


async def test_versions_show_one_object_each_by_its_own_schema() -> None:
    other = {
        "type": "object",
        "properties": {"size": {"type": "integer"}, "colour": {"type": "string", "default": "red"}},
    }
    api, _ = await make_api()
    await api.create(definition(versions=[version(), version("v2", storage=False, spec=other)]))
    v1, v2 = (api.kinds.by_plural("example.com", name, "samples") for name in ("v1", "v2"))
    assert v1 is not None and v2 is not None
    await api.create(sample(spec={"size": 2, "note": "hello"}))
    assert api.get(v2, "default", "a").body == {"spec": {"size": 2, "colour": "red"}}
    assert (
        codec.decode_json(render_stored(v2, api.get_raw(v2, "default", "a")))["apiVersion"]
        == "example.com/v2"
    )
    patched = await api.patch(
        v2, "default", "a", Patch("application/merge-patch+json", b'{"spec":{"size":3}}')
    )
    assert patched.api_version == "example.com/v2"
    # What v2 doesn't know is lost when it is written through v2, as in Kubernetes without a webhook.
    assert api.get(v1, "default", "a").body == {"spec": {"size": 3}}
    assert codec.decode_json(api.get_raw(v1, "default", "a").value)["apiVersion"] == "example.com/v1"


async def test_the_storage_version_can_move_and_old_objects_are_read_in_the_new_one() -> None:
    api, _ = await make_api()
    await api.create(definition(versions=[version(), version("v2", storage=False)]))
    await api.create(sample())
    crd = api.get(kinds.CUSTOM_RESOURCE_DEFINITION, "", "samples.example.com")
    first, second = crd.spec.versions
    moved = replace(
        crd.spec, versions=(replace(first, storage=False, served=False), replace(second, storage=True))
    )
    crd = await api.update(replace(crd, spec=moved))
    assert crd.status.stored_versions == ("v1", "v2")
    assert api.kinds.by_plural("example.com", "v1", "samples") is None
    kind = api.kinds.by_plural("example.com", "v2", "samples")
    assert kind is not None
    assert api.get(kind, "default", "a").api_version == "example.com/v2"
    record = api.get_raw(kind, "default", "a")
    assert codec.decode_json(render_stored(kind, record))["apiVersion"] == "example.com/v2"
    gone = replace(crd.spec, versions=(crd.spec.versions[1],))
    with pytest.raises(ApiError, match="v1 was previously a storage version"):
        await api.update(replace(crd, spec=gone))


async def test_a_new_default_is_seen_on_objects_that_were_there_before() -> None:
    api, _ = await make_api()
    crd = await api.create(definition())
    await api.create(sample(spec={"note": "x"}))
    raw = copy.deepcopy(codec.to_json(crd))
    properties = raw["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    properties["extra"] = {"type": "string", "default": "new"}
    del properties["note"]
    await api.update(codec.from_json(kinds.CUSTOM_RESOURCE_DEFINITION, raw))
    kind = api.kinds.by_plural("example.com", "v1", "samples")
    assert kind is not None
    assert api.get(kind, "default", "a").body == {"spec": {"size": 1, "extra": "new"}}
    shown = codec.decode_json(render_stored(kind, api.get_raw(kind, "default", "a")))
    assert shown["spec"] == {"size": 1, "extra": "new"}
    assert b"note" in api.get_raw(kind, "default", "a").value  # it goes when the object is written again


async def test_status_is_apart_only_where_the_definition_says_so() -> None:
    api, _ = await make_api()
    await api.create(definition(versions=[version(subresources={"status": {}})]))
    made = await api.create(sample(spec={"size": 1}, status={"phase": "x"}))
    assert "status" not in made.body
    set_ = await api.update_status(replace(made, body={"spec": {"size": 9}, "status": {"phase": "y"}}))
    assert set_.body == {"spec": {"size": 1}, "status": {"phase": "y"}}
    assert set_.metadata.generation == 1
    grown = await api.update(replace(set_, body={"spec": {"size": 2}}))
    assert grown.body == {"spec": {"size": 2}, "status": {"phase": "y"}}
    assert grown.metadata.generation == 2


async def test_an_update_must_say_which_state_it_is_about() -> None:
    api, _ = await make_api()
    await api.create(definition())
    made = await api.create(sample())
    blind = replace(made, metadata=replace(made.metadata, resource_version=""), body={"spec": {"size": 2}})
    with pytest.raises(ApiError, match=r"resourceVersion: Invalid value: 0x0: must be specified") as caught:
        await api.update(blind)
    assert caught.value.reason is Reason.INVALID


async def test_a_dry_run_puts_nothing_in_force() -> None:
    api, _ = await make_api()
    await api.create(definition(), context=Context(dry_run=True))
    assert api.kinds.by_plural("example.com", "v1", "samples") is None


BAD: list[tuple[dict[str, Any], str]] = [
    ({"group": "example"}, 'spec.group: Invalid value: "example": should be a domain with at least one dot'),
    ({"scope": "World"}, 'spec.scope: Unsupported value: "World": supported values: "Cluster", "Namespaced"'),
    ({"versions": [version(), version("v2")]}, "must have exactly one version marked as storage version"),
    ({"versions": [version(), version(storage=False)]}, "must contain unique version names"),
    ({"versions": [version("V1")]}, 'spec.versions[0].name: Invalid value: "V1": a DNS-1035 label'),
    (
        {"versions": [{"name": "v1", "served": True, "storage": True}]},
        "spec.versions[0].schema.openAPIV3Schema: Required value",
    ),
    (
        {"names": {"plural": "samples", "kind": "Sample", "listKind": "Sample"}},
        "kind and listKind may not be the same",
    ),
    (
        {"names": {"plural": "samples", "kind": "Sample", "shortNames": ["S!"]}},
        'spec.names.shortNames[0]: Invalid value: "S!"',
    ),
    (
        {"conversion": {"strategy": "Webhook"}},
        'spec.conversion.strategy: Unsupported value: "Webhook": supported values: "None"',
    ),
    ({"preserveUnknownFields": True}, "spec.preserveUnknownFields: Invalid value: true: cannot set to true"),
    ({"versions": [version(deprecationWarning="x")]}, "can only be set for deprecated versions"),
    (
        {"versions": [version(additionalPrinterColumns=[{"name": "A", "type": "text", "jsonPath": "spec"}])]},
        'spec.versions[0].additionalPrinterColumns[0].type: Invalid value: "text": must be one of boolean,date,integer,number,string',
    ),
    (
        {
            "versions": [
                version(additionalPrinterColumns=[{"name": "A", "type": "string", "jsonPath": "spec"}])
            ]
        },
        "must be a simple json path starting with .",
    ),
    (
        {
            "versions": [
                version(subresources={"scale": {"specReplicasPath": ".status.x", "statusReplicasPath": ""}})
            ]
        },
        'spec.versions[0].subresources.scale.specReplicasPath: Invalid value: ".status.x": should be a json path under .spec',
    ),
    (
        {"versions": [version(selectableFields=[{"jsonPath": ".spec.nope"}])]},
        "is an invalid path: does not refer to a valid field",
    ),
    (
        {"versions": [version(selectableFields=[{"jsonPath": ".spec"}])]},
        "must point to a field of type string, boolean or integer",
    ),
]


@pytest.mark.parametrize(("spec", "problem"), BAD, ids=[problem[:40] for _, problem in BAD])
async def test_a_definition_that_is_no_good_is_refused(spec: dict[str, Any], problem: str) -> None:
    api, _ = await make_api()
    with pytest.raises(ApiError) as caught:
        await api.create(definition(**spec))
    assert caught.value.reason is Reason.INVALID
    assert problem in caught.value.message


async def test_the_name_follows_from_plural_and_group() -> None:
    api, _ = await make_api()
    wrong = definition()
    with pytest.raises(ApiError, match=r'must be spec.names.plural\+"."\+spec.group'):
        await api.create(replace(wrong, metadata=replace(wrong.metadata, name="other.example.com")))


async def test_groups_of_the_community_want_an_approval() -> None:
    api, _ = await make_api()
    crd = definition()
    crd = replace(
        crd, metadata=replace(crd.metadata, name="samples.x.k8s.io"), spec=replace(crd.spec, group="x.k8s.io")
    )
    with pytest.raises(ApiError, match="protected groups must have approval annotation"):
        await api.create(crd)
    approved = replace(crd.metadata, annotations={"api-approved.kubernetes.io": "unapproved, experimental"})
    await api.create(replace(crd, metadata=approved))


async def test_an_established_kind_keeps_its_name_and_scope() -> None:
    api, _ = await make_api()
    crd = await api.create(definition())
    other = replace(crd.spec, scope="Cluster", names=replace(crd.spec.names, kind="Other"))
    with pytest.raises(ApiError) as caught:
        await api.update(replace(crd, spec=other))
    assert 'spec.scope: Invalid value: "Cluster": field is immutable' in caught.value.message
    assert 'spec.names.kind: Invalid value: "Other": field is immutable' in caught.value.message


async def test_formats_that_nobody_knows_are_warned_of() -> None:
    api, _ = await make_api()
    context = Context(user="me")
    spec = {
        "type": "object",
        "properties": {
            "a": {"type": "string", "format": "rgb"},
            "b": {"type": "string", "format": "date-time"},
        },
    }
    await api.create(definition(versions=[version(spec=spec)]), context=context)
    assert 'unrecognized format "rgb"' in context.warnings
    assert not any("date-time" in sentence for sentence in context.warnings)


async def test_two_that_come_at_once_do_not_both_get_a_name() -> None:
    api, _ = await make_api()
    await asyncio.gather(
        *(api.create(definition(plural, "Sample")) for plural in ("others", "samples", "thirds"))
    )
    established = [conditions(api, plural)["Established"][0] for plural in ("others", "samples", "thirds")]
    assert sorted(established) == ["False", "False", "True"]


async def test_a_finalizer_without_a_domain_is_warned_of() -> None:
    api, _ = await make_api()
    await api.create(definition())
    context = Context(user="me")
    made = sample()
    await api.create(replace(made, metadata=replace(made.metadata, finalizers=("mine",))), context=context)
    assert any('metadata.finalizers: "mine": prefer a domain-qualified' in said for said in context.warnings)
