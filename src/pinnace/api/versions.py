"""Turns objects of one stored resource from one version into another.

One resource is stored in one version; what is served in others is converted on the way in and out. Pure.
Source: Kubernetes v1.36, pkg/apis/autoscaling/v1/conversion.go, pkg/apis/events/v1/conversion.go.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from msgspec.structs import replace

from pinnace.api.custom.coercion import decode_custom, note_clean, render_custom, to_version
from pinnace.api.sharing import decode_shared
from pinnace.base.errors import Bug
from pinnace.kube import codec, kinds
from pinnace.kube.kinds import Kind
from pinnace.kube.objects import autoscaling_v1, autoscaling_v2, core_v1, events_v1
from pinnace.kube.objects.custom import CustomObject
from pinnace.store.interface import Key, Record

T = TypeVar("T")


def stored_kind(kind: Kind[Any]) -> Kind[Any]:
    """Return the version in which a kind's objects are kept."""
    if kind.custom is not None:
        return kind.custom.family.stored
    return kinds.by_resource(kind.resource) or kind


def written_kind(kind: Kind[Any]) -> Kind[Any]:
    """Return the version in whose terms a write is prepared and judged: a custom kind's own, else the stored one."""
    return kind if kind.custom is not None else stored_kind(kind)


def decode_stored(stored: Kind[Any], record: Record) -> Any:
    """Return the object of a record, in the version in which its kind is kept."""
    if stored.custom is not None:
        return decode_custom(stored, record)
    return decode_shared(stored, record.value)


def note_written(kind: Kind[Any], key: Key, value: bytes) -> None:
    """Note that a custom object's bytes, about to be stored, can be served as they are."""
    note_clean(stored_kind(kind), key, value)


def render_stored(kind: Kind[Any], record: Record) -> bytes:
    """Return a record as JSON in the kind's version: the stored bytes as they are wherever that is possible."""
    if kind.custom is not None:
        return render_custom(kind, record)
    stored = stored_kind(kind)
    if stored is kind:
        return record.value
    converted: Any = convert(codec.decode(stored, record.value), kind)
    return codec.encode(converted)


def convert(obj: Any, kind: Kind[T]) -> T:
    """Return the object in another version. Raises: Bug when nobody has written down how."""
    if kind.custom is not None and isinstance(obj, CustomObject):
        return to_version(kind, obj)  # type: ignore[return-value]
    if isinstance(obj, kind.type):
        return obj
    function = _CONVERSIONS.get((type(obj), kind.type))
    if function is None:
        raise Bug(f"no conversion from {type(obj).__module__}.{type(obj).__name__} to {kind}")
    result: T = function(obj)
    return result


def _cpu_target(metric: autoscaling_v2.MetricSpec) -> int | None:
    if metric.type != "Resource" or metric.resource is None or metric.resource.name != "cpu":
        return None
    return metric.resource.target.average_utilization


def _hpa_to_v1(hpa: autoscaling_v2.HorizontalPodAutoscaler) -> autoscaling_v1.HorizontalPodAutoscaler:
    spec, status = hpa.spec, hpa.status
    cpu = next((target for target in map(_cpu_target, spec.metrics) if target is not None), None)
    current = next(
        (
            metric.resource.current.average_utilization
            for metric in status.current_metrics
            if metric.resource is not None and metric.resource.name == "cpu"
        ),
        None,
    )
    target = spec.scale_target_ref
    return autoscaling_v1.HorizontalPodAutoscaler(
        metadata=hpa.metadata,
        spec=autoscaling_v1.HorizontalPodAutoscalerSpec(
            max_replicas=spec.max_replicas,
            min_replicas=spec.min_replicas,
            scale_target_ref=autoscaling_v1.CrossVersionObjectReference(
                api_version=target.api_version, kind=target.kind, name=target.name
            ),
            target_cpu_utilization_percentage=cpu,
        ),
        status=autoscaling_v1.HorizontalPodAutoscalerStatus(
            current_replicas=status.current_replicas or 0,
            desired_replicas=status.desired_replicas,
            last_scale_time=status.last_scale_time,
            observed_generation=status.observed_generation,
            current_cpu_utilization_percentage=current,
        ),
    )


def _hpa_to_v2(hpa: autoscaling_v1.HorizontalPodAutoscaler) -> autoscaling_v2.HorizontalPodAutoscaler:
    spec, status = hpa.spec, hpa.status
    metrics: tuple[autoscaling_v2.MetricSpec, ...] = ()
    if spec.target_cpu_utilization_percentage is not None:
        target = autoscaling_v2.MetricTarget(
            type="Utilization", average_utilization=spec.target_cpu_utilization_percentage
        )
        resource = autoscaling_v2.ResourceMetricSource(name="cpu", target=target)
        metrics = (autoscaling_v2.MetricSpec(type="Resource", resource=resource),)
    reference = spec.scale_target_ref
    return autoscaling_v2.HorizontalPodAutoscaler(
        metadata=hpa.metadata,
        spec=autoscaling_v2.HorizontalPodAutoscalerSpec(
            max_replicas=spec.max_replicas,
            min_replicas=spec.min_replicas,
            metrics=metrics,
            scale_target_ref=autoscaling_v2.CrossVersionObjectReference(
                api_version=reference.api_version, kind=reference.kind, name=reference.name
            ),
        ),
        status=autoscaling_v2.HorizontalPodAutoscalerStatus(
            current_replicas=status.current_replicas,
            desired_replicas=status.desired_replicas,
            last_scale_time=status.last_scale_time,
            observed_generation=status.observed_generation,
        ),
    )


def _event_to_events(event: core_v1.Event) -> events_v1.Event:
    series = event.series
    return events_v1.Event(
        metadata=event.metadata,
        action=event.action,
        deprecated_count=event.count,
        deprecated_first_timestamp=event.first_timestamp,
        deprecated_last_timestamp=event.last_timestamp,
        deprecated_source=event.source,
        event_time=event.event_time,
        note=event.message,
        reason=event.reason,
        regarding=event.involved_object,
        related=event.related,
        reporting_controller=event.reporting_component,
        reporting_instance=event.reporting_instance,
        series=None
        if series is None
        else events_v1.EventSeries(count=series.count or 0, last_observed_time=series.last_observed_time),
        type=event.type,
    )


def _event_to_core(event: events_v1.Event) -> core_v1.Event:
    series = event.series
    return core_v1.Event(
        metadata=event.metadata,
        action=event.action,
        count=event.deprecated_count,
        first_timestamp=event.deprecated_first_timestamp,
        last_timestamp=event.deprecated_last_timestamp,
        source=event.deprecated_source,
        event_time=event.event_time,
        message=event.note,
        reason=event.reason,
        involved_object=event.regarding,
        related=event.related,
        reporting_component=event.reporting_controller,
        reporting_instance=event.reporting_instance,
        series=None
        if series is None
        else core_v1.EventSeries(count=series.count, last_observed_time=series.last_observed_time),
        type=event.type,
    )


def merge_stored(obj: Any, old: Any) -> Any:
    """Return the object in the version of `old`, with what a writer of its own version can't see as it was."""
    if isinstance(obj, CustomObject):
        return obj
    converted = convert(obj, kinds.kind_of(old))
    if isinstance(obj, autoscaling_v1.HorizontalPodAutoscaler):
        return _merge_hpa(converted, old)
    return converted


def _merge_hpa(
    new: autoscaling_v2.HorizontalPodAutoscaler, old: autoscaling_v2.HorizontalPodAutoscaler
) -> autoscaling_v2.HorizontalPodAutoscaler:
    others = tuple(metric for metric in old.spec.metrics if _cpu_target(metric) is None)
    spec = replace(new.spec, behavior=old.spec.behavior, metrics=(*new.spec.metrics, *others))
    return replace(new, spec=spec)


_CONVERSIONS: dict[tuple[type, type], Callable[[Any], Any]] = {
    (autoscaling_v2.HorizontalPodAutoscaler, autoscaling_v1.HorizontalPodAutoscaler): _hpa_to_v1,
    (autoscaling_v1.HorizontalPodAutoscaler, autoscaling_v2.HorizontalPodAutoscaler): _hpa_to_v2,
    (core_v1.Event, events_v1.Event): _event_to_events,
    (events_v1.Event, core_v1.Event): _event_to_core,
}
