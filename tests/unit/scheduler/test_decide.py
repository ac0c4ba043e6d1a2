"""The decider as a whole: messages, choice, and a memory that changes nothing."""

import random
from typing import Any

import pytest

from pinnace.base.chance import Chance
from pinnace.kube.objects.core_v1 import Taint
from pinnace.scheduler.class_memory import Memory
from pinnace.scheduler.cluster import Cluster
from pinnace.scheduler.decide import Placement, Unschedulable, new_memory, schedule
from pinnace.scheduler.facts import PodFacts, node_shape
from pinnace.scheduler.framework import NodePlugin
from pinnace.scheduler.ranking import Ranking
from tests.unit.scheduler.builders import cluster, decide, facts, node


def message(one: PodFacts, *nodes: Any, pods: dict[str, list[PodFacts]] | None = None) -> str:
    decision = decide(one, cluster(*nodes, pods=pods))
    assert isinstance(decision, Unschedulable)
    return decision.message


def test_a_node_that_is_full_gives_the_sentence_that_people_search_for() -> None:
    # As kube-scheduler says it on a one-node cluster whose cpu is taken.
    assert message(facts(cpu="2"), node(cpu="4"), pods={"n1": [facts("a", cpu="3")]}) == (
        "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: "
        "1 No preemption victims found for incoming pod."
    )


def test_reasons_are_counted_and_sorted_as_text() -> None:
    nodes = [node(f"n{i}", labels={"pool": "x"}) for i in range(10)]
    nodes += [
        node("t1", taints=(Taint(key="k", effect="NoExecute"),)),
        node("c1", unschedulable=True),
        node("small", cpu="1"),
    ]
    assert message(
        facts(cpu="2", nodeSelector={"pool": "y"}), *nodes, node("big", cpu="1", labels={"pool": "y"})
    ) == (
        "0/14 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint(s), "
        "1 node(s) were unschedulable, 11 node(s) didn't match Pod's node affinity/selector. "
        "preemption: 0/14 nodes are available: 14 Preemption is not helpful for scheduling."
    )


def test_no_nodes_and_no_preemption_have_sentences_of_their_own() -> None:
    assert message(facts()) == "no nodes available to schedule pods"
    assert message(facts(cpu="9", preemptionPolicy="Never"), node()) == (
        "0/1 nodes are available: 1 Insufficient cpu. preemption: not eligible due to preemptionPolicy=Never."
    )


def test_rejections_name_every_node_and_its_plugin() -> None:
    decision = decide(facts(cpu="9"), cluster(node("n1"), node("n2", unschedulable=True)))
    assert isinstance(decision, Unschedulable)
    assert {name: r.plugin for name, r in decision.rejections.items()} == {
        "n1": "NodeResourcesFit",
        "n2": "NodeUnschedulable",
    }
    assert decision.plugins == {"NodeResourcesFit", "NodeUnschedulable"}


def test_the_emptier_node_wins() -> None:
    made = cluster(node("n1"), node("n2"), pods={"n1": [facts("a", cpu="2", memory="4Gi")]})
    assert decide(facts(cpu="1", memory="2Gi"), made) == Placement(
        "n2", score=75 + 100 + 300, ties=1, feasible=2
    )


def test_soft_taints_and_preferences_outweigh_room() -> None:
    soft = Taint(key="slow", effect="PreferNoSchedule")
    made = cluster(node("n1", taints=(soft,)), node("n2"), pods={"n2": [facts("a", cpu="2", memory="4Gi")]})
    decision = decide(facts(cpu="1", memory="2Gi"), made)
    assert isinstance(decision, Placement)
    assert decision.node == "n2"


def test_equals_are_chosen_by_chance_and_the_same_seed_chooses_the_same() -> None:
    made = cluster(*(node(f"n{i}") for i in range(20)))
    chosen = [decide(facts(cpu="1"), made, seed) for seed in range(50)]
    assert all(isinstance(decision, Placement) and decision.ties == 20 for decision in chosen)
    assert len({decision.node for decision in chosen if isinstance(decision, Placement)}) > 10
    assert chosen == [decide(facts(cpu="1"), made, seed) for seed in range(50)]


@pytest.mark.parametrize("seed", range(5))
def test_the_memory_changes_nothing_but_the_time(seed: int) -> None:
    """Whatever happens to nodes and pods, asking with and without memory gives the same score, ties and reasons."""
    chance = random.Random(seed)
    made, memory = Cluster(), new_memory()
    running: list[PodFacts] = []
    kinds = [
        {"cpu": "500m", "memory": "1Gi"},
        {"cpu": "1"},
        {"requests": {"nvidia.com/gpu": 1}},
        {"nodeSelector": {"pool": "a"}, "cpu": "100m"},
        {"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
            {"weight": w, "preference": {"matchExpressions": [{"key": "pool", "operator": "In", "values": [p]}]}}
            for w, p in ((10, "a"), (40, "b"))
        ]}}},
        {"tolerations": [{"key": "slow", "operator": "Exists"}], "memory": "2Gi"},
    ]  # fmt: skip
    for step in range(400):
        move = chance.random()
        if move < 0.15:
            made.set_node(node_shape(_some_node(chance)))
        elif move < 0.2:
            made.remove_node(f"n{chance.randrange(8)}")
        elif move < 0.4 and running:
            made.remove_pod(running.pop(chance.randrange(len(running))).uid)
        else:
            one = facts(f"p{step}", **chance.choice(kinds))
            with_memory, without = (
                schedule(one, made, Chance(step), memory),
                schedule(one, made, Chance(step)),
            )
            _assert_same(with_memory, without)
            if isinstance(with_memory, Placement):
                made.add_pod(one, with_memory.node)
                running.append(one)
    assert len(running) > 20


def _some_node(chance: random.Random) -> Any:
    taints = (Taint(key="slow", effect=chance.choice(("PreferNoSchedule", "NoSchedule"))),)
    return node(
        f"n{chance.randrange(8)}",
        cpu=chance.choice(("2", "4", "8")),
        labels={"pool": chance.choice("abc")},
        taints=taints if chance.random() < 0.4 else (),
        unschedulable=chance.random() < 0.1 or None,
        **({"nvidia.com/gpu": 2} if chance.random() < 0.5 else {}),
    )


def _assert_same(one: Any, other: Any) -> None:
    if isinstance(one, Placement):
        assert (one.score, one.ties, one.feasible) == (other.score, other.ties, other.feasible)
    else:
        assert one == other


def test_one_more_pod_of_a_class_looks_at_one_node_anew() -> None:
    looked: list[str] = []

    class Spy(NodePlugin):
        name = "Spy"
        reads_pods = True

        def filter(self, pod: PodFacts, one: Any) -> None:
            looked.append(one.name)

    made, memory = cluster(*(node(f"n{i}") for i in range(30))), Memory((Spy(),))
    memory.recall(facts("a", cpu="1"), made)
    assert len(looked) == 30
    made.add_pod(facts("a", cpu="1"), "n7")
    looked.clear()
    memory.recall(facts("b", cpu="1"), made)
    assert looked == ["n7"]


def test_a_reader_that_is_too_far_behind_looks_at_every_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pinnace.scheduler.cluster.CHANGES_KEPT", 4)
    made, memory = cluster(node("n1"), node("n2")), new_memory()
    assert isinstance(schedule(facts(cpu="3"), made, Chance(1), memory), Placement)
    made.remove_node("n2")
    for number in range(20):
        made.add_pod(facts(f"p{number}", cpu="100m"), "n1")
    decision = schedule(facts(cpu="3"), made, Chance(1), memory)
    assert isinstance(decision, Unschedulable)
    assert list(decision.rejections) == ["n1"]


def test_a_ranking_keeps_the_best_through_any_changes() -> None:
    chance, ranking, model = random.Random(3), Ranking(), {}
    for _ in range(3000):
        name = chance.randrange(20)
        if chance.random() < 0.3:
            ranking.discard(name)
            model.pop(name, None)
        else:
            model[name] = chance.randrange(10)
            ranking.put(name, model[name])
        assert len(ranking) == len(model)
        if model:
            score, best = ranking.best()
            assert score == max(model.values())
            assert set(best) == {n for n, s in model.items() if s == score}
