"""Keeps nodes by score, so that one of the best is found, and one node's score changed, without looking at the others.

Used by `class_memory.py`. Invariant: each node stands in exactly one bucket, that of its score.
"""

from __future__ import annotations

import heapq


class Ranking:
    """Buckets of node names by score."""

    def __init__(self) -> None:
        self._buckets: dict[int, list[str]] = {}
        self._places: dict[str, tuple[int, int]] = {}
        self._heap: list[int] = []  # negated scores; emptied buckets leave theirs behind until they come up

    def __len__(self) -> int:
        return len(self._places)

    def put(self, name: str, score: int) -> None:
        """Add a node, or change its score."""
        place = self._places.get(name)
        if place is not None:
            if place[0] == score:
                return
            self.discard(name)
        bucket = self._buckets.get(score)
        if bucket is None:
            bucket = self._buckets[score] = []
            heapq.heappush(self._heap, -score)
        self._places[name] = (score, len(bucket))
        bucket.append(name)

    def discard(self, name: str) -> None:
        """Remove a node, if it is there."""
        place = self._places.pop(name, None)
        if place is None:
            return
        score, index = place
        bucket = self._buckets[score]
        last = bucket.pop()
        if last != name:
            bucket[index] = last
            self._places[last] = (score, index)

    def score(self, name: str) -> int:
        return self._places[name][0]

    def best(self) -> tuple[int, list[str]]:
        """Return the highest score and the nodes that have it. Never call it on an empty ranking."""
        while True:
            score = -self._heap[0]
            bucket = self._buckets[score]
            if bucket:
                return score, bucket
            heapq.heappop(self._heap)
            del self._buckets[score]

    def clear(self) -> None:
        self._buckets.clear()
        self._places.clear()
        self._heap.clear()
