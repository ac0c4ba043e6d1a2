"""The table of Events, for both groups that serve them."""

from pinnace.kube.objects.core_v1 import Event
from pinnace.kubeapi.tables.columns import Cell, Column, Table, render_since


def _render_source(event: Event) -> str:
    component = event.source.component or event.reporting_component
    host = event.source.host or event.reporting_instance
    return ", ".join(part for part in (component, host) if part)


def _render_target(event: Event) -> str:
    target = event.involved_object
    return "/".join(part for part in (target.kind.lower(), target.name) if part)


def _cells(event: Event, now: float) -> tuple[Cell, ...]:
    first = event.first_timestamp or event.event_time
    last = event.last_timestamp or first
    count = event.count or 1
    if event.series is not None:
        last, count = event.series.last_observed_time or last, event.series.count or count
    return (
        render_since(last, now),
        event.type,
        event.reason,
        _render_target(event),
        event.involved_object.field_path,
        _render_source(event),
        event.message.strip(),
        render_since(first, now),
        count,
        event.metadata.name,
    )


TABLE = Table(
    columns=(
        Column("Last Seen", "When it happened last."),
        Column("Type", "Normal or Warning."),
        Column("Reason", "What happened, in one word."),
        Column("Object", "What it happened to."),
        Column("Subobject", "Which part of the object.", priority=1),
        Column("Source", "Who reported it.", priority=1),
        Column("Message", "What happened, in a sentence."),
        Column("First Seen", "When it happened first.", priority=1),
        Column("Count", "How often it happened.", priority=1),
        Column("Name", "The Event's own name.", format="name", priority=1),
    ),
    cells=_cells,
)
