"""Counts what the API does, for /metrics. Pure memory; one for each server.

Called by the handler once per request, and by watches. Names and buckets are those of Kubernetes' API server, so that
dashboards and rules for it work. Source: Kubernetes v1.37, apiserver/pkg/endpoints/metrics/metrics.go.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from time import perf_counter
from typing import Any

from pinnace.kube.kinds import Kind
from pinnace.kubeapi.paths import Target

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

_NO_RESOURCE = ("", "", "", "", "")
_MUTATING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_STREAMS = frozenset({"exec", "attach", "portforward", "proxy", "log"})


class Counted:
    """What is known of one request while it is answered."""

    __slots__ = ("is_long", "method", "start", "subject", "waits")

    def __init__(self, method: str) -> None:
        self.method = method
        self.start = perf_counter()
        self.subject: Subject | None = None
        self.is_long = False
        self.waits = "mutating" if method in _MUTATING else "readOnly"


class Figures:
    """Everything that is counted since the start."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[Subject, int]] = Counter()
        self.durations: dict[Subject, Histogram] = {}
        self.in_flight: Counter[str] = Counter()
        self.watchers: Counter[Kind[Any]] = Counter()
        self.watch_events: Counter[Kind[Any]] = Counter()

    def began(self, counted: Counted) -> None:
        """Take note of a request that has come in."""
        self.in_flight[counted.waits] += 1

    def found(self, counted: Counted, target: Target, is_watch: bool) -> None:
        """Take note of what a request is about; a stream is no longer among those that one waits for."""
        counted.subject = subject_of(counted.method, target, is_watch)
        if is_watch or target.subresource in _STREAMS:
            counted.is_long = True
            self.in_flight[counted.waits] -= 1

    def ended(self, counted: Counted) -> None:
        """Take note of the end of a request, answered or not."""
        if not counted.is_long:
            self.in_flight[counted.waits] -= 1

    def answered(self, counted: Counted, code: int) -> None:
        """Take note of an answer. A stream's duration says nothing."""
        method = counted.method if counted.method in _METHODS else "OTHER"
        subject = counted.subject or (method, *_NO_RESOURCE)
        self.requests[subject, code] += 1
        if counted.is_long:
            return
        histogram = self.durations.get(subject)
        if histogram is None:
            histogram = self.durations[subject] = Histogram()
        histogram.observe(perf_counter() - counted.start)

    @contextmanager
    def watching(self, kind: Kind[Any]) -> Iterator[None]:
        """Count a watch while it lasts."""
        self.watchers[kind] += 1
        try:
            yield
        finally:
            self.watchers[kind] -= 1


def subject_of(method: str, target: Target, is_watch: bool) -> Subject:
    """Return what a request counts as. Source: endpoints/metrics, CanonicalVerb and CleanScope."""
    kind = target.kind
    return _subject_of(method, kind, target.subresource, bool(target.name), bool(target.namespace), is_watch)


@lru_cache(maxsize=4096)
def _subject_of(
    method: str, kind: Kind[Any], subresource: str, named: bool, in_namespace: bool, is_watch: bool
) -> Subject:
    verb = method if method in _METHODS else "OTHER"
    if is_watch:
        verb = "WATCH"
    elif subresource in _STREAMS:
        verb = "CONNECT"
    elif method in ("GET", "HEAD") and not named:
        verb = "LIST"
    elif method == "DELETE" and not named:
        verb = "DELETECOLLECTION"
    scope = "resource" if named else "namespace" if in_namespace else "cluster"
    return verb, kind.group, kind.version, kind.plural, subresource, scope
