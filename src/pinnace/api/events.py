"""Decides how an occurrence becomes an Event: a new one, or one more count of an equal one. Pure.

Source: Kubernetes v1.36, client-go/tools/record (event.go, events_cache.go): equal means same object, type, reason,
message and component.
"""

from collections.abc import Iterable
from typing import Any

from msgspec.structs import replace

from pinnace.api.strategy import meta_of
from pinnace.base.times import parse_time, render_time
from pinnace.kube.objects.core_v1 import Event, EventSource, ObjectReference
from pinnace.kube.objects.meta_v1 import ObjectMeta

MESSAGE_MOST = 1024  # Source: pkg/apis/core/validation/events.go, NoteLengthLimit
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
) -> Event:
    """Return the Event of a first occurrence. `unique` makes its name."""
    namespace = about.namespace or _NO_NAMESPACE
    at = render_time(now)
    return Event(
        metadata=ObjectMeta(name=f"{about.name}.{unique}", namespace=namespace),
        involved_object=about,
        type=type,
        reason=reason,
        message=message[:MESSAGE_MOST],
        source=EventSource(component=component, host=host),
        reporting_component=component,
        reporting_instance=host,
        first_timestamp=at,
        last_timestamp=at,
        count=1,
    )


def find_equal(events: Iterable[Event], event: Event) -> Event | None:
    """Return the stored Event that a new occurrence repeats, if any."""
    wanted = _identity(event)
    return next((other for other in events if _identity(other) == wanted), None)


def _identity(event: Event) -> tuple[str, ...]:
    about = event.involved_object
    return (
        about.namespace,
        about.name,
        about.uid,
        about.field_path,
        event.type,
        event.reason,
        event.message,
        event.source.component,
    )


def count_again(event: Event, now: float) -> Event:
    """Return the Event with one more occurrence."""
    return replace(event, count=(event.count or 1) + 1, last_timestamp=render_time(now))


def is_expired(event: Event, ttl_s: float, now: float) -> bool:
    """Say whether an Event's last occurrence is too long ago."""
    latest = event.last_timestamp or event.event_time or event.metadata.creation_timestamp
    if event.series is not None and event.series.last_observed_time:
        latest = event.series.last_observed_time
    try:
        return now - parse_time(latest) > ttl_s
    except ValueError:
        return True
