"""The arithmetic of rollouts."""

import pytest

from pinnace.controllers.deployment import counts, revisions
from tests.unit.controllers.builders import deployment, with_status


# Source: the examples at ResolveFenceposts in Kubernetes' deployment_util.go, and 25% of 10 by hand.
@pytest.mark.parametrize(
    ("surge", "unavailable", "replicas", "expected"),
    [
        ("25%", "25%", 10, (3, 2)),
        ("0%", "1%", 2, (0, 1)),
        ("0%", "1%", 1, (0, 1)),
        ("1%", "25%", 2, (1, 0)),
        ("1%", "25%", 1, (1, 0)),
        ("1%", "0%", 2, (1, 0)),
        (1, 0, 1, (1, 0)),
        (0, 0, 5, (0, 1)),
        ("100%", 0, 3, (3, 0)),
    ],
)
def test_surge_is_rounded_up_and_unavailable_down(
    surge: int | str, unavailable: int | str, replicas: int, expected: tuple[int, int]
) -> None:
    assert counts.resolve_bounds(surge, unavailable, replicas) == expected


def test_unavailable_never_exceeds_the_replicas() -> None:
    assert counts.bounds_of(deployment(replicas=2, max_surge=0, max_unavailable=5)) == (0, 2)


# Source: TestNewRSNewReplicas in Kubernetes' deployment_util_test.go.
@pytest.mark.parametrize(
    ("recreate", "replicas", "new", "surge", "expected"),
    [
        (False, 1, 5, 1, 5),  # there are more than allowed already
        (False, 6, 2, 0, 2),  # with 10 old ones: no room
        (True, 3, 1, 0, 3),
    ],
)
def test_new_set_grows_only_into_the_room_that_is_left(
    recreate: bool, replicas: int, new: int, surge: int, expected: int
) -> None:
    wanted = deployment(replicas=replicas, max_surge=surge, recreate=recreate)
    sets = [
        revisions.build_replica_set(wanted, "new", 2, new),
        revisions.build_replica_set(wanted, "old", 1, 10),
    ]
    assert counts.compute_new_size(wanted, sets, new) == expected


def test_new_set_grows_by_the_surge_and_what_the_old_one_gave_up() -> None:
    wanted = deployment(replicas=10, max_surge=3, max_unavailable=2)
    old = revisions.build_replica_set(wanted, "old", 1, 8)
    new = revisions.build_replica_set(wanted, "new", 2, 3)
    assert counts.compute_new_size(wanted, [old, new], 3) == 5  # min(13 - 11, 10 - 3) more, by hand


def test_available_pods_of_a_shrunk_set_are_at_most_its_size() -> None:
    one = with_status(revisions.build_replica_set(deployment(), "x", 1, 2), available_replicas=3)
    assert counts.available_of(one) == 2
