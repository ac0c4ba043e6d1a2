"""Graceful deletion of pods, finalizers, preconditions, propagation."""

import pytest
from msgspec.structs import replace

from pinnace.base.errors import ApiError, Reason
from pinnace.kube.kinds import CONFIG_MAP, DEPLOYMENT, POD
from tests.unit.api.builders import config_map, deployment, make_api, pod


async def test_an_unbound_pod_goes_at_once() -> None:
    api, _ = await make_api()
    await api.create(pod())
    assert (await api.delete(POD, "default", "web")).gone
    assert api.find(POD, "default", "web") is None


async def test_a_bound_pod_gets_its_grace_and_its_node_finishes_it() -> None:
    api, _ = await make_api()
    await api.create(pod())
    await api.bind("default", "web", "node-1")
    deletion = await api.delete(POD, "default", "web")
    meta = deletion.object.metadata
    assert not deletion.gone
    assert (meta.deletion_timestamp, meta.deletion_grace_period_seconds, meta.generation) == (
        "2026-01-02T00:00:30Z",  # now + terminationGracePeriodSeconds
        30,
        2,
    )
    await api.finish_deletion(deletion.object)
    assert api.find(POD, "default", "web") is None
    await api.finish_deletion(deletion.object)  # gone already: nothing to do


async def test_finishing_the_old_pod_leaves_a_new_one_of_its_name() -> None:
    api, _ = await make_api()
    old = await api.create(pod())
    await api.delete(POD, "default", "web")
    new = await api.create(pod())
    await api.finish_deletion(old)
    assert api.get(POD, "default", "web") == new


async def test_grace_can_only_become_shorter() -> None:
    api, clock = await make_api()
    await api.create(pod())
    await api.bind("default", "web", "node-1")
    await api.delete(POD, "default", "web")
    clock.advance(5)
    longer = (await api.delete(POD, "default", "web", grace_s=60)).object.metadata
    assert (longer.deletion_timestamp, longer.deletion_grace_period_seconds) == ("2026-01-02T00:00:30Z", 30)
    shorter = (await api.delete(POD, "default", "web", grace_s=10)).object.metadata
    assert (shorter.deletion_timestamp, shorter.deletion_grace_period_seconds) == ("2026-01-02T00:00:10Z", 10)


async def test_grace_zero_removes_a_bound_pod_at_once() -> None:
    api, _ = await make_api()
    await api.create(pod())
    await api.bind("default", "web", "node-1")
    assert (await api.delete(POD, "default", "web", grace_s=0)).gone


async def test_a_pod_that_has_ended_has_nothing_to_wait_for() -> None:
    api, _ = await make_api()
    await api.create(pod())
    bound = await api.bind("default", "web", "node-1")
    await api.update_status(replace(bound, status=replace(bound.status, phase="Succeeded")))
    assert (await api.delete(POD, "default", "web")).gone


async def test_an_object_with_finalizers_waits_for_the_last_one() -> None:
    api, _ = await make_api()
    await api.create(config_map(finalizers=["example.com/one", "example.com/two"]))
    deletion = await api.delete(CONFIG_MAP, "default", "settings")
    assert not deletion.gone
    assert deletion.object.metadata.deletion_timestamp == "2026-01-02T00:00:00Z"
    one = await api.change(
        CONFIG_MAP,
        "default",
        "settings",
        lambda old: replace(old, metadata=replace(old.metadata, finalizers=("example.com/two",))),
    )
    assert api.find(CONFIG_MAP, "default", "settings") == one
    await api.update(replace(one, metadata=replace(one.metadata, finalizers=())))
    assert api.find(CONFIG_MAP, "default", "settings") is None


async def test_no_finalizer_can_be_added_to_what_is_being_deleted() -> None:
    api, _ = await make_api()
    await api.create(config_map(finalizers=["example.com/one"]))
    ending = (await api.delete(CONFIG_MAP, "default", "settings")).object
    more = replace(
        ending, metadata=replace(ending.metadata, finalizers=("example.com/one", "example.com/two"))
    )
    with pytest.raises(ApiError) as caught:
        await api.update(more)
    assert [cause.message for cause in caught.value.causes] == [
        "Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers "
        '[]string{"example.com/two"}'
    ]


async def test_preconditions_name_the_object_that_is_meant() -> None:
    api, _ = await make_api()
    stored = await api.create(config_map())
    with pytest.raises(ApiError) as caught:
        await api.delete(CONFIG_MAP, "default", "settings", uid="x")
    assert caught.value.reason is Reason.CONFLICT
    assert str(caught.value) == (
        'Operation cannot be fulfilled on configmaps "settings": Precondition failed: UID in precondition: x, UID in '
        f"object meta: {stored.metadata.uid}"
    )
    with pytest.raises(ApiError, match="ResourceVersion in precondition: 1,"):
        await api.delete(CONFIG_MAP, "default", "settings", resource_version="1")
    assert (await api.delete(CONFIG_MAP, "default", "settings", uid=stored.metadata.uid)).gone


@pytest.mark.parametrize(
    ("propagation", "finalizers"), [("Foreground", ("foregroundDeletion",)), ("Orphan", ("orphan",))]
)
async def test_propagation_leaves_its_finalizer_for_the_garbage_collector(
    propagation: str, finalizers: tuple[str, ...]
) -> None:
    api, _ = await make_api()
    await api.create(deployment())
    deletion = await api.delete(DEPLOYMENT, "default", "web", propagation=propagation)
    assert not deletion.gone
    assert deletion.object.metadata.finalizers == finalizers


async def test_background_deletion_takes_the_object_at_once() -> None:
    api, _ = await make_api()
    await api.create(deployment())
    assert (await api.delete(DEPLOYMENT, "default", "web", propagation="Background")).gone


async def test_an_unknown_propagation_is_invalid() -> None:
    api, _ = await make_api()
    await api.create(deployment())
    with pytest.raises(ApiError, match=r'propagationPolicy: Unsupported value: "Sideways"'):
        await api.delete(DEPLOYMENT, "default", "web", propagation="Sideways")


async def test_deleting_what_is_not_there() -> None:
    api, _ = await make_api()
    with pytest.raises(ApiError, match=r'^deployments.apps "gone" not found$'):
        await api.delete(DEPLOYMENT, "default", "gone")
