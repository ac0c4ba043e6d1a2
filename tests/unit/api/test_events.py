"""Events: counted when equal, gone after an hour, and never in the way."""

from msgspec.structs import replace

from pinnace.kube.kinds import EVENT, EVENT_V1, NAMESPACE
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
