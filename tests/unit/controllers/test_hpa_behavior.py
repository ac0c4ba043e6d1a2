"""How far one step goes.

Source of the cases: Kubernetes' page "Horizontal Pod Autoscaling" (section "Configurable scaling behavior") and
horizontal_test.go; the rest by hand.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.controllers.hpa.behavior import (
    DEFAULT_DOWN,
    DEFAULT_UP,
    Entry,
    History,
    Wish,
    normalize,
    remember_size,
)
from pinnace.kube.objects.autoscaling_v2 import (
    HorizontalPodAutoscalerBehavior,
    HPAScalingPolicy,
    HPAScalingRules,
)

FAR = 10_000


def rules(*policies: tuple[str, int, int], select: str = "Max", window_s: int | None = 0) -> HPAScalingRules:
    return HPAScalingRules(
        policies=tuple(
            HPAScalingPolicy(type=type_, value=value, period_seconds=s) for type_, value, s in policies
        ),
        select_policy=select,
        stabilization_window_seconds=window_s,
    )


def behavior(
    up: HPAScalingRules | None = None, down: HPAScalingRules | None = None
) -> HorizontalPodAutoscalerBehavior:
    return HorizontalPodAutoscalerBehavior(scale_up=up, scale_down=down)


def step(
    current: int,
    desired: int,
    how: HorizontalPodAutoscalerBehavior | None,
    history: History = History(),
    now: float = 1000,
    minimum: int = 1,
    maximum: int = FAR,
) -> tuple[int, str, str, bool]:
    found = normalize(Wish(current, desired, minimum, maximum), how, history, now)
    return found.replicas, found.able[0], found.limited_by[0], found.limited


# ---------------------------------------------------------------------- without behavior


@pytest.mark.parametrize(
    ("current", "desired", "expected"),
    [
        (3, 10, (6, "ReadyForNewScale", "ScaleUpLimit", True)),  # max(2 * 3, 4)
        (1, 10, (4, "ReadyForNewScale", "ScaleUpLimit", True)),
        (6, 10, (10, "ReadyForNewScale", "DesiredWithinRange", False)),
        (6, 12, (10, "ReadyForNewScale", "TooManyReplicas", True)),
        (3, 1, (2, "ReadyForNewScale", "TooFewReplicas", True)),
        (3, 3, (3, "ReadyForNewScale", "DesiredWithinRange", False)),
    ],
)
def test_fixed_rules_double_at_most_and_keep_the_bounds(
    current: int, desired: int, expected: tuple[int, str, str, bool]
) -> None:
    assert step(current, desired, None, minimum=2, maximum=10) == expected


def test_highest_recommendation_of_five_minutes_holds_a_scale_down() -> None:
    history = History(recommendations=(Entry(699, 10), Entry(700, 5), Entry(900, 4)))
    assert step(10, 2, None, history) == (5, "ScaleDownStabilized", "DesiredWithinRange", False)


# ---------------------------------------------------------------------- with behavior


def test_default_policies_add_four_or_double() -> None:
    # Documented default: 100 percent or 4 pods per 15 s, whichever is more.
    assert step(3, 20, behavior(DEFAULT_UP, DEFAULT_DOWN))[0] == 7
    assert step(10, 40, behavior(DEFAULT_UP, DEFAULT_DOWN))[0] == 20


def test_rules_that_are_left_out_are_the_defaults() -> None:
    assert step(3, 20, behavior(down=rules(("Pods", 1, 60))))[0] == 7
    held = History(recommendations=(Entry(800, 9),))
    assert step(9, 2, behavior(up=DEFAULT_UP), held)[:2] == (9, "ScaleDownStabilized")


def test_documented_example_of_limited_scale_down() -> None:
    # The page: from 80 replicas at most 4 pods or 10 percent a minute, the greater change, rounded up: 72, 64, ...
    # and from 40 on 4 pods each time.
    how = behavior(down=rules(("Pods", 4, 60), ("Percent", 10, 60)))
    sizes, history, now, current = [80], History(), 0.0, 80
    for _ in range(10):
        now += 60
        after = step(current, 10, how, history, now)[0]
        history = remember_size(history, how, current, after, now)
        current = after
        sizes.append(current)
    assert sizes == [80, 72, 64, 57, 51, 45, 40, 36, 32, 28, 24]


@pytest.mark.parametrize(
    ("select", "grow", "expected"),
    [
        ("Max", True, 15),
        ("Min", True, 13),
        ("Disabled", True, 10),
        ("Max", False, 5),
        ("Min", False, 7),
        ("Disabled", False, 10),
    ],
)
def test_select_policy_chooses_between_policies(select: str, grow: bool, expected: int) -> None:
    policies = (("Pods", 3, 60), ("Percent", 50, 60))
    how = behavior(rules(*policies, select=select), rules(*policies, select=select))
    assert step(10, 100 if grow else 1, how)[0] == expected


def test_policy_counts_what_was_added_within_its_period() -> None:
    how = behavior(rules(("Pods", 4, 60)))
    recent = History(ups=(Entry(970, 3),))
    assert step(10, 50, how, recent) == (
        11,
        "ReadyForNewScale",
        "ScaleUpLimit",
        True,
    )  # 7 at the start, 4 more
    assert step(10, 50, how, History(ups=(Entry(940, 3),)))[0] == 14  # a minute ago is out of the period


def test_pods_removed_within_the_period_may_come_back() -> None:
    how = behavior(rules(("Pods", 4, 60)))
    assert step(6, 50, how, History(downs=(Entry(970, 4),)))[0] == 14  # 10 at the start, 4 more


def test_percent_is_rounded_up_for_growth_so_that_one_pod_can_grow() -> None:
    assert step(1, 10, behavior(rules(("Percent", 10, 60))))[0] == 2


def test_stabilization_window_of_scale_up_takes_the_lowest_recommendation() -> None:
    how = behavior(rules(("Pods", 100, 15), window_s=60))
    held = History(recommendations=(Entry(950, 4),))
    assert step(3, 9, how, held) == (4, "ScaleUpStabilized", "DesiredWithinRange", False)


def test_disabled_scale_down_never_shrinks() -> None:
    assert step(10, 2, behavior(down=rules(select="Disabled")))[0] == 10


def test_history_forgets_what_no_window_asks_for() -> None:
    how = behavior(rules(("Pods", 4, 60)), rules(("Pods", 4, 60)))
    old = History(recommendations=(Entry(10, 5),), ups=(Entry(10, 5),))
    found = normalize(Wish(3, 5, 1, 10), how, old, 1000)
    assert found.history.recommendations == (Entry(1000, 5),)
    assert remember_size(old, how, 3, 5, 1000).ups == (Entry(1000, 2),)


policy = st.tuples(st.sampled_from(["Pods", "Percent"]), st.integers(1, 100), st.sampled_from([15, 60, 300]))
rule = st.builds(
    lambda policies, select, window_s: rules(*policies, select=select, window_s=window_s),
    st.lists(policy, min_size=1, max_size=3),
    st.sampled_from(["Max", "Min", "Disabled"]),
    st.sampled_from([0, 60, 300]),
)


@given(
    st.integers(2, 50),
    st.lists(st.integers(0, 80), min_size=1, max_size=12),
    st.one_of(st.none(), st.builds(behavior, rule, rule)),
)
def test_size_stays_within_bounds_whatever_is_wished(
    first: int, wishes: list[int], how: HorizontalPodAutoscalerBehavior | None
) -> None:
    current, history, now = first, History(), 0.0
    for desired in wishes:
        now += 15
        found = normalize(Wish(current, desired, 2, 50), how, history, now)
        assert 2 <= found.replicas <= 50
        if how is not None and how.scale_down is not None and how.scale_down.select_policy == "Disabled":
            assert found.replicas >= current
        history = remember_size(found.history, how, current, found.replicas, now)
        current = found.replicas
