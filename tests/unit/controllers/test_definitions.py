"""The end of definitions and of their objects, and other controllers with custom kinds."""

import asyncio
from typing import Any

from msgspec.structs import replace

from pinnace.api.custom.conditions import CLEANUP_FINALIZER
from pinnace.api.facade import Api
from pinnace.controllers.definitions.controller import DefinitionController
from pinnace.controllers.definitions.decide import LOOK_AGAIN_S, is_to_be_cleaned_up, plan_end
from pinnace.controllers.garbage.controller import GarbageController
from pinnace.controllers.hpa.controller import HpaController
from pinnace.controllers.runner import ControllerRunner, ObjectKey
from pinnace.kube import kinds
from pinnace.kube.objects.custom import CustomObject
from pinnace.kube.objects.meta_v1 import ObjectMeta
from tests.unit.api.builders import NOW, decode, make_api

SCHEMA = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def definition(**version: Any) -> Any:
    served = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": SCHEMA}, **version}
    spec = {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"plural": "samples", "kind": "Sample"},
        "versions": [served],
    }
    return decode(
        kinds.CUSTOM_RESOURCE_DEFINITION, {"metadata": {"name": "samples.example.com"}, "spec": spec}
    )


def sample(name: str = "a", finalizers: tuple[str, ...] = (), **body: Any) -> CustomObject:
    meta = ObjectMeta(name=name, namespace="default", finalizers=finalizers)
    return CustomObject(api_version="example.com/v1", kind="Sample", metadata=meta, body=body or {"spec": {}})


async def deleted(api: Api) -> Any:
    await api.delete(kinds.CUSTOM_RESOURCE_DEFINITION, "", "samples.example.com")
    return api.get(kinds.CUSTOM_RESOURCE_DEFINITION, "", "samples.example.com")


async def test_the_finalizer_goes_when_no_object_is_left() -> None:
    api, _ = await make_api()
    await api.create(definition())
    one = await api.create(sample())
    crd = await deleted(api)
    assert is_to_be_cleaned_up(crd)
    plan = plan_end(crd, (one,), (), NOW)
    assert (plan.delete, plan.requeue_after_s) == ((one,), LOOK_AGAIN_S)
    assert CLEANUP_FINALIZER in plan.definition.metadata.finalizers
    assert plan.definition.status.conditions[-1].reason == "InstanceDeletionInProgress"
    failed = plan_end(crd, (one,), ("no",), NOW)
    assert failed.definition.status.conditions[-1].message == "could not issue all deletes: no"
    over = plan_end(crd, (), (), NOW)
    assert over.definition.metadata.finalizers == ()
    assert over.definition.status.conditions[-1].reason == "InstanceDeletionCompleted"


async def test_objects_go_first_and_hold_the_definition_by_their_finalizers() -> None:
    api, _ = await make_api()
    await api.create(definition())
    await api.create(sample("free"))
    held = await api.create(sample("held", ("example.com/hold",)))
    await deleted(api)
    controller = DefinitionController(api, api.clock)
    key = ObjectKey("", "samples.example.com")
    assert (await controller.reconcile(key)) is not None
    kind = api.kinds.by_plural("example.com", "v1", "samples")
    assert kind is not None
    assert [obj.metadata.name for obj in api.list(kind)] == ["held"]
    await api.change(
        kind, "default", "held", lambda old: replace(old, metadata=replace(old.metadata, finalizers=()))
    )
    assert api.find(kind, "default", held.metadata.name) is None
    assert await controller.reconcile(key) is None
    assert api.find(kinds.CUSTOM_RESOURCE_DEFINITION, "", "samples.example.com") is None
    assert api.kinds.by_plural("example.com", "v1", "samples") is None


async def test_kinds_that_come_later_are_watched_by_those_who_run_already() -> None:
    api, _ = await make_api()
    runner = ControllerRunner(api, (GarbageController(api), DefinitionController(api, api.clock)), api.clock)
    runner.start()
    await api.create(definition())
    owner = await api.create(sample("owner"))
    ref = {"apiVersion": "example.com/v1", "kind": "Sample", "name": "owner", "uid": owner.metadata.uid}
    await api.create(
        decode(
            kinds.CONFIG_MAP,
            {"metadata": {"name": "child", "namespace": "default", "ownerReferences": [ref]}},
        )
    )
    kind = api.kinds.by_plural("example.com", "v1", "samples")
    assert kind is not None
    await api.delete(kind, "default", "owner")
    async with asyncio.timeout(5):
        async for change in api.watch(kinds.CONFIG_MAP, "default"):
            if change.type == "DELETED":
                break
    await runner.close()


class NoUsage:
    """Nobody uses anything."""

    def pod_usage(self, namespace: str, name: str) -> dict[str, Any]:
        return {}

    def node_usage(self, name: str) -> None:
        return None


async def test_an_autoscaler_reads_the_scale_of_a_custom_kind() -> None:
    api, clock = await make_api()
    paths = {
        "specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    }
    await api.create(definition(subresources={"scale": paths}))
    await api.create(sample(spec={"replicas": 7}, status={"replicas": 7, "selector": "app=a"}))
    hpa = {
        "metadata": {"name": "h", "namespace": "default"},
        "spec": {
            "minReplicas": 1,
            "maxReplicas": 3,
            "scaleTargetRef": {"apiVersion": "example.com/v1", "kind": "Sample", "name": "a"},
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}},
                }
            ],
        },
    }
    await api.create(decode(kinds.HORIZONTAL_POD_AUTOSCALER, hpa))
    await HpaController(api, clock, NoUsage()).reconcile(ObjectKey("default", "h"))
    found = api.get(kinds.HORIZONTAL_POD_AUTOSCALER, "default", "h")
    able = next(one for one in found.status.conditions if one.type == "AbleToScale")
    assert (able.status, found.status.current_replicas) == ("True", 7)
    kind = api.kinds.by_plural("example.com", "v1", "samples")
    assert kind is not None
    assert api.get_scale(kind, "default", "a").spec.replicas == 3  # more than the most there may be
