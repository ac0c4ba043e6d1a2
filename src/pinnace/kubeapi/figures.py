"""Counts what the API does, for /metrics. Pure memory; one for each server.

Called by the handler once per request, and by watches. Names and buckets are those of Kubernetes' API server, so that
dashboards and rules for it work. Source: Kubernetes v1.37, apiserver/pkg/endpoints/metrics/metrics.go.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pinnace.kube.kinds import Kind

# Source: as above, requestLatencies.
DURATIONS_S = (
    0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 20.0, 30.0,
    45.0, 60.0,
)  # fmt: skip


class Histogram:
    """How many observations fell into each bucket, and their sum."""

    __slots__ = ("counts", "sum")

    def __init__(self) -> None:
        self.counts = [0] * (len(DURATIONS_S) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(DURATIONS_S, value)] += 1
        self.sum += value


# (verb, group, version, resource, subresource, scope), "" for what is no resource.
Subject = tuple[str, str, str, str, str, str]


class Figures:
    """Everything that is counted since the start."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[Subject, int]] = Counter()
        self.durations: dict[Subject, Histogram] = {}
        self.in_flight: Counter[str] = Counter()
        self.watchers: Counter[Kind[Any]] = Counter()
        self.watch_events: Counter[Kind[Any]] = Counter()

    def finished(self, subject: Subject, code: int, seconds: float) -> None:
        """Take note of one answered request. Streams count, but their duration says nothing."""
        self.requests[subject, code] += 1
        if subject[0] in ("WATCH", "CONNECT"):
            return
        histogram = self.durations.get(subject)
        if histogram is None:
            histogram = self.durations[subject] = Histogram()
        histogram.observe(seconds)

    @contextmanager
    def watching(self, kind: Kind[Any]) -> Iterator[None]:
        """Count a watch while it lasts."""
        self.watchers[kind] += 1
        try:
            yield
        finally:
            self.watchers[kind] -= 1
