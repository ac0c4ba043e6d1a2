"""Checks Events that are written through events.k8s.io/v1, which is stricter than the core group. Pure.

Called by the facade, since what is stored is the core group's Event. Source: Kubernetes v1.36,
pkg/apis/core/validation/events.go, ValidateEventCreate and ValidateEventUpdate. The fields have the core group's names there.
"""

from pinnace.api.validation.problems import Problems
from pinnace.kube.objects.core_v1 import EventSource
from pinnace.kube.objects.events_v1 import Event

TYPES = ("Normal", "Warning")
_FIXED = {  # attribute -> the name in messages
    "regarding": "involvedObject",
    "reason": "reason",
    "note": "message",
    "deprecated_source": "source",
    "deprecated_first_timestamp": "firstTimestamp",
    "deprecated_last_timestamp": "lastTimestamp",
    "deprecated_count": "count",
    "type": "type",
    "event_time": "eventTime",
    "action": "action",
    "related": "related",
    "reporting_controller": "reportingController",
    "reporting_instance": "reportingInstance",
}


def check_new_event(event: Event) -> None:
    """Raises: ApiError Invalid unless the event has the newer form."""
    problems = Problems()
    _check_series(event, problems)
    if not event.event_time:
        problems.required("eventTime")
    if event.type not in TYPES:
        problems.invalid("type", "", f"has invalid value: {event.type}")
    for field, is_set in (
        ("firstTimestamp", event.deprecated_first_timestamp),
        ("lastTimestamp", event.deprecated_last_timestamp),
        ("count", event.deprecated_count),
        ("source", event.deprecated_source != EventSource()),
    ):
        if is_set:
            problems.invalid(field, "", "needs to be unset")
    _raise(event, problems)


def check_changed_event(event: Event, old: Event) -> None:
    """Raises: ApiError Invalid if more than the series and the metadata were changed."""
    problems = Problems()
    if event.series != old.series:
        _check_series(event, problems)
    for attribute, name in _FIXED.items():
        if (value := getattr(event, attribute)) != getattr(old, attribute):
            problems.immutable(name, value)
    _raise(event, problems)


def _check_series(event: Event, problems: Problems) -> None:
    if event.series is None:
        return
    if event.series.count < 2:
        problems.invalid("series.count", "", "should be at least 2")
    if not event.series.last_observed_time:
        problems.required("series.lastObservedTime")


def _raise(event: Event, problems: Problems) -> None:
    if problems.found:
        raise problems.to_error("Event", "events.k8s.io", event.metadata.name)
