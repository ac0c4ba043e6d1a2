"""The plugins whose answer depends on the pod's class and the node only."""

from typing import Any

import pytest

from pinnace.kube.objects.core_v1 import Taint
from pinnace.scheduler.plugins.balanced_allocation import BalancedAllocation
from pinnace.scheduler.plugins.node_affinity import NodeAffinity
from pinnace.scheduler.plugins.node_name import NodeName
from pinnace.scheduler.plugins.node_ports import NodePorts
from pinnace.scheduler.plugins.node_unschedulable import NodeUnschedulable
from pinnace.scheduler.plugins.resources_fit import NodeResourcesFit
from pinnace.scheduler.plugins.taint_toleration import TaintToleration
from tests.unit.scheduler.builders import facts, node_facts

FIT, TAINTS, AFFINITY, PORTS = NodeResourcesFit(), TaintToleration(), NodeAffinity(), NodePorts()
GPU_TAINT = Taint(key="nvidia.com/gpu", value="true", effect="NoSchedule")


# ---------------------------------------------------------------------- resources


def test_a_pod_fits_exactly_into_what_is_left() -> None:
    full = node_facts(facts("other", cpu="3", memory="7Gi"))
    assert FIT.filter(facts(cpu="1", memory="1Gi"), full) is None
    rejection = FIT.filter(facts(cpu="1001m", memory="1Gi"), full)
    assert rejection is not None
    assert (rejection.reasons, rejection.resolvable) == (("Insufficient cpu",), True)


def test_every_lacking_resource_is_named_and_more_than_the_node_has_is_not_resolvable() -> None:
    rejection = FIT.filter(facts(cpu="5", memory="1Gi", requests={"nvidia.com/gpu": 1}), node_facts(pods=0))
    assert rejection is not None
    assert rejection.reasons == ("Too many pods", "Insufficient cpu", "Insufficient nvidia.com/gpu")
    assert not rejection.resolvable


def test_whole_extended_resources_are_counted() -> None:
    gpu = {"nvidia.com/gpu": 1}
    node = node_facts(facts("a", requests=gpu), **gpu)
    rejection = FIT.filter(facts("b", requests=gpu), node)
    assert rejection is not None
    assert (rejection.reasons, rejection.resolvable) == (("Insufficient nvidia.com/gpu",), True)
    node.remove("uid-a")
    assert FIT.filter(facts("b", requests=gpu), node) is None


def test_pods_are_counted_even_if_they_request_nothing() -> None:
    rejection = FIT.filter(facts("b"), node_facts(facts("a"), pods=1))
    assert rejection is not None
    assert (rejection.reasons, rejection.resolvable) == (("Too many pods",), True)


def test_least_allocated_is_the_mean_of_what_would_be_left() -> None:
    # Kubernetes, least_allocated_test.go: cpu (4000-3000)*100/4000 = 25, memory (10000-5000)*100/10000 = 50 → 37
    node = node_facts(cpu="4", memory="10000")
    assert FIT.score(facts(cpu="3", memory="5000"), node) == 37


def test_balanced_allocation_is_best_when_shares_are_equal() -> None:
    # Kubernetes, balanced_allocation_test.go: cpu 3000/6000, memory 5000/10000 → 100
    balanced = BalancedAllocation()
    assert balanced.score(facts(cpu="3", memory="5000"), node_facts(cpu="6", memory="10000")) == 100
    # cpu 3000/4000 = 75 %, memory 5000/10000 = 50 % → (1 - 0.125) * 100 = 87
    assert balanced.score(facts(cpu="3", memory="5000"), node_facts(cpu="4", memory="10000")) == 87
    assert balanced.score(facts(), node_facts()) == 0


# ---------------------------------------------------------------------- taints


@pytest.mark.parametrize(
    ("toleration", "passes"),
    [
        ({"key": "nvidia.com/gpu", "operator": "Exists"}, True),
        ({"key": "nvidia.com/gpu", "operator": "Equal", "value": "true"}, True),
        ({"key": "nvidia.com/gpu", "value": "true", "effect": "NoSchedule"}, True),
        ({"operator": "Exists"}, True),
        ({"key": "nvidia.com/gpu", "value": "false"}, False),
        ({"key": "other", "operator": "Exists"}, False),
        ({"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoExecute"}, False),
    ],
)
def test_a_taint_keeps_off_whoever_does_not_tolerate_it(toleration: dict[str, str], passes: bool) -> None:
    rejection = TAINTS.filter(facts(tolerations=[toleration]), node_facts(taints=(GPU_TAINT,)))
    assert (rejection is None) == passes
    if rejection is not None:
        assert (rejection.reasons, rejection.resolvable) == (("node(s) had untolerated taint(s)",), False)


def test_soft_taints_only_count_against_a_node() -> None:
    soft = Taint(key="slow", effect="PreferNoSchedule")
    node = node_facts(taints=(soft,))
    assert TAINTS.filter(facts(), node) is None
    assert TAINTS.score(facts(), node) == 1
    assert TAINTS.score(facts(tolerations=[{"key": "slow", "operator": "Exists"}]), node) == 0


def test_a_cordoned_node_takes_only_who_tolerates_it() -> None:
    plugin, node = NodeUnschedulable(), node_facts(unschedulable=True)
    rejection = plugin.filter(facts(), node)
    assert rejection is not None
    assert rejection.reasons == ("node(s) were unschedulable",)
    drain_proof = {"key": "node.kubernetes.io/unschedulable", "operator": "Exists", "effect": "NoSchedule"}
    assert plugin.filter(facts(tolerations=[drain_proof]), node) is None


# ---------------------------------------------------------------------- names and labels


def test_a_named_node_is_the_only_one() -> None:
    assert NodeName().filter(facts(nodeName="n1"), node_facts(name="n1")) is None
    assert NodeName().filter(facts(nodeName="n2"), node_facts(name="n1")) is not None


def affinity(
    *terms: dict[str, Any], preferred: tuple[tuple[int, dict[str, Any]], ...] = ()
) -> dict[str, Any]:
    return {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms} if terms else None,
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": weight, "preference": term} for weight, term in preferred
            ],
        }
    }


def expression(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"matchExpressions": [{"key": key, "operator": operator, "values": values}]}


@pytest.mark.parametrize(
    ("term", "passes"),
    [
        (expression("gpu", "In", "a100", "h100"), True),
        (expression("gpu", "NotIn", "a100"), False),
        (expression("gpu", "Exists"), True),
        (expression("gpu", "DoesNotExist"), False),
        (expression("other", "NotIn", "x"), True),
        (expression("count", "Gt", "3"), True),
        (expression("count", "Lt", "4"), False),
        ({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]}, True),
        ({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n2"]}]}, False),
        ({}, False),
    ],
)
def test_required_node_affinity(term: dict[str, Any], passes: bool) -> None:
    node = node_facts(labels={"gpu": "a100", "count": "4"})
    rejection = AFFINITY.filter(facts(affinity=affinity(term)), node)
    assert (rejection is None) == passes
    if rejection is not None:
        assert rejection.reasons == ("node(s) didn't match Pod's node affinity/selector",)


def test_any_term_suffices_and_the_node_selector_must_hold_too() -> None:
    node = node_facts(labels={"accelerator": "nvidia-tesla-a100"})
    either = affinity(expression("x", "Exists"), expression("accelerator", "Exists"))
    assert AFFINITY.filter(facts(affinity=either), node) is None
    assert AFFINITY.filter(facts(nodeSelector={"accelerator": "nvidia-tesla-a100"}), node) is None
    assert AFFINITY.filter(facts(nodeSelector={"accelerator": "other"}, affinity=either), node) is not None


def test_preferences_add_up() -> None:
    wish = affinity(
        preferred=(
            (5, expression("a", "Exists")),
            (3, expression("b", "Exists")),
            (2, expression("c", "Exists")),
        )
    )
    assert AFFINITY.score(facts(affinity=wish), node_facts(labels={"a": "", "c": ""})) == 7


# ---------------------------------------------------------------------- ports


def with_port(name: str, port: int, ip: str = "", protocol: str = "TCP") -> dict[str, Any]:
    ports = [{"containerPort": 80, "hostPort": port, "hostIP": ip, "protocol": protocol}]
    return {"name": name, "containers": [{"name": "main", "ports": ports}]}


@pytest.mark.parametrize(
    ("wanted", "passes"),
    [
        ({"port": 8080}, False),
        ({"port": 8080, "ip": "127.0.0.1"}, False),
        ({"port": 8080, "protocol": "UDP"}, True),
        ({"port": 8081}, True),
    ],
)
def test_a_host_port_is_taken_once(wanted: dict[str, Any], passes: bool) -> None:
    node = node_facts(facts(**with_port("a", 8080)))
    rejection = PORTS.filter(facts(**with_port("b", **wanted)), node)
    assert (rejection is None) == passes
    if rejection is not None:
        assert rejection.reasons == ("node(s) didn't have free ports for the requested pod ports",)


def test_one_port_on_two_addresses_is_two_ports() -> None:
    node = node_facts(facts(**with_port("a", 8080, "127.0.0.1")))
    assert PORTS.filter(facts(**with_port("b", 8080, "127.0.0.2")), node) is None
    node.remove("uid-a")
    assert PORTS.filter(facts(**with_port("c", 8080)), node) is None
