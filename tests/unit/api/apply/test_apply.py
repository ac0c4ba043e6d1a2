"""Server-side apply: creation, merging by key, ownership, conflicts, removal."""

import json
from typing import Any

import pytest

from pinnace.api.context import Context
from pinnace.api.facade import Api
from pinnace.api.patches import Patch
from pinnace.base.errors import ApiError, Reason
from pinnace.kube.kinds import CONFIG_MAP, DEPLOYMENT, Kind
from tests.unit.api.builders import deployment_document, document, make_api


async def apply(
    api: Api, kind: Kind[Any], wanted: dict[str, Any], manager: str = "helm", *, force: bool = False
) -> Any:
    body = json.dumps({"apiVersion": kind.api_version, "kind": kind.kind, **wanted}).encode()
    patch = Patch("application/apply-patch+yaml", body, force)
    return await api.patch(
        kind, "default", wanted["metadata"]["name"], patch, context=Context(field_manager=manager)
    )


def settings(data: dict[str, str]) -> dict[str, Any]:
    return {"metadata": {"name": "settings"}, "data": data}


async def test_an_apply_creates_what_is_not_there_and_says_who_owns_it() -> None:
    api, _ = await make_api()
    stored = document(await apply(api, CONFIG_MAP, settings({"a": "1"})))
    assert stored["data"] == {"a": "1"}
    assert stored["metadata"]["managedFields"] == [
        {
            "manager": "helm",
            "operation": "Apply",
            "apiVersion": "v1",
            "time": "2026-01-02T00:00:00Z",
            "fieldsType": "FieldsV1",
            "fieldsV1": {"f:data": {"f:a": {}}},
        }
    ]


async def test_the_same_apply_again_changes_nothing() -> None:
    api, clock = await make_api()
    first = await apply(api, DEPLOYMENT, deployment_document())
    clock.advance(60)
    assert await apply(api, DEPLOYMENT, deployment_document()) == first


async def test_what_is_no_longer_applied_goes_and_what_others_own_stays() -> None:
    api, _ = await make_api()
    await apply(api, CONFIG_MAP, settings({"a": "1", "b": "2", "c": "3"}))
    await apply(api, CONFIG_MAP, settings({"b": "2", "d": "4"}), "other")
    stored = await apply(api, CONFIG_MAP, settings({"c": "3"}))
    assert stored.data == {"b": "2", "c": "3", "d": "4"}


async def test_another_appliers_value_conflicts_unless_it_is_taken_by_force() -> None:
    api, _ = await make_api()
    await apply(api, CONFIG_MAP, settings({"a": "1"}))
    with pytest.raises(ApiError) as caught:
        await apply(api, CONFIG_MAP, settings({"a": "2"}), "other")
    assert caught.value.reason is Reason.CONFLICT
    assert str(caught.value) == 'Apply failed with 1 conflict: conflict with "helm": .data.a'
    assert [(c.reason, c.field) for c in caught.value.causes] == [("FieldManagerConflict", ".data.a")]
    taken = await apply(api, CONFIG_MAP, settings({"a": "2"}), "other", force=True)
    assert taken.data == {"a": "2"}
    assert [entry.manager for entry in taken.metadata.managed_fields] == ["other"]


async def test_containers_merge_by_name_and_ports_by_number_and_protocol() -> None:
    api, _ = await make_api()
    first = deployment_document()
    first["spec"]["template"]["spec"]["containers"][0]["ports"] = [{"containerPort": 80}]
    await apply(api, DEPLOYMENT, first)
    side = {
        "metadata": {"name": "web"},
        "spec": {"template": {"spec": {"containers": [{"name": "side", "image": "s:1"}]}}},
    }
    stored = await apply(api, DEPLOYMENT, side, "injector")
    assert [c.name for c in stored.spec.template.spec.containers] == ["main", "side"]
    first["spec"]["template"]["spec"]["containers"][0] = {"name": "main", "image": "app:v2"}
    stored = await apply(api, DEPLOYMENT, first)
    containers = document(stored)["spec"]["template"]["spec"]["containers"]
    assert [(c["name"], c["image"], c.get("ports")) for c in containers] == [
        ("main", "app:v2", None),
        ("side", "s:1", None),
    ]


async def test_an_equal_quantity_in_other_words_is_no_conflict() -> None:
    api, _ = await make_api()
    wanted = deployment_document()
    main = wanted["spec"]["template"]["spec"]["containers"][0]
    main["resources"] = {"limits": {"cpu": "1000m"}}
    await apply(api, DEPLOYMENT, wanted)
    assert (await apply(api, DEPLOYMENT, wanted, "other")).metadata.generation == 1


async def test_an_apply_needs_a_manager() -> None:
    api, _ = await make_api()
    with pytest.raises(ApiError, match="fieldManager: Required value: is required for apply patch"):
        await apply(api, CONFIG_MAP, settings({}), "")


async def test_yaml_is_read_too() -> None:
    api, _ = await make_api()
    body = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: z}\ndata:\n  a: '1'\n"
    patch = Patch("application/apply-patch+yaml", body)
    stored = await api.patch(CONFIG_MAP, "default", "z", patch, context=Context(field_manager="m"))
    assert stored.data == {"a": "1"}
