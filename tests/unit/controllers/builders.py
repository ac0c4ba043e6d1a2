"""Builders of objects for the controllers' tests. Times are seconds after START."""

from typing import Any

import msgspec

from pinnace.api.world import ContainerUsage
from pinnace.base.times import render_time
from pinnace.controllers.owners import controller_reference
from pinnace.kube.objects.apps_v1 import (
    Deployment,
    DeploymentSpec,
    DeploymentStrategy,
    ReplicaSet,
    RollingUpdateDeployment,
)
from pinnace.kube.objects.core_v1 import (
    Container,
    ContainerPort,
    ContainerStatus,
    Pod,
    PodCondition,
    PodSpec,
    PodStatus,
    PodTemplateSpec,
    ResourceRequirements,
    Service,
    ServicePort,
    ServiceSpec,
)
from pinnace.kube.objects.meta_v1 import LabelSelector, ObjectMeta

START = 1_767_225_600.0  # 2026-01-01T00:00:00Z
WEB = {"app": "web"}


def at(seconds: float) -> float:
    return START + seconds


def template(image: str = "web:v1", labels: dict[str, str] | None = None, cpu: str = "") -> PodTemplateSpec:
    requests: dict[str, Any] = {"cpu": cpu} if cpu else {}
    return PodTemplateSpec(
        metadata=ObjectMeta(labels=WEB if labels is None else labels),
        spec=PodSpec(
            containers=(Container(name="c", image=image, resources=ResourceRequirements(requests=requests)),)
        ),
    )


def deployment(
    name: str = "web",
    *,
    replicas: int = 3,
    image: str = "web:v1",
    max_surge: int | str = "25%",
    max_unavailable: int | str = "25%",
    recreate: bool = False,
    deadline_s: int | None = 600,
    history: int | None = 10,
    min_ready_s: int | None = None,
    paused: bool | None = None,
    generation: int = 1,
    annotations: dict[str, str] | None = None,
) -> Deployment:
    rolling = RollingUpdateDeployment(max_surge=max_surge, max_unavailable=max_unavailable)
    strategy = (
        DeploymentStrategy(type="Recreate")
        if recreate
        else DeploymentStrategy(type="RollingUpdate", rolling_update=rolling)
    )
    return Deployment(
        metadata=ObjectMeta(
            name=name,
            namespace="default",
            uid=f"uid-{name}",
            generation=generation,
            annotations=annotations or {},
        ),
        spec=DeploymentSpec(
            replicas=replicas,
            selector=LabelSelector(match_labels=WEB),
            template=template(image),
            strategy=strategy,
            progress_deadline_seconds=deadline_s,
            revision_history_limit=history,
            min_ready_seconds=min_ready_s,
            paused=paused,
        ),
    )


def with_image(obj: Deployment, image: str) -> Deployment:
    return msgspec.structs.replace(obj, spec=msgspec.structs.replace(obj.spec, template=template(image)))


def with_status(obj: Any, **fields: Any) -> Any:
    return msgspec.structs.replace(obj, status=msgspec.structs.replace(obj.status, **fields))


def with_spec(obj: Any, **fields: Any) -> Any:
    return msgspec.structs.replace(obj, spec=msgspec.structs.replace(obj.spec, **fields))


def with_meta(obj: Any, **fields: Any) -> Any:
    return msgspec.structs.replace(obj, metadata=msgspec.structs.replace(obj.metadata, **fields))


def pod(
    name: str = "web-a",
    *,
    owner: ReplicaSet | None = None,
    node: str = "n1",
    phase: str = "Running",
    ready: bool = True,
    ready_s: float = 0,
    created_s: float = 0,
    started_s: float | None = 0,
    restarts: int = 0,
    ip: str = "10.244.0.5",
    labels: dict[str, str] | None = None,
    cpu: str = "",
    deleting: bool = False,
    annotations: dict[str, str] | None = None,
) -> Pod:
    given = (
        labels if labels is not None else (owner.spec.template.metadata.labels if owner is not None else WEB)
    )
    made = template(labels=given, cpu=cpu)
    return Pod(
        metadata=ObjectMeta(
            name=name,
            namespace="default",
            uid=f"uid-{name}",
            labels=given,
            annotations=annotations or {},
            creation_timestamp=render_time(at(created_s)),
            deletion_timestamp=render_time(at(0)) if deleting else "",
            owner_references=(controller_reference(owner),) if owner is not None else (),
        ),
        spec=msgspec.structs.replace(made.spec, node_name=node),
        status=PodStatus(
            phase=phase,
            pod_ip=ip,
            start_time="" if started_s is None else render_time(at(started_s)),
            conditions=(
                PodCondition(
                    type="Ready",
                    status="True" if ready else "False",
                    last_transition_time=render_time(at(ready_s)),
                ),
            ),
            container_statuses=(ContainerStatus(name="c", restart_count=restarts, ready=ready),),
        ),
    )


def service(
    name: str = "web",
    *,
    selector: dict[str, str] | None = None,
    ports: tuple[ServicePort, ...] = (ServicePort(name="http", port=80, protocol="TCP", target_port=8000),),
    headless: bool = False,
    publish_not_ready: bool | None = None,
    labels: dict[str, str] | None = None,
) -> Service:
    return Service(
        metadata=ObjectMeta(name=name, namespace="default", uid=f"uid-svc-{name}", labels=labels or {}),
        spec=ServiceSpec(
            selector=WEB if selector is None else selector,
            ports=ports,
            cluster_ip="None" if headless else "10.96.0.20",
            publish_not_ready_addresses=publish_not_ready,
        ),
    )


def with_ports(obj: Pod, *ports: ContainerPort) -> Pod:
    container = msgspec.structs.replace(obj.spec.containers[0], ports=ports)
    return msgspec.structs.replace(obj, spec=msgspec.structs.replace(obj.spec, containers=(container,)))


def usage(cpu_milli: int = 0, memory_bytes: int = 0, at_s: float = 0) -> dict[str, ContainerUsage]:
    return {"c": ContainerUsage(cpu_milli=cpu_milli, memory_bytes=memory_bytes, at=at(at_s))}
