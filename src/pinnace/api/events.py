"""Decides how an occurrence becomes an Event: a new one, one more count of an equal one, or one of many similar ones.

Pure; `recorder.py` does it. Equal means same object, type, reason, message and component; similar means all of these but
the message. An occurrence with an action is told in the newer form, whose repetitions are a series.
Source: Kubernetes v1.36, client-go/tools/record (event.go, events_cache.go) and client-go/tools/events
(event_broadcaster.go).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from pinnace.api.strategy import meta_of
from pinnace.base.times import parse_time, render_micro_time, render_time
from pinnace.kube.objects.core_v1 import Event, EventSeries, EventSource, ObjectReference
from pinnace.kube.objects.meta_v1 import ObjectMeta

MESSAGE_MOST = 1024  # Source: pkg/apis/core/validation/events.go, NoteLengthLimit
COMBINED = "(combined from similar events): "
SIMILAR_MOST = 10  # Source: events_cache.go, defaultAggregateMaxEvents
SIMILAR_WINDOW_S = 600.0  # Source: same file, defaultAggregateIntervalInSeconds
SERIES_ENDS_S = 360.0  # Source: event_broadcaster.go, finishTime
_NO_NAMESPACE = "default"


def refer_to(obj: Any) -> ObjectReference:
    """Return a reference to an object; a reference stays as it is."""
    if isinstance(obj, ObjectReference):
        return obj
    meta = meta_of(obj)
    return ObjectReference(
        api_version=obj.api_version,
        kind=obj.kind,
        name=meta.name,
        namespace=meta.namespace,
        uid=meta.uid,
        resource_version=meta.resource_version,
    )


def make_event(
    about: ObjectReference,
    type: str,
    reason: str,
    message: str,
    *,
    component: str,
    host: str,
    unique: str,
    now: float,
    action: str = "",
) -> Event:
    """Return the Event of a first occurrence. `unique` makes its name; with `action` it has the newer form."""
    event = Event(
        metadata=ObjectMeta(name=f"{about.name}.{unique}", namespace=about.namespace or _NO_NAMESPACE),
        involved_object=about,
        type=type,
        reason=reason,
        message=message[:MESSAGE_MOST],
        reporting_component=component,
        reporting_instance=host,
    )
    if action:
        return replace(
            event, action=action, event_time=render_micro_time(now), reporting_instance=host or component
        )
    at = render_time(now)
    source = EventSource(component=component, host=host)
    return replace(event, source=source, first_timestamp=at, last_timestamp=at, count=1)


@dataclass(frozen=True, slots=True)
class Correlation:
    """What becomes of an occurrence: `repeats` is the stored Event that it repeats, else `event` is created."""

    event: Event
    repeats: Event | None = None


def correlate(stored: Iterable[Event], event: Event, now: float) -> Correlation:
    """Return what becomes of `event`. `stored`: the Events about the same object.

    Example: the tenth message of one reason within ten minutes becomes "(combined from similar events): ...".
    """
    if event.event_time:
        return Correlation(event, _find_series(stored, event, now))
    similar = [one for one in stored if not one.event_time and _kind_of_event(one) == _kind_of_event(event)]
    for one in similar:
        if one.message == event.message:
            return Correlation(event, one)
    recent = _recent(similar, now)
    messages = {one.message for one in recent if not one.message.startswith(COMBINED)}
    if len(messages) < SIMILAR_MOST - 1:
        return Correlation(event)
    combined = replace(event, message=(COMBINED + event.message)[:MESSAGE_MOST])
    return Correlation(combined, next((one for one in recent if one.message.startswith(COMBINED)), None))


def _find_series(stored: Iterable[Event], event: Event, now: float) -> Event | None:
    """Return the Event whose series goes on; after some quiet minutes a series is over."""
    wanted = _kind_of_series(event)
    for one in stored:
        if one.event_time and _kind_of_series(one) == wanted and now - _last_seen(one) < SERIES_ENDS_S:
            return one
    return None


def _recent(similar: Iterable[Event], now: float) -> list[Event]:
    """Return those that follow each other closely enough, up to now."""
    recent: list[Event] = []
    before = now
    for one in sorted(similar, key=_last_seen, reverse=True):
        if before - _last_seen(one) > SIMILAR_WINDOW_S:
            break
        before = _last_seen(one)
        recent.append(one)
    return recent


def _kind_of_event(event: Event) -> tuple[str, ...]:
    about = event.involved_object
    return (
        about.namespace,
        about.name,
        about.uid,
        about.field_path,
        event.type,
        event.reason,
        event.source.component,
    )


def _kind_of_series(event: Event) -> tuple[str, ...]:
    return (*_kind_of_event(event), event.action, event.reporting_component, event.message)


def repeat(event: Event, occurrence: Event, now: float, *, times: int = 1) -> Event:
    """Return the stored Event with more occurrences, the last of which is `occurrence`."""
    if event.event_time:
        count = (event.series.count or 1) if event.series is not None else 1
        series = EventSeries(count=count + times, last_observed_time=render_micro_time(now))
        return replace(event, series=series)
    return replace(
        event,
        count=(event.count or 1) + times,
        last_timestamp=render_time(now),
        message=occurrence.message,
    )


def source_of(event: Event) -> tuple[str, ...]:
    """Return who speaks about what: of one source about one object only so many Events are taken."""
    about = event.involved_object
    return (event.source.component, event.source.host, about.kind, about.namespace, about.name, about.uid)


def identity_of(event: Event) -> tuple[str, ...]:
    """Return what an Event has in common with those that repeat it."""
    return (*_kind_of_event(event), event.message)


def _last_seen(event: Event) -> float:
    latest = event.last_timestamp or event.event_time or event.metadata.creation_timestamp
    if event.series is not None and event.series.last_observed_time:
        latest = event.series.last_observed_time
    try:
        return parse_time(latest)
    except ValueError:
        return 0.0


def is_expired(event: Event, ttl_s: float, now: float) -> bool:
    """Say whether an Event's last occurrence is too long ago."""
    return now - _last_seen(event) > ttl_s
