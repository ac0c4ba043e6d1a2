"""Builders of pods and facts for the node's tests."""

from __future__ import annotations

from typing import Any

from pinnace.kube.objects.core_v1 import Container, Pod, PodSpec
from pinnace.kube.objects.meta_v1 import ObjectMeta
from pinnace.node.facts import ContainerFacts, ContainerState, Ending, PodFacts


def container(name: str = "app", **more: Any) -> Container:
    return Container(name=name, image=more.pop("image", "app:v1"), **more)


def pod(
    *containers: Container,
    init: tuple[Container, ...] = (),
    deleted: str = "",
    grace: int | None = None,
    **spec: Any,
) -> Pod:
    return Pod(
        api_version="v1",
        kind="Pod",
        metadata=ObjectMeta(
            name="web",
            namespace="default",
            uid="u-1",
            deletion_timestamp=deleted,
            deletion_grace_period_seconds=grace,
        ),
        spec=PodSpec(
            containers=containers or (container(),),
            init_containers=init,
            restart_policy=spec.pop("restart_policy", "Always"),
            **spec,
        ),
    )


def running(
    name: str = "app", *, at: float = 0.0, ready: bool = True, started: bool = True, **more: Any
) -> ContainerFacts:
    return ContainerFacts(
        name,
        state=ContainerState.RUNNING,
        container_id=f"{name}-id",
        started_at=at,
        ready=ready,
        started=started,
        **more,
    )


def absent(name: str = "app", **more: Any) -> ContainerFacts:
    return ContainerFacts(name, **more)


def ended(name: str = "app", code: int = 0, *, at: float = 0.0, **more: Any) -> ContainerFacts:
    ending = Ending(f"{name}-id", code, started_at=at - 1, finished_at=at, oom_killed=more.pop("oom", False))
    return ContainerFacts(name, state=ContainerState.EXITED, container_id=f"{name}-id", ending=ending, **more)


def facts(
    *containers: ContainerFacts, sandbox: str = "s", volumes_ready: bool = True, **more: Any
) -> PodFacts:
    return PodFacts(
        sandbox_id=sandbox,
        ip="10.0.0.2",
        volumes_ready=volumes_ready,
        containers={c.name: c for c in containers},
        **more,
    )
