"""Which taints a node's state gives it, and what happens to one that is silent."""

import msgspec

from pinnace.api.facade import Api
from pinnace.base.virtual import run_virtual
from pinnace.controllers.nodes.health import NodeHealthController, judge_node
from pinnace.controllers.plan import Change, Plan
from pinnace.controllers.runner import ControllerRunner
from pinnace.kube.kinds import EVENT, NODE
from pinnace.kube.objects.core_v1 import Node, NodeCondition, NodeSpec, NodeStatus, Taint
from pinnace.kube.objects.meta_v1 import ObjectMeta
from tests.unit.controllers.builders import at
from tests.unit.controllers.test_runner import new_api


def node(*true: str, closed: bool = False, taints: tuple[Taint, ...] = ()) -> Node:
    conditions = tuple(NodeCondition(type=type_, status="True") for type_ in ("Ready", *true))
    return Node(
        metadata=ObjectMeta(name="n1"),
        spec=NodeSpec(unschedulable=closed or None, taints=taints),
        status=NodeStatus(conditions=conditions),
    )


def taints_after(plan: Plan) -> list[tuple[str, str, str]]:
    (step,) = plan.steps
    assert isinstance(step, Change)
    return [(taint.key, taint.effect, taint.time_added) for taint in step.after.spec.taints]


def test_closed_node_and_one_that_is_short_of_something_keep_new_pods_away() -> None:
    # Source: Kubernetes, concepts "Taints and Tolerations", taint nodes by condition.
    mine = Taint(key="mine", effect="NoSchedule")
    assert taints_after(judge_node(node("DiskPressure", closed=True, taints=(mine,)), None, (), at(5))) == [
        ("mine", "NoSchedule", ""),
        ("node.kubernetes.io/disk-pressure", "NoSchedule", "2026-01-01T00:00:05Z"),
        ("node.kubernetes.io/unschedulable", "NoSchedule", "2026-01-01T00:00:05Z"),
    ]


def test_taints_go_with_their_reason_and_others_stay() -> None:
    taint = Taint(
        key="node.kubernetes.io/unschedulable", effect="NoSchedule", time_added="2026-01-01T00:00:00Z"
    )
    assert judge_node(node(closed=True, taints=(taint,)), None, (), at(5)) == Plan()
    forever = Taint(key="node.kubernetes.io/unschedulable", effect="NoExecute")  # somebody else's
    assert taints_after(judge_node(node(taints=(forever, taint)), at(0), (), at(5))) == [
        ("node.kubernetes.io/unschedulable", "NoExecute", "")
    ]


def test_closing_and_opening_are_told() -> None:
    async def story() -> list[tuple[str, str]]:
        api: Api = await new_api()
        runner = ControllerRunner(api, (NodeHealthController(api, api.clock),), api.clock)
        await api.create(Node(metadata=ObjectMeta(name="n1")))
        runner.start()
        for closed in (True, None):
            await api.change(
                NODE,
                "",
                "n1",
                lambda one, closed=closed: msgspec.structs.replace(
                    one, spec=msgspec.structs.replace(one.spec, unschedulable=closed)
                ),
            )
            await api.clock.sleep(1)
        await runner.close()
        told = [(event.reason, event.message) for event in api.list(EVENT)]
        await api.store.close()
        return told

    assert run_virtual(story()) == [
        ("NodeNotSchedulable", "Node n1 status is now: NodeNotSchedulable"),
        ("NodeSchedulable", "Node n1 status is now: NodeSchedulable"),
    ]
