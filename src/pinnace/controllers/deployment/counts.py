"""Computes replica counts of a rollout: surge and unavailability bounds, proportions, how far the new set may grow.

Pure arithmetic on numbers and ReplicaSets; called by `rollout.py` and `status.py`.
Invariant: what these functions allow never exceeds replicas + maxSurge pods.
Source: Kubernetes v1.36, pkg/controller/deployment/util/deployment_util.go.
"""

import math
from collections.abc import Iterable

from pinnace.kube.int_or_percent import resolve_int_or_percent
from pinnace.kube.objects.apps_v1 import Deployment, ReplicaSet

MAX_REPLICAS_ANNOTATION = "deployment.kubernetes.io/max-replicas"
DESIRED_REPLICAS_ANNOTATION = "deployment.kubernetes.io/desired-replicas"


def replicas_of(obj: Deployment | ReplicaSet) -> int:
    """Return the wanted replicas; 1 is the default where the API has not set it."""
    return 1 if obj.spec.replicas is None else obj.spec.replicas


def is_rolling(deployment: Deployment) -> bool:
    """Say whether the strategy is RollingUpdate, which is the default."""
    return deployment.spec.strategy.type in ("", "RollingUpdate")


def resolve_bounds(
    max_surge: int | str | None, max_unavailable: int | str | None, replicas: int
) -> tuple[int, int]:
    """Return (surge, unavailable) in pods; when both come out as 0, one pod may be unavailable, else nothing would move.

    Example: 25% and 25% of 10 are 3 (rounded up) and 2 (rounded down); 0 and 1% of 2 are 0 and 1.
    """
    surge = resolve_int_or_percent(0 if max_surge is None else max_surge, replicas, round_up=True)
    unavailable = resolve_int_or_percent(
        0 if max_unavailable is None else max_unavailable, replicas, round_up=False
    )
    if surge == 0 and unavailable == 0:
        unavailable = 1
    return surge, unavailable


def bounds_of(deployment: Deployment) -> tuple[int, int]:
    """Return (max surge, max unavailable) in pods; (0, 0) for Recreate."""
    if not is_rolling(deployment):
        return 0, 0
    rolling = deployment.spec.strategy.rolling_update
    replicas = replicas_of(deployment)
    surge, unavailable = resolve_bounds(
        "25%" if rolling is None else rolling.max_surge,
        "25%" if rolling is None else rolling.max_unavailable,
        replicas,
    )
    return surge, 0 if replicas == 0 else min(unavailable, replicas)


def max_pods(deployment: Deployment) -> int:
    """Return how many pods the deployment may have at once."""
    return replicas_of(deployment) + bounds_of(deployment)[0]


def min_available(deployment: Deployment) -> int:
    """Return how many pods must stay available during a rolling update."""
    return replicas_of(deployment) - bounds_of(deployment)[1] if is_rolling(deployment) else 0


def sum_replicas(sets: Iterable[ReplicaSet]) -> int:
    """Return the wanted replicas of all sets together."""
    return sum(replicas_of(one) for one in sets)


def available_of(one: ReplicaSet) -> int:
    """Return how many pods of the set will be available once it has its size.

    Kubernetes takes `status.availableReplicas` as it is. The status may lag behind a set that has just been scaled down;
    the pods that go first are the unavailable ones, so the smaller of the two numbers is what stays.
    """
    return min(one.status.available_replicas or 0, replicas_of(one))


def compute_new_size(deployment: Deployment, sets: Iterable[ReplicaSet], new_replicas: int) -> int:
    """Return the size that the new set may have now. `sets` holds all sets, the new one too if it exists.

    Example: 10 wanted, surge 3, old set 10, new set 0: 3. Old set 8, new set 3: 3 + min(13 - 11, 10 - 3) = 5.
    """
    wanted = replicas_of(deployment)
    if not is_rolling(deployment):
        return wanted
    room = max_pods(deployment) - sum_replicas(sets)
    return new_replicas if room <= 0 else new_replicas + min(room, wanted - new_replicas)


def compute_proportion(one: ReplicaSet, deployment: Deployment, to_add: int, added: int) -> int:
    """Return how many of the replicas still `to_add` (negative: to remove) fall to this set, by its share.

    Example: 5 → 10 replicas without surge during a rollout with 3 old and 2 new: the old set gets round(3 * 10 / 5) - 3 = 3.
    """
    size = replicas_of(one)
    if size == 0 or to_add in (0, added):
        return 0
    allowed = to_add - added
    share = _compute_share(one, deployment)
    return min(share, allowed) if to_add > 0 else max(share, allowed)


def _compute_share(one: ReplicaSet, deployment: Deployment) -> int:
    size = replicas_of(one)
    if replicas_of(deployment) == 0:
        return -size
    before = read_number(one, MAX_REPLICAS_ANNOTATION) or deployment.status.replicas or 0
    if before == 0:
        return 0
    return _round_half_away(size * max_pods(deployment) / before) - size


def read_number(one: ReplicaSet, annotation: str) -> int | None:
    """Return the number in one of the set's annotations, None when there is none."""
    try:
        return int(one.metadata.annotations[annotation])
    except (KeyError, ValueError):
        return None


def is_saturated(deployment: Deployment, one: ReplicaSet | None) -> bool:
    """Say whether the set has all the deployment's replicas, all available, and was sized for just this number."""
    wanted = replicas_of(deployment)
    return (
        one is not None
        and replicas_of(one) == wanted
        and read_number(one, DESIRED_REPLICAS_ANNOTATION) == wanted
        and (one.status.available_replicas or 0) == wanted
    )


def _round_half_away(value: float) -> int:
    return math.ceil(value - 0.5) if value < 0 else math.floor(value + 0.5)
