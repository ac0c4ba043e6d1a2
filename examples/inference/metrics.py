"""Counts requests, and renders what was counted in Prometheus' text format.

Source: Prometheus, "Exposition formats", text-based format 0.0.4.
"""

from __future__ import annotations

from collections import Counter

BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """What one server has done so far."""

    def __init__(self, *, version: str, pod: str) -> None:
        self._labels = f'version="{version}",pod="{pod}"'
        self._requests: Counter[tuple[str, int]] = Counter()
        self._buckets: Counter[float] = Counter()
        self._seconds = 0.0
        self.in_flight = 0

    def observe(self, path: str, code: int, seconds: float) -> None:
        """Count one answer."""
        self._requests[path, code] += 1
        self._seconds += seconds
        for limit in BUCKETS_S:
            if seconds <= limit:
                self._buckets[limit] += 1

    def render(self) -> str:
        total = sum(self._requests.values())
        lines = [
            "# HELP http_requests_total Requests that were answered.",
            "# TYPE http_requests_total counter",
            *(
                f'http_requests_total{{path="{path}",code="{code}"}} {count}'
                for (path, code), count in sorted(self._requests.items())
            ),
            "# HELP http_request_duration_seconds Time from a request's last byte to its answer.",
            "# TYPE http_request_duration_seconds histogram",
            *(f'http_request_duration_seconds_bucket{{le="{le}"}} {self._buckets[le]}' for le in BUCKETS_S),
            f'http_request_duration_seconds_bucket{{le="+Inf"}} {total}',
            f"http_request_duration_seconds_sum {self._seconds:.6f}",
            f"http_request_duration_seconds_count {total}",
            "# HELP http_requests_in_flight Requests that are being answered.",
            "# TYPE http_requests_in_flight gauge",
            f"http_requests_in_flight {self.in_flight}",
            "# HELP model_info Which model answers.",
            "# TYPE model_info gauge",
            f"model_info{{{self._labels}}} 1",
        ]
        return "\n".join(lines) + "\n"
