"""Server-side apply as HTTP shows it: statuses, causes of conflicts, options, who may create by it."""

import asyncio
import json
from typing import Any

import pytest

from pinnace.kube import kinds
from pinnace.kube.objects.core_v1 import ConfigMap
from pinnace.kube.objects.meta_v1 import ObjectMeta
from tests.unit.kubeapi.conftest import Kube
from tests.unit.kubeapi.test_access import BOT, Server, server

__all__ = ["server"]

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
APPLY = "application/apply-patch+yaml"


def settings(**data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": data}


async def apply(kube: Kube, query: str, document: Any, path: str = f"{CONFIG_MAPS}/c") -> tuple[int, Any]:
    return await kube.call("PATCH", f"{path}?{query}", document, content_type=APPLY)


async def test_the_first_apply_creates_and_the_next_one_changes(kube: Kube) -> None:
    status, created = await apply(kube, "fieldManager=one", settings(a="1"))
    assert (status, created["data"]) == (201, {"a": "1"})
    assert created["metadata"]["managedFields"][0]["fieldsV1"] == {"f:data": {"f:a": {}}}
    status, changed = await apply(kube, "fieldManager=one", settings(a="2"))
    assert (status, changed["data"]) == (200, {"a": "2"})
    status, same = await apply(kube, "fieldManager=one", settings(a="2"))
    assert same["metadata"]["resourceVersion"] == changed["metadata"]["resourceVersion"]


async def test_a_conflict_is_a_status_with_a_cause_for_each_field(kube: Kube) -> None:
    await apply(kube, "fieldManager=one", settings(a="1", b="1"))
    status, refused = await apply(kube, "fieldManager=two", settings(a="2", b="2"))
    assert status == 409
    assert refused == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": 'Apply failed with 2 conflicts: conflicts with "one":\n- .data.a\n- .data.b',
        "reason": "Conflict",
        "details": {
            "causes": [
                {"reason": "FieldManagerConflict", "message": 'conflict with "one"', "field": ".data.a"},
                {"reason": "FieldManagerConflict", "message": 'conflict with "one"', "field": ".data.b"},
            ]
        },
        "code": 409,
    }


async def test_yaml_and_json_are_both_read_and_doubles_are_told(kube: Kube) -> None:
    body = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata:\n  a: '1'\n"
    status, created = await apply(kube, "fieldManager=one", body)
    assert (status, created["data"]) == (201, {"a": "1"})
    twice = body + b"  a: '2'\n"
    status, refused = await apply(kube, "fieldManager=one&fieldValidation=Strict", twice)
    assert status == 400
    assert 'duplicate field "data.a"' in refused["message"] or 'key "a" already set' in refused["message"]
    status, _ = await apply(kube, "fieldManager=one&fieldValidation=Ignore", twice)
    assert status == 200


@pytest.mark.parametrize("validation", ["Strict", "Warn", "Ignore"])
async def test_what_the_kind_does_not_know_is_refused_whatever_validation_is_asked_for(
    kube: Kube, validation: str
) -> None:
    status, refused = await apply(
        kube, f"fieldManager=one&fieldValidation={validation}", {**settings(), "dada": {}}
    )
    assert status == 400
    assert refused["message"] == (
        "failed to create typed patch object (/c; /v1, Kind=ConfigMap): .dada: field not declared in schema"
    )


@pytest.mark.parametrize(
    ("media_type", "query", "message"),
    [
        (APPLY, "", "fieldManager: Required value: is required for apply patch"),
        (APPLY, f"fieldManager={'x' * 129}", "fieldManager: Too long: may not be more than 128 bytes"),
        (
            "application/merge-patch+json",
            "force=true",
            "force: Forbidden: may not be specified for non-apply patch",
        ),
        (
            "application/merge-patch+json",
            "force=false",
            "force: Forbidden: may not be specified for non-apply patch",
        ),
    ],
)
async def test_options_that_make_no_sense(kube: Kube, media_type: str, query: str, message: str) -> None:
    await apply(kube, "fieldManager=one", settings(a="1"))
    status, refused = await kube.call(
        "PATCH", f"{CONFIG_MAPS}/c?{query}", settings(), content_type=media_type
    )
    assert (status, refused["message"]) == (422, f'PatchOptions.meta.k8s.io "" is invalid: {message}')


async def test_a_client_is_known_by_its_program_and_by_the_name_it_gives(kube: Kube) -> None:
    body = json.dumps(settings(a="1")).encode()
    await kube.call("POST", CONFIG_MAPS, body, User_Agent="my tool/1.2 (linux) x")
    change = b'{"data":{"b":"1"}}'
    merge = "application/merge-patch+json"
    path = f"{CONFIG_MAPS}/c?fieldManager=named"
    _, found = await kube.call("PATCH", path, change, content_type=merge, User_Agent="my tool/1.3")
    managers = {entry["manager"]: entry["fieldsV1"] for entry in found["metadata"]["managedFields"]}
    assert managers == {"my tool": {"f:data": {".": {}, "f:a": {}}}, "named": {"f:data": {"f:b": {}}}}


async def test_whoever_may_only_patch_creates_nothing_by_an_apply(server: Server) -> None:
    await server.grant({"apiGroups": [""], "resources": ["configmaps"], "verbs": ["patch"]})

    async def attempt() -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {server.token}", "Content-Type": APPLY}
        url = f"{server.url}{CONFIG_MAPS}/c?fieldManager=bot"
        async with server.session.patch(url, json=settings(a="1"), headers=headers) as response:
            return response.status, await response.json(content_type=None)

    status, refused = await attempt()
    assert (status, refused["message"]) == (
        403,
        f'configmaps "c" is forbidden: User "{BOT}" cannot create resource "configmaps" in API group "" in the'
        ' namespace "default"',
    )
    await server.grant({"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create"]}, name="more")
    assert (await attempt())[0] == 201


async def test_what_is_deleted_meanwhile_is_not_made_anew_by_whoever_may_only_patch(server: Server) -> None:
    await server.grant({"apiGroups": [""], "resources": ["configmaps"], "verbs": ["patch"]})
    headers = {"Authorization": f"Bearer {server.token}", "Content-Type": APPLY}
    url = f"{server.url}{CONFIG_MAPS}/c?fieldManager=bot"
    made: list[bool] = []

    async def come_and_go() -> None:
        for _ in range(60):
            await server.api.create(ConfigMap(metadata=ObjectMeta(name="c", namespace="default")))
            await server.api.delete(kinds.CONFIG_MAP, "default", "c")
            left = server.api.find(kinds.CONFIG_MAP, "default", "c")
            made.append(left is not None)
            await asyncio.sleep(0)

    async def attempt() -> None:
        while len(made) < 60:
            async with server.session.patch(url, json=settings(a="1"), headers=headers) as response:
                assert response.status in (200, 403)

    await asyncio.gather(come_and_go(), attempt(), attempt())
    assert not any(made)
