"""Deletions as clients ask for them, and what the controllers make of them, on an Api in memory and a clock that jumps."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from pinnace.api.facade import Api
from pinnace.base.virtual import run_virtual
from pinnace.controllers.garbage.controller import GarbageController
from pinnace.controllers.namespace.controller import NamespaceController
from pinnace.controllers.runner import ControllerRunner
from pinnace.kube.kinds import CLUSTER_ROLE, CONFIG_MAP, EVENT, NAMESPACE, SECRET, Kind
from pinnace.kube.objects.core_v1 import ConfigMap, Namespace, Secret
from pinnace.kube.objects.meta_v1 import ObjectMeta, OwnerReference
from pinnace.kube.objects.rbac_v1 import ClusterRole
from tests.unit.controllers.test_runner import new_api

SETTLE_S = 1.0


def play(script: Callable[[Api], Awaitable[Any]]) -> Any:
    """Run the script beside the controllers and return what it returns."""

    async def main() -> Any:
        api = await new_api()
        await api.create(Namespace(metadata=ObjectMeta(name="lab")))
        controllers = (GarbageController(api), NamespaceController(api, api.clock))
        runner = ControllerRunner(api, controllers, api.clock)
        runner.start()
        try:
            return await script(api)
        finally:
            assert runner.failures == ()
            await runner.close()
            await api.store.close()

    return run_virtual(main())


def refer(owner: Any, *, block: bool | None = None, **other: Any) -> OwnerReference:
    meta = owner.metadata
    fields = {"api_version": owner.api_version, "kind": owner.kind, "name": meta.name, "uid": meta.uid}
    return OwnerReference(**{**fields, "block_owner_deletion": block, **other})


async def make(
    api: Api, name: str, *owners: OwnerReference, namespace: str = "lab", finalizers: tuple[str, ...] = ()
) -> ConfigMap:
    meta = ObjectMeta(name=name, namespace=namespace, owner_references=owners, finalizers=finalizers)
    return await api.create(ConfigMap(metadata=meta))


async def names(api: Api, kind: Kind[Any] = CONFIG_MAP) -> list[str]:
    """Return what is there once the controllers have done their work."""
    await api.clock.sleep(SETTLE_S)
    return [one.metadata.name for one in api.list(kind, "lab")]


def test_background_deletion_takes_the_whole_tree_after_the_root() -> None:
    async def script(api: Api) -> None:
        root = await make(api, "root")
        child = await make(api, "child", refer(root))
        await make(api, "grandchild", refer(child))
        done = await api.delete(CONFIG_MAP, "lab", "root", propagation="Background")
        assert done.gone
        assert await names(api) == []

    play(script)


def test_foreground_deletion_shows_its_finalizer_until_what_blocks_it_is_gone() -> None:
    async def script(api: Api) -> None:
        root = await make(api, "root")
        await make(api, "blocks", refer(root, block=True), finalizers=("x/y",))
        await make(api, "loose", refer(root), finalizers=("x/y",))
        done = await api.delete(CONFIG_MAP, "lab", "root", propagation="Foreground")
        assert not done.gone
        meta = done.object.metadata
        assert meta.finalizers == ("foregroundDeletion",)
        assert (bool(meta.deletion_timestamp), meta.deletion_grace_period_seconds) == (True, 0)
        assert await names(api) == ["blocks", "loose", "root"]
        assert all(one.metadata.deletion_timestamp for one in api.list(CONFIG_MAP, "lab"))
        await api.change(CONFIG_MAP, "lab", "blocks", free)
        assert await names(api) == ["loose"]  # it waits for its own finalizer, but holds nobody up
        await api.change(CONFIG_MAP, "lab", "loose", free)
        assert await names(api) == []

    play(script)


def free(obj: Any) -> Any:
    return msgspec.structs.replace(obj, metadata=msgspec.structs.replace(obj.metadata, finalizers=()))


def test_owner_no_longer_waits_for_a_dependent_that_was_given_away() -> None:
    async def script(api: Api) -> None:
        root = await make(api, "root")
        await make(api, "blocks", refer(root, block=True), finalizers=("x/y",))
        await api.delete(CONFIG_MAP, "lab", "root", propagation="Foreground")
        assert await names(api) == ["blocks", "root"]

        def give_away(obj: Any) -> Any:
            meta = msgspec.structs.replace(obj.metadata, owner_references=())
            return msgspec.structs.replace(obj, metadata=meta)

        await api.change(CONFIG_MAP, "lab", "blocks", give_away)
        assert await names(api) == ["blocks"]

    play(script)


def test_orphans_stay_and_name_no_owner() -> None:
    async def script(api: Api) -> None:
        root = await make(api, "root")
        for number in range(5):
            await make(api, f"c{number}", refer(root, block=True, controller=True))
        done = await api.delete(CONFIG_MAP, "lab", "root", propagation="Orphan")
        assert done.object.metadata.finalizers == ("orphan",)
        assert await names(api) == [f"c{number}" for number in range(5)]
        assert all(one.metadata.owner_references == () for one in api.list(CONFIG_MAP, "lab"))

    play(script)


def test_object_stays_while_one_owner_is_left() -> None:
    async def script(api: Api) -> None:
        first, second = await make(api, "first"), await make(api, "second")
        await make(api, "child", refer(first), refer(second))
        await api.delete(CONFIG_MAP, "lab", "first")
        assert await names(api) == ["child", "second"]
        assert [ref.name for ref in api.get(CONFIG_MAP, "lab", "child").metadata.owner_references] == [
            "second"
        ]
        await api.delete(CONFIG_MAP, "lab", "second")
        assert await names(api) == []

    play(script)


def test_owner_that_never_was_or_is_another_one_now_is_absent() -> None:
    async def script(api: Api) -> None:
        owner = await make(api, "owner")
        await make(api, "stray", refer(owner, name="nobody"))
        await make(api, "late", refer(owner, uid="11111111-2222-3333-4444-555555555555"))
        assert await names(api) == ["owner"]

    play(script)


def test_owner_of_a_kind_that_nobody_serves_holds_its_dependents() -> None:
    async def script(api: Api) -> None:
        owner = await make(api, "owner")
        await make(api, "kept", refer(owner, api_version="example.com/v1", kind="Widget"))
        await api.delete(CONFIG_MAP, "lab", "owner")
        assert await names(api) == ["kept"]

    play(script)


def test_cluster_scoped_owner_takes_dependents_of_every_namespace() -> None:
    async def script(api: Api) -> None:
        owner = await api.create(ClusterRole(metadata=ObjectMeta(name="owner")))
        await make(api, "a", refer(owner))
        await make(api, "b", refer(owner), namespace="default")
        await api.create(ClusterRole(metadata=ObjectMeta(name="c", owner_references=(refer(owner),))))
        await api.delete(CLUSTER_ROLE, "", "owner")
        await api.clock.sleep(SETTLE_S)
        assert api.list(CONFIG_MAP) == ()
        assert api.find(CLUSTER_ROLE, "", "c") is None

    play(script)


def test_owner_in_another_namespace_does_not_count_and_is_told() -> None:
    async def script(api: Api) -> None:
        owner = await make(api, "owner", namespace="default")
        await make(api, "child", refer(owner))
        assert await names(api) == []
        (event,) = api.list(EVENT, "lab")
        assert (event.type, event.reason, event.involved_object.name) == (
            "Warning",
            "OwnerRefInvalidNamespace",
            "child",
        )

    play(script)


def test_cluster_scoped_dependent_of_an_object_with_a_namespace_is_kept_and_told() -> None:
    async def script(api: Api) -> None:
        owner = await make(api, "owner")
        role = await api.create(
            ClusterRole(metadata=ObjectMeta(name="kept", owner_references=(refer(owner),)))
        )
        await api.delete(CONFIG_MAP, "lab", "owner")
        await api.clock.sleep(SETTLE_S)
        assert api.find(CLUSTER_ROLE, "", "kept") is not None
        (event,) = api.list(EVENT, "default")
        assert (event.reason, event.involved_object.uid) == ("OwnerRefInvalidNamespace", role.metadata.uid)

    play(script)


def test_namespace_says_what_holds_it_and_goes_when_that_is_gone() -> None:
    async def script(api: Api) -> None:
        await make(api, "free")
        await make(api, "held", finalizers=("example.com/hold",))
        await api.create(Secret(metadata=ObjectMeta(name="s", namespace="lab")))
        await api.delete(NAMESPACE, "", "lab")
        assert await names(api) == ["held"]
        assert api.list(SECRET, "lab") == ()
        namespace = api.get(NAMESPACE, "", "lab")
        assert namespace.status.phase == "Terminating"
        told = {one.type: one.message for one in namespace.status.conditions if one.status == "True"}
        assert told == {
            "NamespaceContentRemaining": "Some resources are remaining: configmaps. has 1 resource instances",
            "NamespaceFinalizersRemaining": "Some content in the namespace has finalizers remaining: "
            "example.com/hold in 1 resource instances",
        }
        await api.change(CONFIG_MAP, "lab", "held", free)
        await api.clock.sleep(SETTLE_S)
        assert api.find(NAMESPACE, "", "lab") is None

    play(script)


def test_namespace_with_finalizers_of_its_own_stays_empty_until_they_are_gone() -> None:
    async def script(api: Api) -> None:
        lab = api.get(NAMESPACE, "", "lab")
        spec = msgspec.structs.replace(lab.spec, finalizers=("kubernetes", "example.com/mine"))
        await api.finalize(msgspec.structs.replace(lab, spec=spec))
        await make(api, "content")
        await api.delete(NAMESPACE, "", "lab")
        assert await names(api) == []
        lab = api.get(NAMESPACE, "", "lab")
        assert lab.spec.finalizers == ("example.com/mine",)
        assert {one.status for one in lab.status.conditions} == {"False"}
        await api.finalize(
            msgspec.structs.replace(lab, spec=msgspec.structs.replace(lab.spec, finalizers=()))
        )
        assert api.find(NAMESPACE, "", "lab") is None

    play(script)
