"""Who owns what after creates, updates, patches: people and tools are noted, our own components only where they take.

Expected sets are those that `kubectl get --show-managed-fields` shows on a cluster (1.37) after the same commands.
"""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from pinnace.api.apply.comparing import compare
from pinnace.api.apply.managed import ownable
from pinnace.api.apply.tracking import differing
from pinnace.api.apply.types import type_of
from pinnace.api.context import SYSTEM, Context
from pinnace.api.patches import Patch
from pinnace.kube.kinds import CONFIG_MAP, DEPLOYMENT, NAMESPACE, POD
from pinnace.kube.objects.autoscaling_v1 import Scale, ScaleSpec
from pinnace.kube.objects.core_v1 import ConfigMap
from pinnace.kube.objects.meta_v1 import ManagedFieldsEntry, ObjectMeta
from tests.unit.api.apply.test_server_side import apply, by, merge, owners
from tests.unit.api.builders import (
    config_map,
    decode,
    deployment,
    deployment_document,
    document,
    make_api,
    pod,
)


async def test_a_creator_owns_all_that_is_there_defaults_included() -> None:
    api, _ = await make_api()
    stored = await api.create(deployment(replicas=1), context=by("kubectl-create"))
    assert document(stored)["metadata"]["managedFields"][0]["operation"] == "Update"
    assert owners(stored)["kubectl-create Update"] == {
        "f:spec": {
            "f:progressDeadlineSeconds": {},
            "f:replicas": {},
            "f:revisionHistoryLimit": {},
            "f:selector": {},
            "f:strategy": {
                "f:rollingUpdate": {".": {}, "f:maxSurge": {}, "f:maxUnavailable": {}},
                "f:type": {},
            },
            "f:template": {
                "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
                "f:spec": {
                    "f:containers": {
                        'k:{"name":"main"}': {
                            ".": {},
                            "f:image": {},
                            "f:imagePullPolicy": {},
                            "f:name": {},
                            "f:resources": {},
                            "f:terminationMessagePath": {},
                            "f:terminationMessagePolicy": {},
                        }
                    },
                    "f:dnsPolicy": {},
                    "f:restartPolicy": {},
                    "f:schedulerName": {},
                    "f:securityContext": {},
                    "f:terminationGracePeriodSeconds": {},
                },
            },
        }
    }


async def test_what_the_metadata_of_a_new_object_gives_is_owned_too() -> None:
    api, _ = await make_api()
    owner = {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u-1"}
    given = config_map(
        labels={"a": "1"}, annotations={"b": "2"}, finalizers=["x.y/z"], ownerReferences=[owner]
    )
    stored = await api.create(given, context=by("tool"))
    assert owners(stored)["tool Update"] == {
        "f:data": {".": {}, "f:a": {}},
        "f:metadata": {
            "f:annotations": {".": {}, "f:b": {}},
            "f:finalizers": {".": {}, 'v:"x.y/z"': {}},
            "f:labels": {".": {}, "f:a": {}},
            "f:ownerReferences": {".": {}, 'k:{"uid":"u-1"}': {}},
        },
    }


async def test_objects_of_one_make_share_what_their_creator_owns() -> None:
    api, _ = await make_api()
    one = await api.create(pod("one"), context=by("tool"))
    other = await api.create(pod("two"), context=by("tool"))
    more = await api.create(pod("three", command=["x"]), context=by("tool"))
    first, second, third = (obj.metadata.managed_fields[0].fields_v1 for obj in (one, other, more))
    assert first is second
    assert first != third


async def test_our_own_components_own_nothing() -> None:
    api, _ = await make_api()
    stored = await api.create(pod())
    assert stored.metadata.managed_fields == ()
    stored = await merge(api, POD, "web", {"metadata": {"labels": {"a": "b"}}}, "kubectl-label")
    assert stored.metadata.managed_fields == ()  # as an object whose owners were never noted
    mine = await api.create(deployment(), context=by("tool"))

    def annotated(old: Any) -> Any:
        return decode(
            DEPLOYMENT,
            {**document(old), "metadata": {**document(old)["metadata"], "annotations": {"r": "1"}}},
        )

    changed = await api.change(DEPLOYMENT, "default", "web", annotated)
    assert changed.metadata.annotations == {"r": "1"}
    assert changed.metadata.managed_fields == mine.metadata.managed_fields


async def test_a_component_that_takes_a_field_owns_it() -> None:
    api, clock = await make_api()
    await api.create(deployment(replicas=1), context=by("tool"))
    clock.advance(5)
    scale = Scale(metadata=ObjectMeta(name="web", namespace="default"), spec=ScaleSpec(replicas=3))
    await api.update_scale(DEPLOYMENT, scale, context=SYSTEM)
    stored = api.get(DEPLOYMENT, "default", "web")
    assert owners(stored)["kube-controller-manager Update scale"] == {"f:spec": {"f:replicas": {}}}
    assert "f:replicas" not in owners(stored)["tool Update"]["f:spec"]


async def test_statuses_that_nodes_write_are_nobodys() -> None:
    api, _ = await make_api()
    stored = await api.create(pod(), context=by("tool"))
    with_status = decode(POD, {**document(stored), "status": {"phase": "Running"}})
    updated = await api.update_status(with_status)
    assert updated.metadata.managed_fields == stored.metadata.managed_fields
    by_hand = decode(POD, {**document(updated), "status": {"phase": "Failed", "reason": "Gone"}})
    updated = await api.update_status(by_hand, context=by("hand"))
    assert owners(updated)["hand Update status"] == {"f:status": {"f:phase": {}, "f:reason": {}}}
    again = decode(POD, {**document(updated), "status": {"phase": "Running", "reason": "Gone"}})
    updated = await api.update_status(again)
    assert owners(updated)["hand Update status"] == {"f:status": {"f:reason": {}}}
    assert owners(updated)["kubelet Update status"] == {"f:status": {"f:phase": {}}}


async def test_writes_of_one_manager_are_one_entry_with_the_last_time() -> None:
    api, clock = await make_api()
    await api.create(config_map(), context=by("creator"))
    for key in ("b", "c", "b"):
        clock.advance(10)
        stored = await merge(api, CONFIG_MAP, "settings", {"data": {key: str(clock.now())}}, "tool")
    assert owners(stored) == {
        "creator Update": {"f:data": {".": {}, "f:a": {}}},
        "tool Update": {"f:data": {"f:b": {}, "f:c": {}}},
    }
    assert [entry.time[-9:] for entry in stored.metadata.managed_fields] == ["00:00:00Z", "00:00:30Z"]
    before = stored
    clock.advance(10)
    assert await merge(api, CONFIG_MAP, "settings", {"data": {"c": stored.data["c"]}}, "tool") == before


async def test_what_is_removed_is_nobodys_any_longer() -> None:
    api, _ = await make_api()
    await api.create(config_map(), context=by("creator"))
    stored = await merge(api, CONFIG_MAP, "settings", {"data": {"a": None, "b": "1"}}, "tool")
    assert owners(stored) == {"creator Update": {"f:data": {}}, "tool Update": {"f:data": {"f:b": {}}}}
    stored = await merge(api, CONFIG_MAP, "settings", {"data": None}, "tool")
    assert stored.metadata.managed_fields == ()


async def test_more_than_ten_updaters_become_one() -> None:
    """Source: Kubernetes v1.37, capmanagers.go: the oldest of a version are folded until ten are left."""
    api, clock = await make_api()
    await api.create(config_map(), context=by("m-00"))
    for number in range(1, 13):
        clock.advance(1)
        stored = await merge(api, CONFIG_MAP, "settings", {"data": {f"k{number}": "1"}}, f"m-{number:02}")
    found = owners(stored)
    assert len(found) == 10
    assert found["ancient-changes Update"] == {
        "f:data": {".": {}, "f:a": {}, "f:k1": {}, "f:k2": {}, "f:k3": {}}
    }
    assert set(found) == {"ancient-changes Update", *(f"m-{number:02} Update" for number in range(4, 13))}


async def test_an_updater_may_bring_the_owners_along_and_they_are_kept() -> None:
    """Clients that get, change and put an object send its managedFields back, in whatever form they write JSON."""
    api, _ = await make_api()
    stored = await api.create(config_map(), context=by("creator"))
    text = json.dumps(document(stored), indent=2)
    back: ConfigMap = decode(CONFIG_MAP, json.loads(text))
    entry = back.metadata.managed_fields[0]
    spaced = ManagedFieldsEntry(
        **{name: getattr(entry, name) for name in entry.__struct_fields__ if name != "fields_v1"},
        fields_v1=type(entry.fields_v1)(b'{ "f:data" : { "f:a":{}, ".":{} } }'),
    )
    sent = replace(back, metadata=replace(back.metadata, managed_fields=(spaced,)))
    assert await api.update(sent, context=by("other")) == stored
    sent = replace(sent, data={"a": "2"})
    updated = await api.update(sent, context=by("other"))
    assert owners(updated) == {
        "creator Update": {"f:data": {}},
        "other Update": {"f:data": {"f:a": {}}},
    }


@pytest.mark.parametrize(
    "entries",
    [
        [{"manager": "x"}],
        [
            {
                "manager": "x",
                "operation": "Update",
                "apiVersion": "v1",
                "fieldsType": "FieldsV2",
                "fieldsV1": {},
            }
        ],
        [
            {
                "manager": "x",
                "operation": "Delete",
                "apiVersion": "v1",
                "fieldsType": "FieldsV1",
                "fieldsV1": {},
            }
        ],
        [
            {
                "manager": "x",
                "operation": "Update",
                "apiVersion": "v1",
                "fieldsType": "FieldsV1",
                "fieldsV1": {"a": {}},
            }
        ],
        [],
        None,
    ],
)
async def test_owners_that_make_no_sense_are_those_that_were_there(entries: Any) -> None:
    api, _ = await make_api()
    stored = await api.create(config_map(), context=by("creator"))
    patched = await merge(api, CONFIG_MAP, "settings", {"metadata": {"managedFields": entries}}, "other")
    assert patched.metadata.managed_fields == stored.metadata.managed_fields


async def test_one_empty_entry_forgets_all_owners_until_the_next_apply() -> None:
    api, _ = await make_api()
    await api.create(config_map(), context=by("creator"))
    patched = await merge(api, CONFIG_MAP, "settings", {"metadata": {"managedFields": [{}]}}, "other")
    assert patched.metadata.managed_fields == ()
    patched = await merge(api, CONFIG_MAP, "settings", {"data": {"b": "1"}}, "other")
    assert patched.metadata.managed_fields == ()
    stored = await apply(api, CONFIG_MAP, {"metadata": {"name": "settings"}, "data": {"c": "1"}}, "user")
    assert set(owners(stored)) == {"before-first-apply Update", "user Apply"}


async def test_owners_cant_be_set_through_a_status() -> None:
    api, _ = await make_api()
    stored = await api.create(pod(), context=by("creator"))
    change = {"metadata": {"managedFields": [{}]}, "status": {"reason": "x"}}
    patched = await merge(api, POD, "web", change, "other", "status")
    assert owners(patched)["creator Update"] == owners(stored)["creator Update"]


async def test_a_program_without_a_name_is_unknown_and_admission_owns_nothing() -> None:
    api, _ = await make_api()
    stored = await api.create(pod(), context=Context(user="somebody"))
    assert set(owners(stored)) == {"unknown Update"}
    owned = owners(stored)["unknown Update"]["f:spec"]
    assert "f:serviceAccountName" not in owned
    assert "f:tolerations" not in owned


async def test_finalizers_of_a_namespace_have_an_entry_of_their_own() -> None:
    api, _ = await make_api()
    made = decode(NAMESPACE, {"metadata": {"name": "more"}})
    stored = await api.create(made, context=by("creator"))
    without = decode(NAMESPACE, {**document(stored), "spec": {"finalizers": ["kubernetes", "a/b"]}})
    finalized = await api.finalize(without, context=by("other"))
    assert list(owners(finalized)) and all("status" not in name for name in owners(finalized))


async def test_json_patches_can_move_owners_as_kubectl_does_when_it_migrates() -> None:
    """Source: client-go v1.37, util/csaupgrade: the patch that kubectl sends before its first server-side apply."""
    api, _ = await make_api()
    stored = await api.create(deployment(replicas=1), context=by("kubectl-client-side-apply"))
    entry = {
        **document(stored)["metadata"]["managedFields"][0],
        "manager": "kubectl",
        "operation": "Apply",
    }
    operations = [
        {"op": "replace", "path": "/metadata/managedFields", "value": [entry]},
        {"op": "replace", "path": "/metadata/resourceVersion", "value": stored.metadata.resource_version},
    ]
    patch = Patch("application/json-patch+json", json.dumps(operations).encode())
    moved = await api.patch(DEPLOYMENT, "default", "web", patch, context=by("kubectl"))
    assert set(owners(moved)) == {"kubectl Apply"}
    stored = await apply(api, DEPLOYMENT, deployment_document(), "kubectl")
    assert stored.spec.replicas == 1
    assert set(owners(stored)["kubectl Apply"]["f:spec"]) == {"f:selector", "f:template"}


@pytest.mark.parametrize(
    "changes",
    [
        {"metadata": {"name": "web", "labels": {"a": "b"}}},
        {"metadata": {"name": "web", "labels": {}, "annotations": {"x": "y"}, "finalizers": ["a/b", "c/d"]}},
        {"metadata": {"name": "web", "generation": 7, "resourceVersion": "9", "labels": {"a": "b"}}},
        {"metadata": {"name": "web"}, "spec": {"containers": [{"name": "main", "image": "other:2"}]}},
        {
            "metadata": {"name": "web"},
            "spec": {"containers": [{"name": "new", "image": "x"}], "hostname": "h"},
        },
        {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}},
    ],
)
def test_the_parts_that_differ_say_what_the_whole_documents_say(changes: dict[str, Any]) -> None:
    old = decode(
        POD,
        {
            "metadata": {"name": "web", "labels": {"a": "c", "d": "e"}, "finalizers": ["a/b"]},
            "spec": {"containers": [{"name": "main", "image": "x:1"}]},
        },
    )
    new = decode(POD, {**document(old), **changes})
    for before, after in ((old, new), (new, old)):
        whole = compare(document(before), document(after), type_of(POD))
        parts = compare(*differing(before, after), type_of(POD))
        assert [ownable(fields) for fields in parts] == [ownable(fields) for fields in whole]
