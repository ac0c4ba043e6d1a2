"""Events: counted when equal, gone after an hour, and never in the way."""

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from pinnace.base.errors import ApiError
from pinnace.kube.kinds import EVENT, EVENT_V1, NAMESPACE
from pinnace.kube.objects import events_v1
from pinnace.kube.objects.core_v1 import Event, ObjectReference
from pinnace.kube.objects.meta_v1 import ObjectMeta
from tests.unit.api.builders import make_api, pod


async def test_an_event_is_about_its_object() -> None:
    api, _ = await make_api()
    about = await api.create(pod())
    event = await api.record_event(
        about, "Normal", "Pulled", "Container image present", component="kubelet", host="n1"
    )
    assert event is not None
    assert event.metadata.name.startswith("web.")
    assert (event.involved_object.kind, event.involved_object.name, event.involved_object.uid) == (
        "Pod",
        "web",
        about.metadata.uid,
    )
    assert (event.count, event.first_timestamp, event.source.component, event.source.host) == (
        1,
        "2026-01-02T00:00:00Z",
        "kubelet",
        "n1",
    )
    assert api.list(EVENT, fields={"involvedObject.uid": about.metadata.uid, "type": "Normal"}) == (event,)
    assert api.list(EVENT, fields={"involvedObject.name": "other"}) == ()


async def test_events_are_listed_in_the_order_in_which_they_occurred() -> None:
    api, _ = await make_api()
    about = await api.create(pod())
    reasons = ["Scheduled", "Pulling", "Pulled", "Created", "Started"]
    for reason in reasons:  # all within one second, as far as their times tell
        await api.record_event(about, "Normal", reason, reason, component="kubelet")
    assert [event.reason for event in api.list(EVENT)] == reasons


async def test_equal_events_are_counted() -> None:
    api, clock = await make_api()
    about = await api.create(pod())
    for _ in range(3):
        await api.record_event(about, "Warning", "BackOff", "Back-off restarting", component="kubelet")
        clock.advance(10)
    await api.record_event(about, "Warning", "BackOff", "Another message", component="kubelet")
    counts = sorted((event.message, event.count, event.last_timestamp) for event in api.list(EVENT))
    assert counts == [
        ("Another message", 1, "2026-01-02T00:00:30Z"),
        ("Back-off restarting", 3, "2026-01-02T00:00:20Z"),
    ]


async def test_events_go_after_an_hour() -> None:
    api, clock = await make_api()
    about = await api.create(pod())
    await api.record_event(about, "Normal", "Old", "old", component="x")
    clock.advance(1800)
    await api.record_event(about, "Normal", "New", "new", component="x")
    clock.advance(1801)
    assert await api.expire_events() == 1
    assert [event.reason for event in api.list(EVENT)] == ["New"]


async def test_an_event_that_can_not_be_kept_is_not_an_error() -> None:
    api, _ = await make_api("team")
    about = await api.create(pod())
    await api.delete(NAMESPACE, "", "team")
    moved = replace(about, metadata=replace(about.metadata, namespace="team"))
    assert await api.record_event(moved, "Normal", "X", "x", component="x") is None


async def test_the_newer_group_reads_the_same_events() -> None:
    api, _ = await make_api()
    about = await api.create(pod())
    await api.record_event(about, "Normal", "Pulled", "here", component="kubelet")
    (event,) = api.list(EVENT_V1, "default")
    assert (event.note, event.regarding.name, event.deprecated_count) == ("here", "web", 1)


async def test_an_event_of_a_cluster_wide_object_is_kept_in_default() -> None:
    api, _ = await make_api()
    about = api.get(NAMESPACE, "", "default")
    event = await api.record_event(about, "Normal", "X", "x", component="x")
    assert event is not None
    assert (event.metadata.namespace, event.involved_object.namespace) == ("default", "")


async def test_the_tenth_message_of_one_reason_is_combined_with_the_next_ones() -> None:
    # Source: client-go, tools/record: ten similar events within ten minutes.
    api, clock = await make_api()
    about = await api.create(pod())
    for number in range(12):
        await api.record_event(about, "Warning", "Failed", f"attempt {number}", component="kubelet")
        clock.advance(1)
    assert [(event.message, event.count) for event in api.list(EVENT)] == [
        *((f"attempt {number}", 1) for number in range(9)),
        ("(combined from similar events): attempt 11", 3),
    ]
    clock.advance(601)
    await api.record_event(about, "Warning", "Failed", "attempt 12", component="kubelet")
    assert api.list(EVENT)[-1].message == "attempt 12"


async def test_a_source_that_says_too_much_about_one_object_is_not_listened_to_for_a_while() -> None:
    # Source: client-go, tools/record: a burst of 25, then one in five minutes.
    api, clock = await make_api()
    about = await api.create(pod())
    taken = [await api.record_event(about, "Warning", "BackOff", "again", component="a") for _ in range(30)]
    assert [event is not None for event in taken] == [True] * 25 + [False] * 5
    assert await api.record_event(about, "Warning", "BackOff", "again", component="b") is not None
    clock.advance(300)
    event = await api.record_event(about, "Warning", "BackOff", "again", component="a")
    assert event is not None
    assert event.count == 31  # those that were not written are counted


async def test_events_with_an_action_become_a_series() -> None:
    api, clock = await make_api()
    about = await api.create(pod())

    async def tell(message: str = "0/1 nodes are available") -> None:
        await api.record_event(
            about, "Warning", "FailedScheduling", message, component="default-scheduler", action="Scheduling"
        )

    await tell()
    clock.advance(5)
    await tell()
    (event,) = api.list(EVENT_V1, "default")
    assert (event.deprecated_count, event.deprecated_first_timestamp, event.deprecated_source.component) == (
        None,
        "",
        "",
    )
    assert (event.event_time, event.reporting_controller, event.reporting_instance, event.action) == (
        "2026-01-02T00:00:00.000000Z",
        "default-scheduler",
        "default-scheduler",
        "Scheduling",
    )
    assert event.series is not None
    assert (event.series.count, event.series.last_observed_time) == (2, "2026-01-02T00:00:05.000000Z")
    clock.advance(400)  # a series ends after six quiet minutes
    await tell()
    assert len(api.list(EVENT)) == 2
    clock.advance(3300)
    assert await api.expire_events() == 1


async def test_occurrences_at_the_same_time_are_counted_together() -> None:
    api, _ = await make_api()
    about = await api.create(pod())
    await asyncio.gather(*(api.record_event(about, "Normal", "X", "x", component="c") for _ in range(5)))
    assert [event.count for event in api.list(EVENT)] == [5]


async def test_an_event_of_the_newer_form_says_who_and_what() -> None:
    api, _ = await make_api()
    event = Event(
        metadata=ObjectMeta(name="e", namespace="default"),
        involved_object=ObjectReference(kind="Pod", name="web", namespace="default"),
        event_time="2026-01-02T00:00:00.000000Z",
        message="x" * 1025,
    )
    with pytest.raises(ApiError) as caught:
        await api.create(event)
    assert [(cause.field, cause.reason) for cause in caught.value.causes] == [
        ("reportingController", "FieldValueRequired"),
        ("reportingController", "FieldValueInvalid"),
        ("reportingController", "FieldValueInvalid"),
        ("reportingInstance", "FieldValueRequired"),
        ("action", "FieldValueRequired"),
        ("reason", "FieldValueRequired"),
        ("message", "FieldValueInvalid"),
    ]


def newer(**fields: Any) -> events_v1.Event:
    return events_v1.Event(
        **{
            "metadata": ObjectMeta(name="e", namespace="default"),
            "regarding": ObjectReference(kind="Pod", name="web", namespace="default"),
            "event_time": "2026-01-02T00:00:00.000000Z",
            "type": "Normal",
            "reason": "Tried",
            "action": "Trying",
            "reporting_controller": "example.com/c",
            "reporting_instance": "c-0",
            **fields,
        }
    )


async def test_the_newer_group_takes_events_of_the_newer_form_only() -> None:
    api, _ = await make_api()
    with pytest.raises(ApiError) as caught:
        await api.create(newer(event_time="", type="Odd", deprecated_count=1))
    # Source: Kubernetes, pkg/apis/core/validation/events.go.
    assert [(cause.field, cause.message) for cause in caught.value.causes] == [
        ("eventTime", "Required value"),
        ("type", 'Invalid value: "": has invalid value: Odd'),
        ("count", 'Invalid value: "": needs to be unset'),
    ]
    made = await api.create(newer())
    assert (api.get(EVENT, "default", "e").event_time, made.note) == ("2026-01-02T00:00:00.000000Z", "")


async def test_of_an_event_of_the_newer_form_only_the_series_changes() -> None:
    api, _ = await make_api()
    made = await api.create(newer())
    series = events_v1.EventSeries(count=2, last_observed_time="2026-01-02T00:00:05.000000Z")
    changed = await api.update(replace(made, series=series))
    assert changed.series == series
    with pytest.raises(ApiError) as caught:
        await api.update(replace(changed, note="other", series=events_v1.EventSeries(count=1)))
    assert [cause.field for cause in caught.value.causes] == [
        "series.count",
        "series.lastObservedTime",
        "message",
    ]
