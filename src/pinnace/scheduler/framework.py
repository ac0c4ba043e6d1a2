"""What a scheduler plugin is. One file per plugin in `plugins/`, one row per plugin in `plugins/__init__.py`.

A plugin filters (says why a pod can't run on a node), scores (says how well it would), or both. It is pure: facts in,
an answer out. What it may look at is its scope, and that decides how long its answers are remembered.
Source: Kubernetes v1.36, pkg/scheduler/framework (extension points Filter, Score, NormalizeScore)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

from pinnace.scheduler.cluster import Cluster
from pinnace.scheduler.facts import NodeFacts, PodFacts

MAX_SCORE = 100  # Source: Kubernetes v1.36, kube-scheduler/framework, MaxNodeScore


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a pod can't run on a node.

    Shape: `reasons` in Kubernetes' words, as they stand in messages. `resolvable`: fewer pods on the node would help.
    """

    plugin: str
    reasons: tuple[str, ...]
    resolvable: bool


class Scale(Enum):
    """What a plugin's raw score means once all feasible nodes have one."""

    FINAL = "it is the score already, 0 to 100"
    MORE_IS_BETTER = "the largest becomes 100, the others in proportion"
    LESS_IS_BETTER = "the largest becomes 0, none becomes 100"


class NodePlugin(ABC):
    """A plugin whose answer depends on (the pod's scheduling class, the node) only: remembered until the node changes.

    It reads of the pod only what `PodFacts.scheduling_class` is made of. With `reads_pods` False it reads of the node
    only its shape, so that its answer holds while pods come and go there.
    """

    name: ClassVar[str]
    weight: ClassVar[int] = 0  # of the score; 0: it doesn't score
    scale: ClassVar[Scale] = Scale.FINAL
    filters: ClassVar[bool] = True
    reads_pods: ClassVar[bool] = False

    def concerns(self, pod: PodFacts) -> bool:
        """Say whether the plugin may reject a node, or give it another score than 0, for pods of this class."""
        return True

    def filter(self, pod: PodFacts, node: NodeFacts) -> Rejection | None:
        """Return why the pod can't run on the node, or None."""
        return None

    def score(self, pod: PodFacts, node: NodeFacts) -> int:
        """Return the raw score of a node that passed all filters."""
        return 0


class PodsPlugin(ABC):
    """A plugin whose answer depends on other pods too: asked anew for each pod, but only for pods it concerns."""

    name: ClassVar[str]
    weight: ClassVar[int]

    @abstractmethod
    def prepare(self, pod: PodFacts, cluster: Cluster) -> Judge | None:
        """Return what judges nodes for this pod, or None when the plugin has nothing to say about it."""


class Judge(ABC):
    """A `PodsPlugin`'s knowledge about one pod at one moment."""

    @abstractmethod
    def filter(self, node: NodeFacts) -> Rejection | None:
        """Return why the pod can't run on the node, or None."""

    @abstractmethod
    def scores(self, nodes: Sequence[NodeFacts]) -> Mapping[str, int]:
        """Return the final scores, 0 to 100, of the nodes that passed all filters; a missing one is 0."""


def scale_up(raw: int, most: int) -> int:
    """Return the score of MORE_IS_BETTER. Example: 30 of at most 60 → 50."""
    return MAX_SCORE * raw // most if most else raw


def scale_down(raw: int, most: int) -> int:
    """Return the score of LESS_IS_BETTER. Example: 1 of at most 3 → 100 - 33 = 67."""
    return MAX_SCORE - MAX_SCORE * raw // most if most else MAX_SCORE
