"""One round of an autoscaler: size, conditions, events, in Kubernetes' words."""

import pytest

from pinnace.controllers.hpa.behavior import History
from pinnace.controllers.hpa.decide import (
    HpaFacts,
    HpaPlan,
    TargetScale,
    Told,
    reconcile_hpa,
    tell_failed_resize,
)
from pinnace.controllers.hpa.metrics import sum_requests
from pinnace.kube.objects.autoscaling_v2 import (
    ContainerResourceMetricSource,
    CrossVersionObjectReference,
    HorizontalPodAutoscaler,
    HorizontalPodAutoscalerSpec,
    MetricIdentifier,
    MetricSpec,
    MetricTarget,
    PodsMetricSource,
    ResourceMetricSource,
)
from pinnace.kube.objects.core_v1 import Pod
from pinnace.kube.objects.meta_v1 import ObjectMeta
from tests.unit.controllers.builders import at, pod, usage, with_status

NOW_S = 1000.0


def cpu(percent: int | None = 70, value: str | None = None) -> MetricSpec:
    type_ = "Utilization" if value is None else "AverageValue"
    target = MetricTarget(type=type_, average_utilization=None if value else percent, average_value=value)
    return MetricSpec(type="Resource", resource=ResourceMetricSource(name="cpu", target=target))


def memory(value: str) -> MetricSpec:
    target = MetricTarget(type="AverageValue", average_value=value)
    return MetricSpec(type="Resource", resource=ResourceMetricSource(name="memory", target=target))


def autoscaler(*metrics: MetricSpec, minimum: int | None = 2, maximum: int = 10) -> HorizontalPodAutoscaler:
    return HorizontalPodAutoscaler(
        metadata=ObjectMeta(name="web", namespace="default", uid="uid-hpa", generation=1),
        spec=HorizontalPodAutoscalerSpec(
            scale_target_ref=CrossVersionObjectReference(
                api_version="apps/v1", kind="Deployment", name="web"
            ),
            min_replicas=minimum,
            max_replicas=maximum,
            metrics=metrics or (cpu(),),
        ),
    )


def decide(
    hpa: HorizontalPodAutoscaler,
    replicas: int = 3,
    cpu_milli: int | None = 700,
    *,
    memory_bytes: int = 0,
    requests: str = "1",
    history: History = History(),
    **more: object,
) -> HpaPlan:
    pods = tuple(pod(f"p{n}", cpu=requests) for n in range(replicas))
    used = {} if cpu_milli is None else {p.metadata.name: usage(cpu_milli, memory_bytes, NOW_S) for p in pods}
    fields: dict[str, object] = {
        "scale": TargetScale(replicas, "app=web"),
        "pods": pods,
        "usage": used,
        **more,
    }
    return reconcile_hpa(HpaFacts(hpa, **fields), history, at(NOW_S))  # type: ignore[arg-type]


def conditions(plan: HpaPlan) -> dict[str, tuple[str, str, str]]:
    return {c.type: (c.status, c.reason, c.message) for c in plan.status.conditions}


def test_usage_at_the_target_keeps_the_size_and_says_why() -> None:
    plan = decide(autoscaler())
    assert plan.resize_to is None
    assert conditions(plan) == {
        "AbleToScale": ("True", "ReadyForNewScale", "recommended size matches current size"),
        "ScalingActive": (
            "True",
            "ValidMetricFound",
            "the HPA was able to successfully calculate a replica count from cpu resource utilization (percentage of request)",
        ),
        "ScalingLimited": ("False", "DesiredWithinRange", "the desired count is within the acceptable range"),
    }
    assert (plan.status.current_replicas, plan.status.desired_replicas, plan.status.last_scale_time) == (
        3,
        3,
        "",
    )


def test_usage_above_the_target_resizes_with_the_event() -> None:
    plan = decide(autoscaler(), cpu_milli=1400)
    assert plan.resize_to == 6  # ceil(3 * 140 / 70)
    assert plan.events == (
        Told(
            "Normal",
            "SuccessfulRescale",
            "New size: 6; reason: cpu resource utilization (percentage of request) above target",
        ),
    )
    assert conditions(plan)["AbleToScale"] == (
        "True",
        "SucceededRescale",
        "the HPA controller was able to update the target scale to 6",
    )
    assert plan.status.last_scale_time == "2026-01-01T00:16:40Z"
    assert plan.describe().splitlines()[0] == (
        "resize to 6: cpu resource utilization (percentage of request) above target"
    )


def test_first_recommendation_is_the_present_size_so_that_nothing_shrinks_at_once() -> None:
    plan = decide(autoscaler(), replicas=8, cpu_milli=0)
    assert plan.resize_to is None
    assert conditions(plan)["AbleToScale"][1] == "ScaleDownStabilized"


@pytest.mark.parametrize(
    ("replicas", "expected", "why"),
    [
        (12, 10, "Current number of replicas above Spec.MaxReplicas"),
        (1, 2, "Current number of replicas below Spec.MinReplicas"),
    ],
)
def test_size_outside_the_bounds_is_brought_inside_without_asking_metrics(
    replicas: int, expected: int, why: str
) -> None:
    plan = decide(autoscaler(), replicas=replicas, cpu_milli=None)
    assert (plan.resize_to, plan.why) == (expected, why)


def test_target_scaled_to_zero_turns_the_autoscaler_off() -> None:
    plan = decide(autoscaler(), replicas=0)
    assert plan.resize_to is None
    assert conditions(plan)["ScalingActive"] == (
        "False",
        "ScalingDisabled",
        "scaling is disabled since the replica count of the target is zero",
    )


def test_target_that_is_not_there_is_told() -> None:
    plan = decide(autoscaler(), scale='deployments.apps "web" not found')
    assert plan.events == (Told("Warning", "FailedGetScale", 'deployments.apps "web" not found'),)
    assert conditions(plan)["AbleToScale"] == (
        "False",
        "FailedGetScale",
        'the HPA controller was unable to get the target\'s current scale: deployments.apps "web" not found',
    )


def test_no_metrics_yet_is_told_in_kubernetes_words() -> None:
    plan = decide(autoscaler(), cpu_milli=None)
    why = "failed to get cpu utilization: unable to get metrics for resource cpu: no metrics returned from resource metrics API"
    assert plan.events == (
        Told("Warning", "FailedGetResourceMetric", why),
        Told(
            "Warning",
            "FailedComputeMetricsReplicas",
            f"invalid metrics (1 invalid out of 1), first error is: failed to get cpu resource metric value: {why}",
        ),
    )
    assert conditions(plan)["ScalingActive"] == (
        "False",
        "FailedGetResourceMetric",
        f"the HPA was unable to compute the replica count: {why}",
    )
    assert plan.resize_to is None


def test_missing_request_names_container_and_pod() -> None:
    plan = decide(autoscaler(), requests="")
    assert (
        plan.events[0].message
        == "failed to get cpu utilization: missing request for cpu in container c of Pod p0"
    )


def test_metric_that_cannot_be_read_forbids_shrinking_but_not_growing() -> None:
    pods_metric = MetricSpec(
        type="Pods",
        pods=PodsMetricSource(
            metric=MetricIdentifier(name="qps"), target=MetricTarget(type="AverageValue", average_value="1")
        ),
    )
    history = History()
    down = decide(autoscaler(pods_metric, cpu()), replicas=8, cpu_milli=10, history=history)
    assert down.resize_to is None
    assert conditions(down)["ScalingActive"][:2] == ("False", "FailedGetPodsMetric")
    up = decide(autoscaler(pods_metric, cpu()), replicas=3, cpu_milli=1400)
    assert up.resize_to == 6
    assert [event.reason for event in up.events] == ["FailedGetPodsMetric", "SuccessfulRescale"]


def test_greatest_of_several_metrics_decides() -> None:
    plan = decide(autoscaler(cpu(), memory("100Mi")), cpu_milli=700, memory_bytes=150 << 20)
    assert plan.resize_to == 5  # memory: ceil(3 * 1.5); cpu: 3
    assert plan.events[-1].message == "New size: 5; reason: memory resource above target"
    assert plan.status.current_metrics[1].resource is not None
    assert plan.status.current_metrics[1].resource.current.average_value == "157286400"


def test_average_value_of_cpu() -> None:
    plan = decide(autoscaler(cpu(value="500m")), cpu_milli=900, requests="")
    assert plan.resize_to == 6  # ceil(3 * 900 / 500) = 5.4 -> 6, and it needs no requests
    assert plan.status.current_metrics[0].resource is not None
    assert plan.status.current_metrics[0].resource.current.average_value == "900m"


def test_container_resource_counts_one_container() -> None:
    target = MetricTarget(type="Utilization", average_utilization=50)
    metric = MetricSpec(
        type="ContainerResource",
        container_resource=ContainerResourceMetricSource(name="cpu", container="c", target=target),
    )
    plan = decide(autoscaler(metric), cpu_milli=1000)
    assert plan.resize_to == 6
    assert plan.why == "cpu container resource utilization (percentage of request) above target"
    assert plan.status.current_metrics[0].container_resource is not None
    assert plan.status.current_metrics[0].container_resource.current.average_utilization == 100


def test_pods_counted_twice_are_ambiguous() -> None:
    plan = decide(autoscaler(), rivals=("default/other",))
    text = "pods by selector app=web are controlled by multiple HPAs: [default/other default/web]"
    assert plan.events == (Told("Warning", "AmbiguousSelector", text),)
    assert conditions(plan)["ScalingActive"] == ("False", "AmbiguousSelector", text)


def test_refused_resize_is_told_and_not_counted_as_done() -> None:
    facts = HpaFacts(autoscaler(), TargetScale(3, "app=web"))
    plan = decide(autoscaler(), cpu_milli=1400)
    failed = tell_failed_resize(facts, plan, History(), "no", at(NOW_S))
    assert failed.resize_to is None
    assert failed.events[-1].message.startswith("New size: 6; reason: cpu resource")
    assert failed.events[-1].message.endswith("; error: no")
    assert conditions(failed)["AbleToScale"] == (
        "False",
        "FailedUpdateScale",
        "the HPA controller was unable to update the target scale: no",
    )
    assert failed.status.last_scale_time == ""


def test_time_of_a_condition_moves_only_with_its_status() -> None:
    first = decide(autoscaler())
    hpa = with_status(autoscaler(), conditions=first.status.conditions)
    later = reconcile_hpa(
        HpaFacts(
            hpa,
            TargetScale(3, "app=web"),
            tuple(pod(f"p{n}", cpu="1") for n in range(3)),
            {f"p{n}": usage(1400, 0, NOW_S + 60) for n in range(3)},
        ),
        first.history,
        at(NOW_S + 60),
    )
    assert {c.last_transition_time for c in later.status.conditions} == {"2026-01-01T00:16:40Z"}


def test_requests_of_sidecars_count_and_of_init_containers_do_not() -> None:
    import msgspec

    one = pod("a", cpu="1")
    container = one.spec.containers[0]
    sidecar = msgspec.structs.replace(container, name="s", restart_policy="Always")
    init = msgspec.structs.replace(container, name="i")
    one = msgspec.structs.replace(
        one, spec=msgspec.structs.replace(one.spec, init_containers=(sidecar, init))
    )
    assert isinstance(one, Pod)
    assert sum_requests([one], "cpu", "") == {"a": 2000}
    assert sum_requests([one], "cpu", "s") == {"a": 1000}
