"""The other controllers in the small world: owners, namespaces, endpoints, nodes, events."""

import pytest

from pinnace.base.times import render_micro_time
from pinnace.kube.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    ENDPOINT_SLICE,
    ENDPOINTS,
    EVENT,
    LEASE,
    NAMESPACE,
    NODE,
    POD,
    REPLICA_SET,
    SERVICE,
    SERVICE_ACCOUNT,
)
from pinnace.kube.objects.coordination_v1 import Lease, LeaseSpec
from pinnace.kube.objects.core_v1 import Namespace, Node, NodeCondition, NodeStatus
from pinnace.kube.objects.meta_v1 import ObjectMeta
from tests.simulate.test_rollouts import is_rolled_out, manifest
from tests.simulate.world import Timing, World, run_world

SERVICE_YAML = """
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ports: [{port: 80, targetPort: 8000}]
"""


def left(world: World, namespace: str = "default") -> tuple[int, int, int]:
    return (
        len(world.api.list(DEPLOYMENT, namespace)),
        len(world.api.list(REPLICA_SET, namespace)),
        len(world.api.list(POD, namespace)),
    )


# ---------------------------------------------------------------------- owners


@pytest.mark.parametrize("propagation", ["Background", "Foreground"])
def test_deleted_deployment_takes_its_sets_and_pods_along(propagation: str) -> None:
    async def story(world: World) -> None:
        await world.apply(manifest(3))
        await world.until(lambda: is_rolled_out(world))
        await world.api.delete(DEPLOYMENT, "default", "web", propagation=propagation)
        if propagation == "Foreground":
            assert left(world)[0] == 1  # it waits for its dependents
        await world.until(lambda: left(world) == (0, 0, 0), limit_s=30)

    run_world(story)


def test_orphaned_sets_go_on_and_are_adopted_by_the_next_deployment() -> None:
    async def story(world: World) -> None:
        await world.apply(manifest(3))
        await world.until(lambda: is_rolled_out(world))
        before = {pod.metadata.uid for pod in world.pods(app="web")}
        await world.api.delete(DEPLOYMENT, "default", "web", propagation="Orphan")
        await world.sleep(30)
        assert left(world) == (0, 1, 3)
        await world.apply(manifest(3))
        await world.until(lambda: is_rolled_out(world))
        assert {pod.metadata.uid for pod in world.pods(app="web")} == before
        assert left(world) == (1, 1, 3)

    run_world(story)


# ---------------------------------------------------------------------- namespaces


def test_cluster_objects_are_there_from_the_start() -> None:
    async def story(world: World) -> None:
        await world.sleep(1)
        names = [one.metadata.name for one in world.api.list(NAMESPACE)]
        assert names == ["default", "kube-node-lease", "kube-public", "kube-system"]
        for name in names:
            assert world.api.get(SERVICE_ACCOUNT, name, "default")
            assert world.api.get(CONFIG_MAP, name, "kube-root-ca.crt").data == {"ca.crt": "CA"}
        service = world.api.get(SERVICE, "default", "kubernetes")
        assert (service.spec.cluster_ip, service.spec.ports[0].port) == ("10.96.0.1", 443)
        (subset,) = world.api.get(ENDPOINTS, "default", "kubernetes").subsets
        assert ([a.ip for a in subset.addresses], [p.port for p in subset.ports]) == (["10.244.0.1"], [6443])
        (endpoint,) = world.api.get(ENDPOINT_SLICE, "default", "kubernetes").endpoints
        assert endpoint.addresses == ("10.244.0.1",)

    run_world(story)


def test_deleted_account_and_certificate_come_back() -> None:
    async def story(world: World) -> None:
        await world.sleep(1)
        await world.api.delete(SERVICE_ACCOUNT, "default", "default")
        await world.api.delete(CONFIG_MAP, "default", "kube-root-ca.crt")
        await world.until(
            lambda: world.api.find(SERVICE_ACCOUNT, "default", "default") is not None, limit_s=5
        )
        await world.until(
            lambda: world.api.find(CONFIG_MAP, "default", "kube-root-ca.crt") is not None, limit_s=5
        )

    run_world(story)


def test_namespace_goes_with_all_that_is_in_it() -> None:
    async def story(world: World) -> None:
        await world.api.create(Namespace(metadata=ObjectMeta(name="lab")))
        await world.apply(manifest(3), namespace="lab")
        await world.apply(SERVICE_YAML, namespace="lab")
        await world.until(lambda: left(world, "lab") == (1, 1, 3), limit_s=30)
        await world.sleep(20)
        await world.api.delete(NAMESPACE, "", "lab")
        terminating = world.api.get(NAMESPACE, "", "lab")
        assert terminating.status.phase == "Terminating"
        await world.until(lambda: world.api.find(NAMESPACE, "", "lab") is None, limit_s=60)
        assert left(world, "lab") == (0, 0, 0)
        assert world.api.list(SERVICE_ACCOUNT, "lab") == ()
        assert world.api.list(ENDPOINT_SLICE, "lab") == ()
        await world.until(lambda: world.runner.failures == (), limit_s=120)

    run_world(story)


# ---------------------------------------------------------------------- endpoints


def test_endpoints_follow_the_pods_and_lose_terminating_ones_before_they_end() -> None:
    async def story(world: World) -> None:
        await world.apply(manifest(3))
        await world.apply(SERVICE_YAML)
        await world.until(lambda: is_rolled_out(world))
        await world.sleep(1)
        (one,) = slices(world)
        assert [e.conditions.ready for e in one.endpoints] == [True] * 3
        assert [p.port for p in one.ports] == [8000]
        assert len(world.api.get(ENDPOINTS, "default", "web").subsets[0].addresses) == 3
        victim = world.pods(app="web")[0]
        await world.api.delete(POD, "default", victim.metadata.name)
        await world.sleep(0.1)
        (one,) = slices(world)
        mine = next(e for e in one.endpoints if e.target_ref and e.target_ref.uid == victim.metadata.uid)
        assert (mine.conditions.ready, mine.conditions.serving, mine.conditions.terminating) == (
            False,
            True,
            True,
        )
        assert len(world.api.get(ENDPOINTS, "default", "web").subsets[0].addresses) == 2
        await world.until(lambda: is_rolled_out(world))
        await world.sleep(1)
        assert len(slices(world)[0].endpoints) == 3
        await world.api.delete(SERVICE, "default", "web")
        await world.until(lambda: slices(world) == [], limit_s=5)
        assert world.api.find(ENDPOINTS, "default", "web") is None

    run_world(story, timing=Timing(stop_s=5))


def slices(world: World) -> list[object]:
    found = world.api.list(ENDPOINT_SLICE, "default")
    return [one for one in found if one.metadata.labels.get("kubernetes.io/service-name") == "web"]


# ---------------------------------------------------------------------- nodes, events


def test_pods_of_a_node_that_is_gone_are_removed_after_the_quarantine() -> None:
    async def story(world: World) -> None:
        await world.apply(manifest(2))
        await world.until(lambda: is_rolled_out(world))
        before = {pod.metadata.uid for pod in world.pods(app="web")}
        await world.api.delete(NODE, "", "n1")
        await world.sleep(39)
        assert {pod.metadata.uid for pod in world.pods(app="web")} == before
        await world.sleep(3)
        assert not before & {pod.metadata.uid for pod in world.pods(app="web")}

    run_world(story)


def test_silent_node_is_not_ready_until_it_speaks_again() -> None:
    async def story(world: World) -> None:
        await world.api.create(Node(metadata=ObjectMeta(name="n2")))

        def ready(node: Node) -> Node:
            import msgspec

            condition = NodeCondition(type="Ready", status="True", reason="KubeletReady")
            return msgspec.structs.replace(node, status=NodeStatus(conditions=(condition,)))

        await world.api.change(NODE, "", "n2", ready, subresource="status")
        renewed = render_micro_time(
            world.api.clock.now() - 3600
        )  # an old lease says nothing: nobody was there to renew it
        await world.api.create(
            Lease(
                metadata=ObjectMeta(name="n2", namespace="kube-node-lease"),
                spec=LeaseSpec(holder_identity="n2", renew_time=renewed, lease_duration_seconds=40),
            )
        )
        await world.sleep(39)
        assert condition_of(world) == ("True", [])
        await world.sleep(2)
        assert condition_of(world) == ("Unknown", ["node.kubernetes.io/unreachable"])

        def renew(lease: Lease) -> Lease:
            import msgspec

            now = render_micro_time(world.api.clock.now())
            return msgspec.structs.replace(lease, spec=msgspec.structs.replace(lease.spec, renew_time=now))

        await world.api.change(LEASE, "kube-node-lease", "n2", renew)
        await world.api.change(NODE, "", "n2", ready, subresource="status")
        await world.sleep(1)
        assert condition_of(world) == ("True", [])

    def condition_of(world: World) -> tuple[str, list[str]]:
        node = world.api.get(NODE, "", "n2")
        status = next(c.status for c in node.status.conditions if c.type == "Ready")
        return status, [taint.key for taint in node.spec.taints]

    run_world(story)


def test_events_are_forgotten_after_an_hour() -> None:
    async def story(world: World) -> None:
        await world.apply(manifest(1))
        await world.until(lambda: is_rolled_out(world))
        assert world.api.list(EVENT, "default")
        await world.sleep(3600 + 120)
        assert world.api.list(EVENT, "default") == ()

    run_world(story)


def test_world_at_rest_writes_nothing() -> None:
    async def story(world: World) -> tuple[int, int]:
        await world.apply(manifest(3))
        await world.apply(SERVICE_YAML)
        await world.until(lambda: is_rolled_out(world))
        await world.sleep(700)  # beyond the deadline too
        before = len(world.trace)
        await world.sleep(1000)
        return before, len(world.trace)

    before, after = run_world(story)
    assert before == after
