"""Owners, conflicts, giving up: the examples of Kubernetes' documentation of server-side apply, worked out by hand.

Source: kubernetes.io, "Server-Side Apply" (managers, conflicts, merge strategy, transferring ownership, clearing owners).
"""

import json
from typing import Any

import pytest

from pinnace.api.context import Context
from pinnace.api.facade import Api
from pinnace.api.patches import Patch
from pinnace.base.errors import ApiError, Reason
from pinnace.kube import codec
from pinnace.kube.kinds import CONFIG_MAP, DEPLOYMENT, HORIZONTAL_POD_AUTOSCALER, POD, SERVICE, Kind
from pinnace.kube.kinds import by_gvk as kind_by_gvk
from pinnace.kube.objects.autoscaling_v1 import Scale, ScaleSpec
from pinnace.kube.objects.meta_v1 import ObjectMeta
from tests.unit.api.builders import decode, deployment_document, document, make_api, pod

Document = dict[str, Any]


def by(manager: str, **wishes: Any) -> Context:
    return Context(user="a person", field_manager=manager, **wishes)


async def apply(
    api: Api,
    kind: Kind[Any],
    wanted: Document,
    manager: str,
    *,
    force: bool = False,
    part: str = "",
    **wishes: Any,
) -> Any:
    body = json.dumps({"apiVersion": kind.api_version, "kind": kind.kind, **wanted}).encode()
    name = wanted["metadata"]["name"]
    patch = Patch("application/apply-patch+yaml", body, force)
    return await api.patch(kind, "default", name, patch, subresource=part, context=by(manager, **wishes))


async def merge(api: Api, kind: Kind[Any], name: str, change: Document, manager: str, part: str = "") -> Any:
    patch = Patch("application/merge-patch+json", json.dumps(change).encode())
    return await api.patch(kind, "default", name, patch, subresource=part, context=by(manager))


def owners(obj: Any) -> dict[str, Any]:
    """Return "manager operation [subresource]" -> fields."""
    return {
        " ".join(filter(None, (entry["manager"], entry["operation"], entry.get("subresource", "")))): entry[
            "fieldsV1"
        ]
        for entry in document(obj)["metadata"].get("managedFields", [])
    }


def settings(**data: str) -> Document:
    return {"metadata": {"name": "test-cm", "labels": {"test-label": "test"}}, "data": data}


async def test_the_owner_of_an_applied_config_map() -> None:
    api, _ = await make_api()
    stored = await apply(api, CONFIG_MAP, settings(key="some value"), "kubectl")
    assert document(stored)["metadata"]["managedFields"] == [
        {
            "manager": "kubectl",
            "operation": "Apply",
            "apiVersion": "v1",
            "time": "2026-01-02T00:00:00Z",
            "fieldsType": "FieldsV1",
            "fieldsV1": {"f:metadata": {"f:labels": {"f:test-label": {}}}, "f:data": {"f:key": {}}},
        }
    ]


async def test_whoever_updates_takes_the_field_and_the_next_apply_conflicts() -> None:
    api, clock = await make_api()
    await apply(api, CONFIG_MAP, settings(key="some value"), "kubectl")
    clock.advance(60)
    stored = await merge(
        api, CONFIG_MAP, "test-cm", {"data": {"key": "new value"}}, "kube-controller-manager"
    )
    assert owners(stored) == {
        "kubectl Apply": {"f:metadata": {"f:labels": {"f:test-label": {}}}},
        "kube-controller-manager Update": {"f:data": {"f:key": {}}},
    }
    with pytest.raises(ApiError) as caught:
        await apply(api, CONFIG_MAP, settings(key="some value"), "kubectl")
    assert caught.value.reason is Reason.CONFLICT
    assert caught.value.message == (
        'Apply failed with 1 conflict: conflict with "kube-controller-manager" using v1: .data.key'
    )
    cause = 'conflict with "kube-controller-manager" using v1'
    assert [(c.reason, c.message, c.field) for c in caught.value.causes] == [
        ("FieldManagerConflict", cause, ".data.key")
    ]
    taken = await apply(api, CONFIG_MAP, settings(key="some value"), "kubectl", force=True)
    assert taken.data == {"key": "some value"}
    assert owners(taken) == {
        "kubectl Apply": {"f:metadata": {"f:labels": {"f:test-label": {}}}, "f:data": {"f:key": {}}}
    }


async def test_several_conflicts_are_grouped_by_owner() -> None:
    api, _ = await make_api()
    wanted = deployment_document(replicas=3)
    await apply(api, DEPLOYMENT, wanted, "first")
    await merge(api, DEPLOYMENT, "web", {"spec": {"paused": True, "minReadySeconds": 5}}, "second")
    await merge(api, DEPLOYMENT, "web", {"spec": {"minReadySeconds": 7}}, "third")
    other = deployment_document(replicas=1, paused=False, minReadySeconds=1)
    with pytest.raises(ApiError) as caught:
        await apply(api, DEPLOYMENT, other, "fourth")
    assert caught.value.message == (
        "Apply failed with 3 conflicts: "
        'conflicts with "first":\n- .spec.replicas\n'
        'conflicts with "second" using apps/v1:\n- .spec.paused\n'
        'conflicts with "third" using apps/v1:\n- .spec.minReadySeconds'
    )


async def test_a_value_that_both_want_is_shared_and_stays_when_one_gives_it_up() -> None:
    api, _ = await make_api()
    await apply(api, CONFIG_MAP, settings(key="v", mine="1"), "one")
    shared = await apply(api, CONFIG_MAP, settings(key="v"), "two")
    assert {name.split()[0] for name in owners(shared)} == {"one", "two"}
    left = await apply(api, CONFIG_MAP, settings(), "one")
    assert left.data == {"key": "v"}
    gone = await apply(api, CONFIG_MAP, settings(), "two")
    assert gone.data == {}
    assert document(gone).get("data") is None


async def test_replicas_are_handed_over_to_an_autoscaler() -> None:
    """Source: the same page, "Transferring ownership between managers"."""
    api, _ = await make_api()
    full = deployment_document(replicas=3)
    await apply(api, DEPLOYMENT, full, "user")
    await apply(api, DEPLOYMENT, {"metadata": {"name": "web"}, "spec": {"replicas": 3}}, "handover-to-hpa")
    without = deployment_document()
    stored = await apply(api, DEPLOYMENT, without, "user")
    assert stored.spec.replicas == 3
    scale = Scale(metadata=ObjectMeta(name="web", namespace="default"), spec=ScaleSpec(replicas=5))
    await api.update_scale(DEPLOYMENT, scale)
    stored = await apply(api, DEPLOYMENT, without, "user")
    assert stored.spec.replicas == 5
    assert owners(stored)["kube-controller-manager Update scale"] == {"f:spec": {"f:replicas": {}}}
    assert "handover-to-hpa Apply" not in owners(stored)


async def test_without_a_hand_over_the_default_comes_back() -> None:
    api, _ = await make_api()
    await apply(api, DEPLOYMENT, deployment_document(replicas=3), "user")
    stored = await apply(api, DEPLOYMENT, deployment_document(), "user")
    assert stored.spec.replicas == 1


async def test_a_given_up_item_goes_with_what_an_updater_put_into_it() -> None:
    """By hand, from prune in merge/update.go: only who owns the item itself keeps it."""
    api, _ = await make_api()
    wanted = deployment_document()
    containers = wanted["spec"]["template"]["spec"]["containers"]
    containers.append({"name": "side", "image": "side:1"})
    await apply(api, DEPLOYMENT, wanted, "user")
    change = {"spec": {"template": {"spec": {"containers": [{"name": "side", "workingDir": "/w"}]}}}}
    patch = Patch("application/strategic-merge-patch+json", json.dumps(change).encode())
    stored = await api.patch(DEPLOYMENT, "default", "web", patch, context=by("other"))
    assert "other Update" in owners(stored)
    containers.pop()
    stored = await apply(api, DEPLOYMENT, wanted, "user")
    assert [container.name for container in stored.spec.template.spec.containers] == ["main"]
    assert "other Update" not in owners(stored)


async def test_a_given_up_item_that_another_applier_has_too_keeps_what_is_theirs() -> None:
    api, _ = await make_api()
    wanted = deployment_document()
    containers = wanted["spec"]["template"]["spec"]["containers"]
    containers.append({"name": "side", "image": "side:1", "workingDir": "/w"})
    await apply(api, DEPLOYMENT, wanted, "user")
    side = {"name": "side", "image": "side:1"}
    partial = {"metadata": {"name": "web"}, "spec": {"template": {"spec": {"containers": [side]}}}}
    await apply(api, DEPLOYMENT, partial, "injector")
    containers.pop()
    stored = await apply(api, DEPLOYMENT, wanted, "user")
    kept = stored.spec.template.spec.containers[1]
    assert (kept.name, kept.image, kept.working_dir) == ("side", "side:1", "")


async def test_the_same_apply_changes_nothing_not_even_a_time() -> None:
    api, clock = await make_api()
    first = await apply(api, DEPLOYMENT, deployment_document(), "user")
    clock.advance(60)
    assert await apply(api, DEPLOYMENT, deployment_document(), "user") == first


async def test_a_changed_value_moves_the_time_and_not_the_set() -> None:
    api, clock = await make_api()
    first = await apply(api, CONFIG_MAP, settings(key="1"), "user")
    clock.advance(60)
    second = await apply(api, CONFIG_MAP, settings(key="2"), "user")
    (before,), (after,) = first.metadata.managed_fields, second.metadata.managed_fields
    assert (before.time, after.time) == ("2026-01-02T00:00:00Z", "2026-01-02T00:01:00Z")
    assert before.fields_v1 == after.fields_v1


async def test_null_is_owned_and_gives_the_default() -> None:
    api, _ = await make_api()
    wanted = deployment_document(replicas=None)
    stored = await apply(api, DEPLOYMENT, wanted, "user")
    assert stored.spec.replicas == 1
    assert owners(stored)["user Apply"]["f:spec"]["f:replicas"] == {}


async def test_objects_that_nobody_owns_get_an_owner_with_the_first_apply() -> None:
    api, _ = await make_api()
    await api.create(
        decode(CONFIG_MAP, {"metadata": {"name": "test-cm", "namespace": "default"}, "data": {"a": "1"}})
    )
    stored = await apply(api, CONFIG_MAP, settings(b="2"), "user")
    assert owners(stored) == {
        "before-first-apply Update": {"f:data": {".": {}, "f:a": {}}},
        "user Apply": {"f:metadata": {"f:labels": {"f:test-label": {}}}, "f:data": {"f:b": {}}},
    }
    with pytest.raises(ApiError, match=r'conflict with "before-first-apply" using v1: \.data\.a'):
        await apply(api, CONFIG_MAP, settings(a="2", b="2"), "user")


async def test_an_apply_of_a_status_owns_the_status_only() -> None:
    api, _ = await make_api()
    await api.create(pod(), context=by("creator"))
    wanted = {
        "metadata": {"name": "web", "labels": {"not": "here"}},
        "spec": {"nodeName": "elsewhere"},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    }
    stored = await apply(api, POD, wanted, "checker", part="status")
    assert stored.metadata.labels == {}
    assert stored.spec.node_name == ""
    assert owners(stored)["checker Apply status"] == {
        "f:status": {
            "f:conditions": {'k:{"type":"Ready"}': {".": {}, "f:status": {}, "f:type": {}}},
        }
    }
    wanted["status"]["conditions"][0]["status"] = "False"
    with pytest.raises(ApiError) as caught:
        await apply(api, POD, wanted, "rival", part="status")
    assert caught.value.message == (
        'Apply failed with 1 conflict: conflict with "checker" with subresource "status":'
        ' .status.conditions[type="Ready"].status'
    )


async def test_an_apply_of_the_main_part_owns_no_status() -> None:
    api, _ = await make_api()
    wanted = {**deployment_document(), "status": {"replicas": 9}}
    stored = await apply(api, DEPLOYMENT, wanted, "user")
    assert "f:status" not in owners(stored)["user Apply"]
    assert stored.status.replicas is None


async def test_the_scale_view_can_be_applied() -> None:
    api, _ = await make_api()
    await apply(api, DEPLOYMENT, deployment_document(replicas=1), "user")
    body = b"apiVersion: autoscaling/v1\nkind: Scale\nmetadata: {name: web}\nspec: {replicas: 4}\n"
    patch = Patch("application/apply-patch+yaml", body)
    with pytest.raises(ApiError, match=r'conflict with "user": \.spec\.replicas'):
        await api.patch_scale(DEPLOYMENT, "default", "web", patch, context=by("scaler"))
    forced = Patch("application/apply-patch+yaml", body, force=True)
    scale = await api.patch_scale(DEPLOYMENT, "default", "web", forced, context=by("scaler"))
    assert scale.spec.replicas == 4
    stored = api.get(DEPLOYMENT, "default", "web")
    assert owners(stored)["scaler Apply scale"] == {"f:spec": {"f:replicas": {}}}
    assert "f:replicas" not in owners(stored)["user Apply"]["f:spec"]
    with pytest.raises(ApiError, match=r'conflict with "scaler" with subresource "scale": \.spec\.replicas'):
        await apply(api, DEPLOYMENT, deployment_document(replicas=1), "user")


async def test_a_scaled_deployment_conflicts_as_after_kubectl_scale() -> None:
    api, _ = await make_api()
    await apply(api, DEPLOYMENT, deployment_document(replicas=1), "user")
    patch = Patch("application/merge-patch+json", b'{"spec":{"replicas":2}}')
    await api.patch_scale(DEPLOYMENT, "default", "web", patch, context=by("kubectl"))
    with pytest.raises(ApiError) as caught:
        await apply(api, DEPLOYMENT, deployment_document(replicas=1), "user")
    assert caught.value.message == (
        'Apply failed with 1 conflict: conflict with "kubectl" with subresource "scale" using apps/v1: .spec.replicas'
    )


async def test_owners_speak_of_their_own_version() -> None:
    api, _ = await make_api()
    v1 = kind_by_gvk("autoscaling", "v1", "HorizontalPodAutoscaler")
    assert v1 is not None
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    old = {
        "metadata": {"name": "h"},
        "spec": {"scaleTargetRef": target, "maxReplicas": 3, "targetCPUUtilizationPercentage": 50},
    }
    stored = await apply(api, v1, old, "user")
    assert owners(stored)["user Apply"]["f:spec"] == {
        "f:maxReplicas": {},
        "f:scaleTargetRef": {},
        "f:targetCPUUtilizationPercentage": {},
    }
    resource = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}
    new = {
        "metadata": {"name": "h"},
        "spec": {
            "scaleTargetRef": target,
            "maxReplicas": 3,
            "metrics": [{"type": "Resource", "resource": resource}],
        },
    }
    with pytest.raises(ApiError) as caught:
        await apply(api, HORIZONTAL_POD_AUTOSCALER, new, "other")
    assert caught.value.message == (
        'Apply failed with 1 conflict: conflict with "user": .spec.targetCPUUtilizationPercentage'
    )
    moved = await apply(api, HORIZONTAL_POD_AUTOSCALER, new, "user")
    assert [entry.api_version for entry in moved.metadata.managed_fields] == ["autoscaling/v2"]
    assert moved.spec.metrics[0].resource.target.average_utilization == 80
    less = {"metadata": {"name": "h"}, "spec": {"scaleTargetRef": target, "maxReplicas": 4}}
    last = await apply(api, v1, less, "user")
    assert last.spec.max_replicas == 4


async def test_an_owner_of_a_version_that_nobody_knows_is_forgotten() -> None:
    api, _ = await make_api()
    stored = await apply(api, CONFIG_MAP, settings(key="1"), "user")
    entry = {**document(stored)["metadata"]["managedFields"][0], "manager": "old", "apiVersion": "v1alpha1"}
    entries = [*document(stored)["metadata"]["managedFields"], entry]
    stored = await merge(api, CONFIG_MAP, "test-cm", {"metadata": {"managedFields": entries}}, "user")
    assert set(owners(stored)) == {"user Apply", "old Apply"}
    stored = await apply(api, CONFIG_MAP, settings(key="2"), "user")
    assert set(owners(stored)) == {"user Apply"}


# ---------------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("wanted", "reason", "message"),
    [
        ({"kind": "Secret"}, Reason.BAD_REQUEST, "invalid object type: /v1, Kind=Secret"),
        ({"apiVersion": "apps/v1"}, Reason.BAD_REQUEST, "invalid object type: apps/v1, Kind=ConfigMap"),
        ({"apiVersion": ""}, Reason.BAD_REQUEST, "invalid object type: /, Kind=ConfigMap"),
        (
            {"metadata": {"name": "test-cm", "managedFields": [{"manager": "x"}]}},
            Reason.BAD_REQUEST,
            "metadata.managedFields must be nil",
        ),
        (
            {"metadata": {"name": "test-cm", "managedFields": []}},
            Reason.BAD_REQUEST,
            "metadata.managedFields must be nil",
        ),
        (
            {"date": {}},
            Reason.BAD_REQUEST,
            "failed to create typed patch object (default/test-cm; /v1, Kind=ConfigMap): .date: field not declared in schema",
        ),
        (
            {"data": {"a": 1}},
            Reason.BAD_REQUEST,
            "failed to create typed patch object (default/test-cm; /v1, Kind=ConfigMap): .data.a: expected string,"
            " got &value.valueUnstructured{Value:1}",
        ),
        (
            {"metadata": {"name": "test-cm", "uid": "abc"}},
            Reason.CONFLICT,
            'Operation cannot be fulfilled on configmaps "test-cm": uid mismatch: the provided object specified uid'
            " abc, and no existing object was found",
        ),
        (
            {"metadata": {"name": "other"}},
            Reason.BAD_REQUEST,
            "the name of the object (other) does not match the name on the URL (test-cm)",
        ),
        (
            {"metadata": {}},
            Reason.BAD_REQUEST,
            "the name of the object (test-cm based on URL) was undeterminable: name must be provided",
        ),
    ],
)
async def test_what_cant_be_applied(wanted: Document, reason: Reason, message: str) -> None:
    api, _ = await make_api()
    whole = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "test-cm", "namespace": "default"},
        **wanted,
    }
    patch = Patch("application/apply-patch+yaml", json.dumps(whole).encode())
    with pytest.raises(ApiError) as caught:
        await api.patch(CONFIG_MAP, "default", "test-cm", patch, context=by("user"))
    assert (caught.value.reason, caught.value.message) == (reason, message)


@pytest.mark.parametrize("body", [b"[1]", b"a: [", b"'", b"- a\n- b"])
async def test_what_is_no_document_is_refused(body: bytes) -> None:
    api, _ = await make_api()
    patch = Patch("application/apply-patch+yaml", body)
    with pytest.raises(ApiError, match="error decoding patch: ") as caught:
        await api.patch(CONFIG_MAP, "default", "test-cm", patch, context=by("user"))
    assert caught.value.reason is Reason.BAD_REQUEST


async def test_doubles_in_a_list_with_keys_are_refused() -> None:
    api, _ = await make_api()
    ports = [{"port": 80}, {"port": 80, "protocol": "TCP"}]
    wanted = {"metadata": {"name": "web"}, "spec": {"ports": ports}}
    with pytest.raises(ApiError) as caught:
        await apply(api, SERVICE, wanted, "user")
    assert caught.value.message == (
        "failed to create typed patch object (/web; /v1, Kind=Service):"
        ' .spec.ports: duplicate entries for key [port=80,protocol="TCP"]'
    )


async def test_a_revision_or_uid_that_is_not_the_objects_is_a_conflict() -> None:
    api, _ = await make_api()
    stored = await apply(api, CONFIG_MAP, settings(key="1"), "user")
    for meta, why in (
        ({"resourceVersion": "1"}, "the object has been modified"),
        (
            {"uid": "other"},
            f"Precondition failed: UID in precondition: other, UID in object meta: {stored.metadata.uid}",
        ),
    ):
        wanted = {"metadata": {"name": "test-cm", **meta}, "data": {"key": "2"}}
        with pytest.raises(ApiError, match=why) as caught:
            await apply(api, CONFIG_MAP, wanted, "user")
        assert caught.value.reason is Reason.CONFLICT
    same = {"resourceVersion": stored.metadata.resource_version, "uid": stored.metadata.uid}
    wanted = {"metadata": {"name": "test-cm", **same}, "data": {"key": "2"}}
    assert (await apply(api, CONFIG_MAP, wanted, "user")).data == {"key": "2"}


async def test_a_status_of_nothing_is_not_created() -> None:
    api, _ = await make_api()
    with pytest.raises(ApiError) as caught:
        await apply(api, POD, {"metadata": {"name": "nobody"}, "status": {}}, "user", part="status")
    assert caught.value.reason is Reason.NOT_FOUND


async def test_a_trial_says_what_would_be_and_stores_nothing() -> None:
    api, _ = await make_api()
    tried = await apply(api, CONFIG_MAP, settings(key="1"), "user", dry_run=True)
    assert owners(tried)["user Apply"]["f:data"] == {"f:key": {}}
    assert api.find(CONFIG_MAP, "default", "test-cm") is None
    stored = await apply(api, CONFIG_MAP, settings(key="1"), "user")
    tried = await apply(api, CONFIG_MAP, settings(key="2"), "user", dry_run=True)
    assert tried.data == {"key": "2"}
    assert api.get(CONFIG_MAP, "default", "test-cm") == stored
    with pytest.raises(ApiError, match="Apply failed with 1 conflict"):
        await apply(api, CONFIG_MAP, settings(key="3"), "other", dry_run=True)


def test_codec_keeps_sets_as_they_are_written() -> None:
    text = b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"managedFields":[{"fieldsV1":{"f:a":{}},"manager":"m"}],"name":"c"}}'
    assert codec.encode(codec.decode(CONFIG_MAP, text)) == text
    with_null = text.replace(b'"name":"c"', b'"name":"c","labels":null')
    assert codec.encode(codec.decode(CONFIG_MAP, with_null)) == text
