"""Create, update, conflicts, no-ops, dry runs, status isolation, namespaces."""

import pytest
from msgspec.structs import replace

from pinnace.api.context import Context
from pinnace.api.patches import Patch
from pinnace.base.errors import ApiError, Reason
from pinnace.kube.kinds import CONFIG_MAP, DEPLOYMENT, NAMESPACE, POD
from pinnace.kube.objects.coordination_v1 import Lease, LeaseSpec
from pinnace.kube.objects.core_v1 import Namespace, Pod
from pinnace.kube.objects.meta_v1 import ObjectMeta
from tests.unit.api.builders import config_map, deployment, make_api, pod

MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


async def test_a_name_is_generated_and_all_metadata_is_set() -> None:
    api, _ = await make_api()
    given = replace(pod(), metadata=ObjectMeta(generate_name="web-"))
    stored = await api.create(given, namespace="default")
    meta = stored.metadata
    assert meta.name.startswith("web-")
    assert len(meta.name) == len("web-") + 5
    assert set(meta.name[4:]) <= set("bcdfghjklmnpqrstvwxz2456789")
    assert (meta.namespace, meta.creation_timestamp, meta.generation) == (
        "default",
        "2026-01-02T00:00:00Z",
        1,
    )
    assert meta.resource_version == str(api.store.revision)


async def test_the_second_of_two_equal_names_already_exists() -> None:
    api, _ = await make_api()
    await api.create(pod())
    with pytest.raises(ApiError, match=r'^pods "web" already exists$') as caught:
        await api.create(pod())
    assert (caught.value.reason, caught.value.kind) == (Reason.ALREADY_EXISTS, "pods")


async def test_a_namespace_must_be_there_and_must_not_be_ending() -> None:
    api, _ = await make_api("team")
    with pytest.raises(ApiError, match=r'^namespaces "nowhere" not found$') as missing:
        await api.create(replace(pod(), metadata=ObjectMeta(name="web")), namespace="nowhere")
    assert missing.value.reason is Reason.NOT_FOUND

    await api.delete(NAMESPACE, "", "team")
    with pytest.raises(ApiError) as ending:
        await api.create(replace(pod(), metadata=ObjectMeta(name="web")), namespace="team")
    assert ending.value.reason is Reason.FORBIDDEN
    assert str(ending.value) == (
        'pods "web" is forbidden: unable to create new content in namespace team because it is being terminated'
    )
    assert [cause.reason for cause in ending.value.causes] == ["NamespaceTerminating"]


async def test_namespaces_of_request_and_object_must_agree() -> None:
    api, _ = await make_api("team")
    with pytest.raises(ApiError, match="the namespace of the provided object does not match") as caught:
        await api.create(pod(), namespace="team")
    assert caught.value.reason is Reason.BAD_REQUEST


async def test_an_update_of_an_old_revision_conflicts() -> None:
    api, _ = await make_api()
    first = await api.create(config_map())
    await api.update(replace(first, data={"a": "2"}))
    with pytest.raises(ApiError) as caught:
        await api.update(replace(first, data={"a": "3"}))
    assert caught.value.reason is Reason.CONFLICT
    assert str(caught.value) == f'Operation cannot be fulfilled on configmaps "settings": {MODIFIED}'
    assert api.get(CONFIG_MAP, "default", "settings").data == {"a": "2"}


async def test_an_update_without_a_revision_replaces_whatever_is_there() -> None:
    api, _ = await make_api()
    await api.create(config_map())
    changed = await api.update(replace(config_map(), data={"b": "2"}))
    assert (changed.data, changed.metadata.creation_timestamp) == ({"b": "2"}, "2026-01-02T00:00:00Z")


async def test_another_uid_is_another_object() -> None:
    api, _ = await make_api()
    stored = await api.create(config_map())
    other = replace(config_map(), metadata=replace(config_map().metadata, uid="x"))
    with pytest.raises(ApiError) as caught:
        await api.update(other)
    assert str(caught.value) == (
        'Operation cannot be fulfilled on configmaps "settings": Precondition failed: UID in precondition: x, UID in '
        f"object meta: {stored.metadata.uid}"
    )


async def test_a_no_op_update_keeps_the_revision() -> None:
    api, _ = await make_api()
    stored = await api.create(deployment())
    before = api.store.revision
    assert await api.update(deployment()) == stored
    assert await api.change(DEPLOYMENT, "default", "web", lambda old: replace(old)) == stored
    assert api.store.revision == before


async def test_generation_counts_changes_of_the_spec_only() -> None:
    api, _ = await make_api()
    stored = await api.create(deployment())
    labelled = await api.update(replace(stored, metadata=replace(stored.metadata, labels={"a": "b"})))
    scaled = await api.update(replace(labelled, spec=replace(labelled.spec, replicas=3)))
    observed = await api.update_status(replace(scaled, status=replace(scaled.status, replicas=3)))
    generations = [obj.metadata.generation for obj in (stored, labelled, scaled, observed)]
    assert generations == [1, 1, 2, 2]


async def test_spec_writes_ignore_status_and_status_writes_ignore_the_rest() -> None:
    api, _ = await make_api()
    stored = await api.create(deployment())
    both = replace(
        stored,
        metadata=replace(stored.metadata, labels={"x": "y"}),
        spec=replace(stored.spec, replicas=5),
        status=replace(stored.status, replicas=5),
    )
    after_status = await api.update_status(both)
    assert (after_status.spec.replicas, after_status.status.replicas, after_status.metadata.labels) == (
        1,
        5,
        {},
    )
    both = replace(both, metadata=after_status.metadata, status=replace(both.status, replicas=9))
    after_spec = await api.update(both)
    assert (after_spec.spec.replicas, after_spec.status.replicas) == (5, 5)


async def test_the_quality_of_service_class_is_decided_once() -> None:
    api, _ = await make_api()
    stored = await api.create(pod())
    changed = await api.update_status(
        replace(stored, status=replace(stored.status, phase="Running", qos_class="X"))
    )
    assert (changed.status.phase, changed.status.qos_class) == ("Running", "BestEffort")


async def test_a_dry_run_answers_as_if_and_changes_nothing() -> None:
    api, _ = await make_api()
    before = api.store.revision
    dry = Context(dry_run=True)
    would_be = await api.create(pod(), context=dry)
    assert (would_be.spec.restart_policy, would_be.metadata.resource_version) == ("Always", "")
    await api.create(config_map())
    changed = await api.update(replace(config_map(), data={"z": "1"}), context=dry)
    assert changed.data == {"z": "1"}
    gone = await api.delete(CONFIG_MAP, "default", "settings", context=dry)
    assert gone.gone
    assert api.store.revision == before + 1
    assert api.get(CONFIG_MAP, "default", "settings").data == {"a": "1"}


async def test_immutable_metadata_and_labels_are_checked() -> None:
    api, _ = await make_api()
    await api.create(config_map())
    with pytest.raises(ApiError) as caught:
        await api.create(config_map("other", labels={"bad key": "x", "good": "-"}))
    assert [cause.field for cause in caught.value.causes] == ["metadata.labels", "metadata.labels"]


async def test_merge_strategic_and_json_patch() -> None:
    api, _ = await make_api()
    await api.create(deployment())
    merged = await api.patch(
        DEPLOYMENT,
        "default",
        "web",
        Patch("application/merge-patch+json", b'{"spec":{"replicas":2},"metadata":{"labels":{"a":"b"}}}'),
    )
    assert (merged.spec.replicas, merged.metadata.labels, merged.metadata.generation) == (2, {"a": "b"}, 2)
    strategic = await api.patch(
        DEPLOYMENT,
        "default",
        "web",
        Patch(
            "application/strategic-merge-patch+json",
            b'{"spec":{"template":{"spec":{"containers":[{"name":"side","image":"side:1"}]}}}}',
        ),
    )
    assert sorted(c.name for c in strategic.spec.template.spec.containers) == ["main", "side"]
    assert all(c.image_pull_policy == "IfNotPresent" for c in strategic.spec.template.spec.containers)
    patched = await api.patch(
        DEPLOYMENT,
        "default",
        "web",
        Patch("application/json-patch+json", b'[{"op":"replace","path":"/spec/replicas","value":7}]'),
    )
    assert patched.spec.replicas == 7


async def test_a_patch_that_names_an_old_revision_conflicts() -> None:
    api, _ = await make_api()
    stored = await api.create(config_map())
    await api.update(replace(config_map(), data={"b": "2"}))
    body = (
        b'{"metadata":{"resourceVersion":"%s"},"data":{"c":"3"}}' % stored.metadata.resource_version.encode()
    )
    with pytest.raises(ApiError, match=MODIFIED):
        await api.patch(CONFIG_MAP, "default", "settings", Patch("application/merge-patch+json", body))


async def test_a_patch_of_something_that_is_not_there() -> None:
    api, _ = await make_api()
    with pytest.raises(ApiError, match=r'^deployments.apps "gone" not found$'):
        await api.patch(DEPLOYMENT, "default", "gone", Patch("application/merge-patch+json", b"{}"))


async def test_an_unknown_patch_type_is_refused() -> None:
    api, _ = await make_api()
    await api.create(config_map())
    with pytest.raises(ApiError) as caught:
        await api.patch(CONFIG_MAP, "default", "settings", Patch("text/plain", b"{}"))
    assert caught.value.code == 415


async def test_a_patch_of_the_status_leaves_the_rest_alone() -> None:
    api, _ = await make_api()
    await api.create(pod())
    body = b'{"metadata":{"labels":{"a":"b"}},"status":{"phase":"Running","podIP":"10.244.0.5"}}'
    patched = await api.patch(
        POD, "default", "web", Patch("application/strategic-merge-patch+json", body), subresource="status"
    )
    assert (patched.status.phase, patched.status.pod_ip, patched.metadata.labels) == (
        "Running",
        "10.244.0.5",
        {},
    )


async def test_change_gives_the_newest_object_and_what_it_raises_ends_it() -> None:
    api, _ = await make_api()
    await api.create(pod())

    def refuse(old: Pod) -> Pod:
        raise ValueError(old.metadata.name)

    with pytest.raises(ValueError, match="web"):
        await api.change(POD, "default", "web", refuse)
    with pytest.raises(ApiError, match='pods "gone" not found'):
        await api.change(POD, "default", "gone", lambda old: old)


async def test_a_lease_is_created_by_an_update_and_needs_a_revision_afterwards() -> None:
    api, _ = await make_api()
    lease = Lease(
        metadata=ObjectMeta(name="me", namespace="default"),
        spec=LeaseSpec(holder_identity="a", lease_duration_seconds=15),
    )
    created = await api.update(lease)
    renewed = await api.update(replace(created, spec=replace(created.spec, holder_identity="b")))
    assert renewed.spec.holder_identity == "b"
    with pytest.raises(ApiError, match=r"resourceVersion: Invalid value: 0x0: must be specified"):
        await api.update(lease)


async def test_a_namespace_has_its_finalizer_its_label_and_its_phase() -> None:
    api, _ = await make_api("team")
    stored = api.get(NAMESPACE, "", "team")
    assert stored.spec.finalizers == ("kubernetes",)
    assert stored.status.phase == "Active"
    assert stored.metadata.labels == {"kubernetes.io/metadata.name": "team"}


async def test_a_namespace_goes_when_it_is_finalized() -> None:
    api, _ = await make_api("team")
    deletion = await api.delete(NAMESPACE, "", "team")
    ending = deletion.object
    assert not deletion.gone
    assert (ending.status.phase, ending.metadata.deletion_timestamp) == (
        "Terminating",
        "2026-01-02T00:00:00Z",
    )
    again = await api.delete(NAMESPACE, "", "team")
    assert again.object == ending
    await api.finalize(replace(ending, spec=replace(ending.spec, finalizers=())))
    assert api.find(NAMESPACE, "", "team") is None


async def test_the_namespace_default_stays() -> None:
    api, _ = await make_api()
    with pytest.raises(
        ApiError, match=r'^namespaces "default" is forbidden: this namespace may not be deleted$'
    ):
        await api.delete(NAMESPACE, "", "default")


async def test_finalizers_of_a_namespace_change_only_through_finalize() -> None:
    api, _ = await make_api("team")
    stored = api.get(NAMESPACE, "", "team")
    changed: Namespace = await api.update(replace(stored, spec=replace(stored.spec, finalizers=())))
    assert changed.spec.finalizers == ("kubernetes",)
