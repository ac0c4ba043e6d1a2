"""The HorizontalPodAutoscaler's row. Pure.

Source: Kubernetes v1.36, pkg/apis/autoscaling/v2/defaults.go and pkg/apis/autoscaling/validation.
"""

from typing import Any

from msgspec.structs import replace

from pinnace.api.defaults.quantities import canonical_quantity
from pinnace.api.strategy import Strategy, drop_status, keep_status, take_status
from pinnace.api.validation.names import check_path_segment
from pinnace.api.validation.problems import Problems
from pinnace.api.validation.resources import validate_quantity
from pinnace.api.validation.selectors import validate_label_selector
from pinnace.kube.kinds import HORIZONTAL_POD_AUTOSCALER
from pinnace.kube.objects.autoscaling_v2 import (
    CrossVersionObjectReference,
    HorizontalPodAutoscaler,
    HorizontalPodAutoscalerBehavior,
    HPAScalingPolicy,
    HPAScalingRules,
    MetricSpec,
    MetricTarget,
    ResourceMetricSource,
)

DEFAULT_CPU_PERCENT = 80
_WINDOW_MOST_S = 3600
_PERIOD_MOST_S = 1800
_UP_POLICIES = (
    HPAScalingPolicy(type="Pods", value=4, period_seconds=15),
    HPAScalingPolicy(type="Percent", value=100, period_seconds=15),
)
_DOWN_POLICIES = (HPAScalingPolicy(type="Percent", value=100, period_seconds=15),)
_DEFAULT_METRIC = MetricSpec(
    type="Resource",
    resource=ResourceMetricSource(
        name="cpu", target=MetricTarget(type="Utilization", average_utilization=DEFAULT_CPU_PERCENT)
    ),
)
# Metric type -> (attribute, wire name, target types).
_SOURCES = {
    "Resource": ("resource", "resource"),
    "ContainerResource": ("container_resource", "containerResource"),
    "Pods": ("pods", "pods"),
    "Object": ("object", "object"),
    "External": ("external", "external"),
}


def _default(hpa: HorizontalPodAutoscaler) -> HorizontalPodAutoscaler:
    spec = hpa.spec
    return replace(
        hpa,
        spec=replace(
            spec,
            min_replicas=1 if spec.min_replicas is None else spec.min_replicas,
            metrics=tuple(map(_default_metric, spec.metrics)) or (_DEFAULT_METRIC,),
            behavior=None if spec.behavior is None else _default_behavior(spec.behavior),
        ),
    )


def _default_metric(metric: MetricSpec) -> MetricSpec:
    attribute, _ = _SOURCES.get(metric.type, ("", ""))
    source: Any = getattr(metric, attribute) if attribute else None
    if source is None:
        return metric
    target = source.target
    changed = replace(
        target, value=canonical_quantity(target.value), average_value=canonical_quantity(target.average_value)
    )
    return metric if changed == target else replace(metric, **{attribute: replace(source, target=changed)})


def _default_behavior(behavior: HorizontalPodAutoscalerBehavior) -> HorizontalPodAutoscalerBehavior:
    up, down = behavior.scale_up or HPAScalingRules(), behavior.scale_down or HPAScalingRules()
    window = up.stabilization_window_seconds
    return replace(
        behavior,
        scale_up=replace(
            _default_rules(up, _UP_POLICIES), stabilization_window_seconds=0 if window is None else window
        ),
        scale_down=_default_rules(down, _DOWN_POLICIES),
    )


def _default_rules(rules: HPAScalingRules, policies: tuple[HPAScalingPolicy, ...]) -> HPAScalingRules:
    return replace(rules, select_policy=rules.select_policy or "Max", policies=rules.policies or policies)


def _validate(hpa: HorizontalPodAutoscaler, problems: Problems) -> None:
    spec = hpa.spec
    least = 1 if spec.min_replicas is None else spec.min_replicas
    if least < 1 and not (
        least == 0 and any(metric.type in ("Object", "External") for metric in spec.metrics)
    ):
        problems.invalid("spec.minReplicas", least, "must be greater than or equal to 1")
    if spec.max_replicas < 1:
        problems.invalid("spec.maxReplicas", spec.max_replicas, "must be greater than 0")
    if spec.max_replicas < least:
        problems.invalid(
            "spec.maxReplicas", spec.max_replicas, "must be greater than or equal to `minReplicas`"
        )
    _validate_reference(spec.scale_target_ref, "spec.scaleTargetRef", problems)
    for index, metric in enumerate(spec.metrics):
        _validate_metric(metric, f"spec.metrics[{index}]", problems)
    if spec.behavior is not None:
        for name, rules in (("scaleUp", spec.behavior.scale_up), ("scaleDown", spec.behavior.scale_down)):
            if rules is not None:
                _validate_rules(rules, f"spec.behavior.{name}", problems)


def _validate_reference(target: CrossVersionObjectReference, path: str, problems: Problems) -> None:
    for name, value in (("kind", target.kind), ("name", target.name)):
        if not value:
            problems.required(f"{path}.{name}")
        else:
            problems.each(f"{path}.{name}", value, check_path_segment(value))


def _validate_status(new: HorizontalPodAutoscaler, old: HorizontalPodAutoscaler, problems: Problems) -> None:
    problems.not_negative("status.currentReplicas", new.status.current_replicas)
    problems.not_negative("status.desiredReplicas", new.status.desired_replicas)


def _validate_metric(metric: MetricSpec, path: str, problems: Problems) -> None:
    if not metric.type:
        problems.required(f"{path}.type", "must specify a metric source type")
        return
    if metric.type not in _SOURCES:
        problems.not_supported(f"{path}.type", metric.type, _SOURCES)
        return
    for kind, (attribute, wire) in _SOURCES.items():
        present = getattr(metric, attribute) is not None
        if kind == metric.type and not present:
            problems.required(f"{path}.{wire}", "must populate information for the given metric source")
        elif kind != metric.type and present:
            problems.forbidden(
                f"{path}.{wire}", f"must populate the given metric source only (type is {metric.type})"
            )
    attribute, wire = _SOURCES[metric.type]
    source = getattr(metric, attribute)
    if source is not None:
        _validate_source(metric.type, source, f"{path}.{wire}", problems)


def _validate_source(kind: str, source: Any, path: str, problems: Problems) -> None:
    target: MetricTarget = source.target
    _validate_target(target, f"{path}.target", problems)
    if kind in ("Resource", "ContainerResource"):
        if not source.name:
            problems.required(f"{path}.name", "must specify a resource name")
        if kind == "ContainerResource" and not source.container:
            problems.required(f"{path}.container", "must specify a container")
        if target.average_utilization is None and target.average_value is None:
            problems.required(
                f"{path}.target.averageUtilization",
                "must set either a target raw value or a target utilization",
            )
        if target.average_utilization is not None and target.average_value is not None:
            problems.forbidden(
                f"{path}.target.averageValue", "may not set both a target raw value and a target utilization"
            )
        return
    if kind == "Object":
        _validate_reference(source.described_object, f"{path}.describedObject", problems)
    if not source.metric.name:
        problems.required(f"{path}.metric.name", "must specify a metric name")
    else:
        problems.each(f"{path}.metric.name", source.metric.name, check_path_segment(source.metric.name))
    if source.metric.selector is not None:
        validate_label_selector(source.metric.selector, f"{path}.metric.selector", problems)
    if kind == "Pods" and target.average_value is None:
        problems.required(f"{path}.target.averageValue", "must specify a positive target averageValue")
    if kind in ("Object", "External"):
        if target.value is None and target.average_value is None:
            problems.required(
                f"{path}.target.averageValue", "must set either a target value for metric or a per-pod target"
            )
        if kind == "External" and target.value is not None and target.average_value is not None:
            problems.forbidden(
                f"{path}.target.value", "may not set both a target value for metric and a per-pod target"
            )


def _validate_target(target: MetricTarget, path: str, problems: Problems) -> None:
    if not target.type:
        problems.required(f"{path}.type", "must specify a metric target type")
    elif target.type not in ("Utilization", "Value", "AverageValue"):
        problems.invalid(f"{path}.type", target.type, "must be either Utilization, Value, or AverageValue")
    validate_quantity(target.value, f"{path}.value", problems, positive=True)
    validate_quantity(target.average_value, f"{path}.averageValue", problems, positive=True)
    if target.average_utilization is not None and target.average_utilization < 1:
        problems.invalid(f"{path}.averageUtilization", target.average_utilization, "must be greater than 0")


def _validate_rules(rules: HPAScalingRules, path: str, problems: Problems) -> None:
    window = rules.stabilization_window_seconds
    if window is not None and window < 0:
        problems.invalid(
            f"{path}.stabilizationWindowSeconds", window, "must be greater than or equal to zero"
        )
    if window is not None and window > _WINDOW_MOST_S:
        problems.invalid(
            f"{path}.stabilizationWindowSeconds", window, f"must be less than or equal to {_WINDOW_MOST_S}"
        )
    problems.one_of(f"{path}.selectPolicy", rules.select_policy, ("Disabled", "Max", "Min"))
    validate_quantity(rules.tolerance, f"{path}.tolerance", problems)
    if not rules.policies:
        problems.required(f"{path}.policies", "must specify at least one Policy")
    for index, policy in enumerate(rules.policies):
        where = f"{path}.policies[{index}]"
        if policy.type not in ("Pods", "Percent"):
            problems.not_supported(f"{where}.type", policy.type, ("Pods", "Percent"))
        if policy.value <= 0:
            problems.invalid(f"{where}.value", policy.value, "must be greater than zero")
        if policy.period_seconds <= 0:
            problems.invalid(f"{where}.periodSeconds", policy.period_seconds, "must be greater than zero")
        elif policy.period_seconds > _PERIOD_MOST_S:
            problems.invalid(
                f"{where}.periodSeconds",
                policy.period_seconds,
                f"must be less than or equal to {_PERIOD_MOST_S}",
            )


STRATEGY = Strategy(
    kind=HORIZONTAL_POD_AUTOSCALER,
    default=_default,
    prepare_create=drop_status,
    prepare_update=keep_status,
    prepare_status=take_status,
    validate=_validate,
    validate_status=_validate_status,
)
