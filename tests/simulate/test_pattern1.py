"""The manifest of a stateless inference service, exactly as the quick reference prints it, goes 3 -> 10 -> 2."""

from pinnace.kube.kinds import ENDPOINT_SLICE, EVENT
from tests.simulate.world import START, World, run_world

PATTERN_1 = """
apiVersion: apps/v1
kind: Deployment
metadata:
  name: ml-inference
spec:
  replicas: 3
  selector:
    matchLabels:
      app: ml-inference
  template:
    metadata:
      labels:
        app: ml-inference
    spec:
      containers:
      - name: inference
        image: my-model:v1
        resources:
          requests:
            cpu: "1"
            memory: "2Gi"
          limits:
            cpu: "2"
            memory: "4Gi"
        ports:
        - containerPort: 8000
---
apiVersion: v1
kind: Service
metadata:
  name: ml-inference-service
spec:
  selector:
    app: ml-inference
  ports:
  - protocol: TCP
    port: 80
    targetPort: 8000
  type: LoadBalancer  # External access
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: ml-inference-hpa
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: ml-inference
  minReplicas: 2
  maxReplicas: 10
  metrics:
  - type: Resource
    resource:
      name: cpu
      target:
        type: Utilization
        averageUtilization: 70
"""


def sizes_of(world: World, history: list[tuple[float, int]]) -> None:
    replicas = world.deployment("ml-inference").spec.replicas
    if not history or history[-1][1] != replicas:
        history.append((round(world.api.clock.now() - START, 1), replicas))


async def day(world: World) -> dict[str, object]:
    """Ten quiet minutes, a busy quarter of an hour (7.5 cores of work), then almost nothing."""
    peak_from, peak_to = START + 600, START + 1500

    def load_milli(now: float) -> float:
        return 2100.0 if now < peak_from else 7500.0 if now < peak_to else 400.0

    world.usage.load_milli = load_milli
    history: list[tuple[float, int]] = []
    await world.apply(PATTERN_1)
    world.checks.append(lambda w: sizes_of(w, history))
    await world.until(lambda: world.deployment("ml-inference").status.available_replicas == 3)
    await world.sleep(550)
    quiet = world.hpa("ml-inference-hpa").status
    await world.until(lambda: world.deployment("ml-inference").spec.replicas == 10, limit_s=900)
    await world.until(lambda: world.deployment("ml-inference").status.ready_replicas == 10)
    await world.sleep(60)
    busy = world.hpa("ml-inference-hpa").status
    addresses = sum(
        len(one.endpoints)
        for one in world.api.list(ENDPOINT_SLICE, "default")
        if "ml-inf" in one.metadata.name
    )
    await world.until(lambda: world.deployment("ml-inference").spec.replicas == 2)
    await world.until(lambda: len(world.pods(app="ml-inference")) == 2)
    await world.sleep(30)
    told = [
        event.message
        for event in sorted(world.api.list(EVENT, "default"), key=lambda one: one.first_timestamp)
        if event.reason == "SuccessfulRescale"
    ]
    rest = world.hpa("ml-inference-hpa").status
    return {
        "history": history,
        "quiet": quiet,
        "busy": busy,
        "rest": rest,
        "events": told,
        "addresses": addresses,
    }


def test_pattern_1_goes_from_three_to_ten_to_two() -> None:
    result = run_world(day)
    # By hand: 2100m over 3 pods is 70 %: 3 stay. 7500m over 3 is 250 %: ceil(3 * 250 / 70) = 11, at most max(2 * 3, 4) = 6;
    # then 7500m over 6 is 125 %: ceil(6 * 125 / 70) = 11, at most 10. 400m over 10 is 4 %: ceil(10 * 4 / 70) = 1, at least 2.
    assert [size for _, size in result["history"]] == [3, 6, 10, 2]  # type: ignore[attr-defined]
    times = [at for at, _ in result["history"]]  # type: ignore[attr-defined]
    assert 600 <= times[1] <= 616
    assert (
        15 <= times[2] - times[1] <= 61
    )  # the new pods' first samples cover their start, and are not counted
    assert 1500 + 300 <= times[3] <= 1500 + 300 + 31  # the stabilization window of 5 minutes
    assert result["events"] == [
        "New size: 6; reason: cpu resource utilization (percentage of request) above target",
        # The three new pods are not counted yet, so that now six are called for; but eleven were, a moment ago. Kubernetes
        # gives no reason for such a step.
        "New size: 10; reason: ",
        "New size: 2; reason: All metrics below target",
    ]
    assert result["addresses"] == 10
    assert _conditions(result["quiet"]) == {
        "AbleToScale": ("True", "ReadyForNewScale"),
        "ScalingActive": ("True", "ValidMetricFound"),
        "ScalingLimited": ("False", "DesiredWithinRange"),
    }
    assert _conditions(result["busy"])["ScalingLimited"] == ("True", "TooManyReplicas")
    assert _conditions(result["rest"])["ScalingLimited"] == ("True", "TooFewReplicas")
    busy = result["busy"]
    assert busy.current_metrics[0].resource.current.average_utilization == 75  # type: ignore[attr-defined]
    assert busy.current_metrics[0].resource.current.average_value == "750m"  # type: ignore[attr-defined]


def _conditions(status: object) -> dict[str, tuple[str, str]]:
    return {c.type: (c.status, c.reason) for c in status.conditions}  # type: ignore[attr-defined]
