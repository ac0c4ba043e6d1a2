"""Keeps nodes by score, so that one of the best is found, and one node's score changed, without looking at the others.

Used by `class_memory.py`. Nodes go by their index in the cluster; arrays, since there is one ranking per class.
Invariant: each node that was put stands in exactly one bucket, that of its score, at the place that `_places` says.
"""

from __future__ import annotations

import heapq
from array import array

ABSENT = -1


class Ranking:
    """Buckets of node indexes by score."""

    def __init__(self) -> None:
        self._buckets: dict[int, array[int]] = {}
        self._scores = array("i")
        self._places = array("i")
        self._heap: list[int] = []  # negated scores; emptied buckets leave theirs behind until they come up
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __contains__(self, node: int) -> bool:
        return node < len(self._places) and self._places[node] != ABSENT

    def put(self, node: int, score: int) -> None:
        """Add a node, or change its score."""
        places = self._places
        if node < len(places):
            place = places[node]
            if place != ABSENT:
                before = self._scores[node]
                if before == score:
                    return
                bucket = self._buckets[before]
                last = bucket.pop()
                if last != node:
                    bucket[place] = last
                    places[last] = place
                self._count -= 1
        else:
            more = array("i", (ABSENT,)) * (node + 1 - len(places))
            places += more
            self._scores += more
        target = self._buckets.get(score)
        if target is None:
            target = self._buckets[score] = array("i")
            heapq.heappush(self._heap, -score)
        self._scores[node] = score
        places[node] = len(target)
        target.append(node)
        self._count += 1

    def discard(self, node: int) -> None:
        """Remove a node, if it is there."""
        if node not in self:
            return
        bucket = self._buckets[self._scores[node]]
        place = self._places[node]
        last = bucket.pop()
        if last != node:
            bucket[place] = last
            self._places[last] = place
        self._places[node] = ABSENT
        self._count -= 1

    def score(self, node: int) -> int:
        return self._scores[node]

    def best(self) -> tuple[int, array[int]]:
        """Return the highest score and the nodes that have it. Never call it on an empty ranking."""
        while True:
            score = -self._heap[0]
            bucket = self._buckets[score]
            if bucket:
                return score, bucket
            heapq.heappop(self._heap)
            del self._buckets[score]
