"""The plugins whose answer depends on other pods: topology spread and affinity between pods."""

from typing import Any

from pinnace.kube.requirements import EVERYTHING
from pinnace.scheduler.cluster import Cluster
from pinnace.scheduler.decide import Placement, Unschedulable
from pinnace.scheduler.facts import PodFacts, pod_facts
from pinnace.scheduler.pod_counts import Match, Question
from tests.unit.scheduler.builders import HOST, ZONE, cluster, decide, facts, node, pod

WEB = {"app": "web"}
SELECTS_WEB = {"matchLabels": WEB}


def web(name: str, **more: Any) -> PodFacts:
    return facts(name, labels=WEB, **more)


def spread(key: str, *, skew: int = 1, hard: bool = True, **more: Any) -> dict[str, Any]:
    unsatisfiable = "DoNotSchedule" if hard else "ScheduleAnyway"
    constraint = {
        "topologyKey": key,
        "maxSkew": skew,
        "whenUnsatisfiable": unsatisfiable,
        "labelSelector": SELECTS_WEB,
    }
    return {"topologySpreadConstraints": [constraint | more]}


def zones(*sizes: int) -> Cluster:
    """Return a cluster of one node per zone, with so many web pods each."""
    nodes = [node(f"n{i}", labels={ZONE: f"z{i}"}) for i in range(len(sizes))]
    return cluster(
        *nodes, pods={f"n{i}": [web(f"w{i}-{k}") for k in range(size)] for i, size in enumerate(sizes)}
    )


def reasons(decision: Any) -> dict[str, str]:
    assert isinstance(decision, Unschedulable), decision
    return {name: rejection.reasons[0] for name, rejection in decision.rejections.items()}


def placed(decision: Any) -> str:
    assert isinstance(decision, Placement), decision
    return decision.node


# ---------------------------------------------------------------------- spread


def test_a_domain_may_not_be_ahead_by_more_than_the_skew() -> None:
    assert placed(decide(web("new", **spread(ZONE)), zones(2, 1, 2))) == "n1"
    made = cluster(
        node("n1", labels={ZONE: "a"}), node("n2", cpu="0", labels={ZONE: "b"}), pods={"n1": [web("w")]}
    )
    assert reasons(decide(web("new", cpu="1", **spread(ZONE)), made)) == {
        "n1": "node(s) didn't match pod topology spread constraints",
        "n2": "Insufficient cpu",
    }
    assert placed(decide(web("new", cpu="1", **spread(ZONE, skew=2)), made)) == "n1"


def test_a_node_without_the_label_takes_none() -> None:
    assert reasons(decide(web("new", **spread(ZONE)), cluster(node("n1")))) == {
        "n1": "node(s) didn't match pod topology spread constraints (missing required label)"
    }


def test_too_few_domains_count_as_an_empty_one() -> None:
    assert placed(decide(web("new", **spread(ZONE, minDomains=2)), zones(1, 1))) in ("n0", "n1")
    decision = decide(web("new", **spread(ZONE, minDomains=3)), zones(1, 1))
    assert set(reasons(decision).values()) == {"node(s) didn't match pod topology spread constraints"}


def test_pods_that_are_being_deleted_and_other_pods_do_not_count() -> None:
    made = zones(1, 1)
    going = pod("going", labels=WEB)
    from msgspec.structs import replace

    going = replace(going, metadata=replace(going.metadata, deletion_timestamp="2026-01-01T00:00:00Z"))
    made.add_pod(pod_facts(going), "n1")
    made.add_pod(facts("other"), "n1")
    made.add_pod(web("elsewhere", namespace="other"), "n1")
    made.add_pod(web("one-more"), "n0")
    assert placed(decide(web("new", **spread(ZONE)), made)) == "n1"


def test_soft_constraints_prefer_the_emptier_domain() -> None:
    # Room would prefer n0 (fewer requests there), the constraint weighs more.
    made = zones(3, 0)
    made.add_pod(facts("big", cpu="1", memory="2Gi"), "n1")
    assert placed(decide(web("new", cpu="100m", **spread(ZONE, hard=False)), made)) == "n1"


def test_a_rollout_spreads_by_its_own_hash_only() -> None:
    old = facts("old", labels=WEB | {"pod-template-hash": "1"})
    made = cluster(node("n1"), node("n2"), pods={"n1": [old]})
    made.add_pod(facts("new-1", labels=WEB | {"pod-template-hash": "2"}), "n2")
    new = facts(
        "new-2", labels=WEB | {"pod-template-hash": "2"}, **spread(HOST, matchLabelKeys=["pod-template-hash"])
    )
    assert placed(decide(new, made)) == "n1"


# ---------------------------------------------------------------------- affinity


def near(key: str, selector: dict[str, Any] = SELECTS_WEB, **more: Any) -> dict[str, Any]:
    term = {"topologyKey": key, "labelSelector": selector} | more
    return {"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}}


def away(key: str, selector: dict[str, Any] = SELECTS_WEB, **more: Any) -> dict[str, Any]:
    term = {"topologyKey": key, "labelSelector": selector} | more
    return {"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}}


def prefers(kind: str, weight: int, key: str = HOST) -> dict[str, Any]:
    term = {"weight": weight, "podAffinityTerm": {"topologyKey": key, "labelSelector": SELECTS_WEB}}
    return {"affinity": {kind: {"preferredDuringSchedulingIgnoredDuringExecution": [term]}}}


def test_affinity_leads_to_the_domain_of_a_match() -> None:
    made = zones(0, 1, 0)
    assert placed(decide(facts("cache", **near(ZONE)), made)) == "n1"
    made.remove_pod("uid-w1-0")
    assert reasons(decide(facts("cache", **near(ZONE)), made)) == dict.fromkeys(
        ("n0", "n1", "n2"), "node(s) didn't match pod affinity rules"
    )


def test_the_first_of_its_kind_may_go_anywhere_that_has_the_label() -> None:
    made = cluster(node("n1"), node("n2", labels={ZONE: "a"}))
    assert placed(decide(web("first", **near(ZONE)), made)) == "n2"


def test_anti_affinity_keeps_away_and_is_kept_away_from() -> None:
    made = zones(1, 0)
    assert placed(decide(facts("db", **away(ZONE)), made)) == "n1"
    full = zones(1, 1)
    assert set(reasons(decide(facts("db", **away(ZONE)), full)).values()) == {
        "node(s) didn't match pod anti-affinity rules"
    }
    guarded = zones(0, 0)
    guarded.add_pod(facts("db", **away(ZONE)), "n0")
    assert placed(decide(web("new"), guarded)) == "n1"
    guarded.add_pod(facts("db2", **away(ZONE)), "n1")
    decision = decide(web("new"), guarded)
    assert set(reasons(decision).values()) == {"node(s) didn't satisfy existing pods anti-affinity rules"}
    guarded.remove_pod("uid-db2")
    assert placed(decide(web("new"), guarded)) == "n1"
    assert isinstance(decide(facts("other"), guarded), Placement)


def test_replicas_that_avoid_each_other_fill_each_node_once() -> None:
    made = cluster(*(node(f"n{i}") for i in range(3)))
    for number in range(3):
        one = web(f"w{number}", **away(HOST))
        made.add_pod(one, placed(decide(one, made)))
    assert [len(one.pods) for one in made.nodes.values()] == [1, 1, 1]
    assert isinstance(decide(web("w4", **away(HOST)), made), Unschedulable)


def test_namespaces_are_the_own_one_unless_said() -> None:
    made = zones(0, 0)
    made.add_pod(web("there", namespace="team-a"), "n1")
    made.namespaces = {"team-a": {"team": "a"}, "default": {}}
    assert isinstance(decide(facts("x", **near(ZONE)), made), Unschedulable)
    assert placed(decide(facts("x", **near(ZONE, namespaces=["team-a"])), made)) == "n1"
    assert (
        placed(decide(facts("x", **near(ZONE, namespaceSelector={"matchLabels": {"team": "a"}})), made))
        == "n1"
    )
    assert placed(decide(facts("x", **near(ZONE, namespaceSelector={})), made)) == "n1"


def test_preferences_of_both_sides_count() -> None:
    made = zones(0, 1)
    assert placed(decide(facts("x", **prefers("podAffinity", 50)), made)) == "n1"
    assert placed(decide(facts("x", **prefers("podAntiAffinity", 50)), made)) == "n0"
    lonely = zones(0, 0)
    lonely.add_pod(facts("host", **prefers("podAffinity", 50)), "n0")
    assert placed(decide(web("new"), lonely)) == "n0"


# ---------------------------------------------------------------------- counts


def test_kept_counts_equal_counting_anew() -> None:
    made = zones(2, 0, 1)
    question = Question((Match(frozenset(("default",)), EVERYTHING),))
    assert made.counts.by_node(question) == {"n0": 2, "n2": 1}
    made.add_pod(facts("more"), "n1")
    made.add_pod(facts("more", uid="x", namespace="other"), "n1")
    made.remove_pod("uid-w2-0")
    assert made.counts.by_node(question) == {"n0": 2, "n1": 1}
    made.remove_node("n0")  # its pods stay counted while they are there
    assert made.counts.by_node(question) == {"n0": 2, "n1": 1}
