"""Writes /metrics: what the API has done and holds, in Prometheus' text format, under Kubernetes' names. Pure but for /proc.

Source: Kubernetes v1.37, apiserver/pkg/endpoints/metrics/metrics.go and storage/etcd3/metrics for names and labels;
prometheus, docs, "Text-based format".
"""

import resource
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pinnace.api.facade import Api
from pinnace.kubeapi.figures import DURATIONS_S, Figures, Subject
from pinnace.kubeapi.settings import ServerSettings

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_STARTED = time.time()
_LABELS = ("verb", "group", "version", "resource", "subresource", "scope")

Sample = tuple[str, Mapping[str, Any], float]  # suffix of the name, labels, value


def render_metrics(figures: Figures, api: Api, settings: ServerSettings) -> str:
    """Return the page."""
    return "".join(
        (
            _family(
                "apiserver_request_total",
                "counter",
                "Requests by verb, resource and code.",
                _requests(figures),
            ),
            _family(
                "apiserver_request_duration_seconds",
                "histogram",
                "Time from a request's head to its answer; streams are left out.",
                _durations(figures),
            ),
            _family(
                "apiserver_current_inflight_requests",
                "gauge",
                "Requests that are being answered; streams are left out.",
                (("", {"request_kind": kind}, figures.in_flight[kind]) for kind in ("mutating", "readOnly")),
            ),
            _family(
                "apiserver_longrunning_requests",
                "gauge",
                "Watches that are open.",
                (
                    ("", {"verb": "WATCH", **_kind_labels(kind), "component": "apiserver"}, count)
                    for kind, count in figures.watchers.items()
                ),
            ),
            _family(
                "apiserver_watch_events_total",
                "counter",
                "Events sent to watchers.",
                (("", _kind_labels(kind), count) for kind, count in figures.watch_events.items()),
            ),
            *_storage(api),
            _family(
                "kubernetes_build_info",
                "gauge",
                "A constant 1, with what is running.",
                [("", {"git_version": settings.git_version, "git_commit": settings.git_commit}, 1)],
            ),
            *_process(),
        )
    )


def _requests(figures: Figures) -> Iterable[Sample]:
    for (subject, code), count in sorted(figures.requests.items()):
        yield "", {**_subject_labels(subject), "code": code}, count


def _durations(figures: Figures) -> Iterable[Sample]:
    for subject, histogram in sorted(figures.durations.items()):
        labels, total = _subject_labels(subject), 0
        for bound, count in zip((*DURATIONS_S, "+Inf"), histogram.counts, strict=True):
            total += count
            yield "_bucket", {**labels, "le": bound}, total
        yield "_sum", labels, histogram.sum
        yield "_count", labels, total


def _storage(api: Api) -> Iterable[str]:
    store = api.store
    counts = [(kind, store.list(kind.resource, limit=0).remaining) for kind in api.kinds.stored]
    labelled = [({"group": kind.group, "resource": kind.plural}, count) for kind, count in counts]
    for name in ("apiserver_resource_objects", "apiserver_storage_objects"):
        yield _family(
            name, "gauge", "Objects in the store.", (("", labels, count) for labels, count in labelled)
        )
    for name, help_, value in (
        ("pinnace_store_revision", "The last durable revision.", store.revision),
        ("pinnace_store_compacted_revision", "Watches can begin after this revision.", store.compacted),
        ("pinnace_store_healthy", "Whether writes are taken.", int(store.failure is None)),
    ):
        yield _family(name, "gauge", help_, [("", {}, value)])


def _process() -> Iterable[str]:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    rows: list[tuple[str, str, str, float]] = [
        ("process_cpu_seconds_total", "counter", "User and system time.", usage.ru_utime + usage.ru_stime),
        ("process_start_time_seconds", "gauge", "When the process began.", _STARTED),
    ]
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        rows.append(
            ("process_resident_memory_bytes", "gauge", "Memory in use.", pages * resource.getpagesize())
        )
        count = sum(1 for _ in Path("/proc/self/fd").iterdir())
        rows.append(("process_open_fds", "gauge", "Open files.", count))
    except OSError:
        pass  # no /proc: the rest is said all the same
    for name, kind, help_, value in rows:
        yield _family(name, kind, help_, [("", {}, value)])


def _subject_labels(subject: Subject) -> dict[str, Any]:
    return {**dict(zip(_LABELS, subject, strict=True)), "component": "apiserver", "dry_run": ""}


def _kind_labels(kind: Any) -> dict[str, Any]:
    return {"group": kind.group, "version": kind.version, "resource": kind.plural}


def _family(name: str, type_: str, help_: str, samples: Iterable[Sample]) -> str:
    lines = [f"# HELP {name} {help_}\n# TYPE {name} {type_}\n"]
    for suffix, labels, value in samples:
        shown = ",".join(f'{label}="{_escape(text)}"' for label, text in labels.items())
        number = int(value) if float(value).is_integer() else repr(float(value))
        lines.append(f"{name}{suffix}{{{shown}}} {number}\n" if shown else f"{name}{suffix} {number}\n")
    return "".join(lines)


def _escape(text: Any) -> str:
    return str(text).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
