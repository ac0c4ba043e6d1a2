"""Measures the scheduler on 5,000 nodes: pods bound per second through the real API on the memory store.

Run: python benchmarks/scheduling.py [--nodes N] [--pods N] [--classes N]

Three figures: the pure decider alone; the decider with its memory turned off (what a scheduler does that looks at every
node for every pod); and the whole way, from pods that wait to pods that are bound, with binding, condition, event and
watches. Time is virtual for the scheduler, the figures are real seconds.
Peer: kube-scheduler 1.36 measured 306 pods/s on 1,000 nodes on two such cores (client limits raised); Kubernetes' own
gates for 5,000 nodes are 180 to 810 pods/s.
"""

from __future__ import annotations

import argparse
import gc
import time

from pinnace.api.facade import Api
from pinnace.api.settings import ApiSettings
from pinnace.base.chance import Chance
from pinnace.base.clock import LoopClock
from pinnace.base.virtual import run_virtual
from pinnace.kube.kinds import NODE, POD
from pinnace.kube.objects.core_v1 import (
    Container,
    Namespace,
    Node,
    NodeStatus,
    Pod,
    PodSpec,
    ResourceRequirements,
)
from pinnace.kube.objects.meta_v1 import ObjectMeta
from pinnace.scheduler.cluster import Cluster
from pinnace.scheduler.decide import Placement, new_memory, schedule
from pinnace.scheduler.facts import node_shape, pod_facts
from pinnace.scheduler.scheduler import Scheduler
from pinnace.store.memory import MemoryStore


def make_node(number: int) -> Node:
    name = f"node-{number:05}"
    labels = {"kubernetes.io/hostname": name, "topology.kubernetes.io/zone": f"zone-{number % 3}"}
    allocatable = {"cpu": "32", "memory": "128Gi", "pods": "110"}
    return Node(metadata=ObjectMeta(name=name, labels=labels), status=NodeStatus(allocatable=allocatable))


def make_pod(number: int, classes: int) -> Pod:
    kind = number % classes
    requests = {"cpu": f"{100 + 10 * kind}m", "memory": "500Mi"}
    return Pod(
        metadata=ObjectMeta(name=f"web-{number:06}", namespace="default", labels={"app": f"web-{kind}"}),
        spec=PodSpec(
            containers=(
                Container(name="main", image="app", resources=ResourceRequirements(requests=requests)),
            )
        ),
    )


def measure_decider(nodes: int, pods: int, classes: int, *, remember: bool) -> float:
    cluster, memory, chance = Cluster(), new_memory(), Chance(1)
    for number in range(nodes):
        cluster.set_node(node_shape(make_node(number)))
    began = time.perf_counter()
    for number in range(pods):
        pod = make_pod(number, classes)
        facts = pod_facts(Pod(metadata=ObjectMeta(name=pod.metadata.name, uid=str(number)), spec=pod.spec))
        decision = schedule(facts, cluster, chance, memory if remember else None)
        assert isinstance(decision, Placement)
        cluster.add_pod(facts, decision.node)
    return pods / (time.perf_counter() - began)


async def measure_whole(nodes: int, pods: int, classes: int) -> tuple[float, float]:
    clock = LoopClock(1_767_225_600.0)
    api = Api(MemoryStore(), clock, Chance(1), ApiSettings(cache_size=200_000))
    await api.create(Namespace(metadata=ObjectMeta(name="default")))
    for number in range(nodes):
        node = make_node(number)
        await api.create(node)
        await api.update_status(node)
    began = time.perf_counter()
    for number in range(pods):
        await api.create(make_pod(number, classes))
    created = time.perf_counter()
    scheduler = Scheduler(api, clock, Chance(2))
    scheduler.start()
    while not scheduler.idle:
        await clock.sleep(0.01)
    bound = time.perf_counter()
    await scheduler.close()
    assert all(pod.spec.node_name for pod in api.list(POD))
    assert len(api.list(NODE)) == nodes
    return pods / (created - began), pods / (bound - created)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--nodes", type=int, default=5000)
    parser.add_argument("--pods", type=int, default=10_000)
    parser.add_argument("--classes", type=int, default=10)
    options = parser.parse_args()
    shape = options.nodes, options.pods, options.classes
    gc.freeze()
    print(f"{options.nodes} nodes, {options.pods} pods of {options.classes} classes")
    few = max(options.classes, options.pods // 100)
    print(
        f"decider without memory     {measure_decider(options.nodes, few, options.classes, remember=False):8,.0f} pods/s"
    )
    print(f"decider                    {measure_decider(*shape, remember=True):8,.0f} pods/s")
    created, bound = run_virtual(measure_whole(*shape))
    print(f"pods created through API   {created:8,.0f} pods/s")
    print(f"scheduled and bound        {bound:8,.0f} pods/s   (with Scheduled events and conditions)")


if __name__ == "__main__":
    main()
