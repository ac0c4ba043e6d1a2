"""The table of HorizontalPodAutoscalers: what is measured against what is wanted.

Source: Kubernetes v1.36, pkg/printers/internalversion/printers.go, formatHPAMetrics.
"""

from itertools import zip_longest

from pinnace.kube.objects.autoscaling_v2 import (
    HorizontalPodAutoscaler,
    MetricSpec,
    MetricStatus,
    MetricTarget,
    MetricValueStatus,
)
from pinnace.kube.quantity import canonical
from pinnace.kubeapi.tables.columns import AGE, NAME, NONE, UNKNOWN, UNSET, Cell, Column, Table, render_since

_SHOWN = 2  # Source: the same function


def render_targets(metrics: tuple[MetricSpec, ...], current: tuple[MetricStatus, ...]) -> str:
    """Return each metric as "cpu: 12%/70%"; one that is not measured yet as "cpu: <unknown>/70%"."""
    if not metrics:
        return NONE
    texts = [
        _render_metric(metric, status)
        for metric, status in zip_longest(metrics, current[: len(metrics)])
        if metric is not None
    ]
    shown = ", ".join(texts[:_SHOWN])
    return f"{shown} + {len(texts) - _SHOWN} more..." if len(texts) > _SHOWN else shown


def _render_metric(metric: MetricSpec, status: MetricStatus | None) -> str:
    if metric.resource is not None:
        value = status.resource.current if status is not None and status.resource is not None else None
        return f"{metric.resource.name}: {_render_resource(metric.resource.target, value)}"
    if metric.container_resource is not None:
        value = (
            status.container_resource.current
            if status is not None and status.container_resource is not None
            else None
        )
        return (
            f"{metric.container_resource.name}: {_render_resource(metric.container_resource.target, value)}"
        )
    if metric.pods is not None:
        value = status.pods.current if status is not None and status.pods is not None else None
        return f"{_quantity(value.average_value if value is not None else None)}/{_quantity(metric.pods.target.average_value)}"
    if metric.object is not None:
        value = status.object.current if status is not None and status.object is not None else None
        return _render_outside(metric.object.target, value)
    if metric.external is not None:
        value = status.external.current if status is not None and status.external is not None else None
        return _render_outside(metric.external.target, value)
    return "<unknown type>"


def _render_resource(target: MetricTarget, value: MetricValueStatus | None) -> str:
    if target.average_value is not None:
        return f"{_quantity(value.average_value if value is not None else None)}/{_quantity(target.average_value)}"
    utilization = value.average_utilization if value is not None else None
    measured = UNKNOWN if utilization is None else f"{utilization}%"
    wanted = "<auto>" if target.average_utilization is None else f"{target.average_utilization}%"
    return f"{measured}/{wanted}"


def _render_outside(target: MetricTarget, value: MetricValueStatus | None) -> str:
    if target.average_value is not None:
        return f"{_quantity(value.average_value if value is not None else None)}/{_quantity(target.average_value)} (avg)"
    return f"{_quantity(value.value if value is not None else None)}/{_quantity(target.value)}"


def _quantity(value: str | float | int | None) -> str:
    return UNKNOWN if value is None else canonical(value)


def _cells(autoscaler: HorizontalPodAutoscaler, now: float) -> tuple[Cell, ...]:
    spec, status = autoscaler.spec, autoscaler.status
    return (
        autoscaler.metadata.name,
        f"{spec.scale_target_ref.kind}/{spec.scale_target_ref.name}",
        render_targets(spec.metrics, status.current_metrics),
        UNSET if spec.min_replicas is None else str(spec.min_replicas),
        spec.max_replicas,
        status.current_replicas or 0,
        render_since(autoscaler.metadata.creation_timestamp, now),
    )


TABLE = Table(
    columns=(
        NAME,
        Column("Reference", "What is scaled."),
        Column("Targets", "What is measured, and what it should be."),
        Column("MinPods", "How many pods there are at least."),
        Column("MaxPods", "How many pods there are at most."),
        Column("Replicas", "How many pods there are."),
        AGE,
    ),
    cells=_cells,
)
