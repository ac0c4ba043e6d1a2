"""Decides which source has said too much about one object, so that its Events are no longer taken for a while.

Pure state: `now` comes in. Used by `recorder.py`; what is not taken is counted when the next equal one is.
Source: Kubernetes v1.36, client-go/tools/record/events_cache.go (EventSourceObjectSpamFilter).
"""

from collections import Counter, OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field

BURST = 25  # Source: same file, defaultSpamBurst
REFILL_S = 300.0  # one more every five minutes. Source: same file, defaultSpamQPS
SOURCES_MOST = 4096  # Source: same file, maxLruCacheEntries


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float
    missed: Counter[Hashable] = field(default_factory=Counter)


class EventSpam:
    """What each source may still say about each object; of the sources that were silent longest nothing is kept."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[Hashable, _Bucket] = OrderedDict()

    def take(self, source: Hashable, identity: Hashable, now: float) -> int:
        """Return how many occurrences to record: 0 when the source has to wait, else this one and those it missed."""
        bucket = self._buckets.setdefault(source, _Bucket(float(BURST), now))
        self._buckets.move_to_end(source)
        if len(self._buckets) > SOURCES_MOST:
            self._buckets.popitem(last=False)
        bucket.tokens = min(float(BURST), bucket.tokens + (now - bucket.at) / REFILL_S)
        bucket.at = now
        if bucket.tokens < 1:
            bucket.missed[identity] += 1
            return 0
        bucket.tokens -= 1
        return 1 + bucket.missed.pop(identity, 0)
