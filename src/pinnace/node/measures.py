"""Renders what was measured on a node: Prometheus text and the kubelet's summary. Pure.

Called by `node_server.py`. Source: Kubernetes v1.36, pkg/kubelet/metrics/collectors (resource_metrics.go), cAdvisor's
metrics/prometheus.go, staging/src/k8s.io/kubelet/pkg/apis/stats/v1alpha1 (names and units).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pinnace.base.times import render_time

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ContainerMeasure:
    """One running container. Units: nanoseconds of CPU since its start, thousandths of a core now, bytes."""

    namespace: str
    pod: str
    uid: str
    container: str
    container_id: str
    image: str
    started_at: float
    at: float
    cpu_ns: int
    memory_bytes: int
    working_set_bytes: int
    pids: int
    cpu_milli: int = 0
    cpu_limit_milli: int | None = None
    memory_limit_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class NodeMeasure:
    """The node itself, in the same units."""

    name: str
    started_at: float
    at: float
    cpu_milli: int
    memory_bytes: int
    cores: float
    capacity_bytes: int
    pods: int


@dataclass(frozen=True, slots=True)
class _Series:
    name: str
    kind: str
    help: str
    samples: tuple[tuple[Labels, float | int], ...]


def _render(series: Iterable[_Series]) -> bytes:
    lines: list[str] = []
    for one in series:
        lines += [f"# HELP {one.name} {one.help}", f"# TYPE {one.name} {one.kind}"]
        lines += [
            f"{one.name}{_render_labels(labels)} {_render_number(value)}" for labels, value in one.samples
        ]
    return ("\n".join(lines) + "\n").encode()


def _render_labels(labels: Labels) -> str:
    if not labels:
        return ""
    escaped = {
        key: value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        for key, value in labels.items()
    }
    return "{" + ",".join(f'{key}="{value}"' for key, value in escaped.items()) + "}"


def _render_number(value: float) -> str:
    return str(value) if isinstance(value, int) else repr(float(value))


def render_resource_metrics(node: NodeMeasure, containers: Iterable[ContainerMeasure]) -> bytes:
    """Return the text of /metrics/resource."""
    all_of = tuple(containers)

    def each(value: Any) -> tuple[tuple[Labels, float | int], ...]:
        return tuple(
            ({"container": one.container, "namespace": one.namespace, "pod": one.pod}, value(one))
            for one in all_of
        )

    pods: dict[tuple[str, str], list[ContainerMeasure]] = {}
    for one in all_of:
        pods.setdefault((one.namespace, one.pod), []).append(one)

    def each_pod(value: Any) -> tuple[tuple[Labels, float | int], ...]:
        return tuple(
            ({"namespace": namespace, "pod": pod}, sum(map(value, those)))
            for (namespace, pod), those in pods.items()
        )

    return _render(
        (
            _Series("container_cpu_usage_seconds_total", "counter", "CPU time used by the container since its start, in core-seconds", each(lambda c: c.cpu_ns / 1e9)),
            _Series("container_memory_working_set_bytes", "gauge", "Working set of the container, in bytes", each(lambda c: c.working_set_bytes)),
            _Series("container_start_time_seconds", "gauge", "When the container was started, in unix seconds", each(lambda c: c.started_at)),
            _Series("node_memory_working_set_bytes", "gauge", "Working set of the node, in bytes", (({}, node.memory_bytes),)),
            _Series("pod_cpu_usage_seconds_total", "counter", "CPU time used by the pod, in core-seconds", each_pod(lambda c: c.cpu_ns / 1e9)),
            _Series("pod_memory_working_set_bytes", "gauge", "Working set of the pod, in bytes", each_pod(lambda c: c.working_set_bytes)),
            _Series("resource_scrape_error", "gauge", "1 if something could not be measured, else 0", (({}, 0),)),
        )
    )  # fmt: skip


def render_cadvisor_metrics(node: NodeMeasure, containers: Iterable[ContainerMeasure]) -> bytes:
    """Return the text of /metrics/cadvisor, as far as dashboards commonly read it."""
    all_of = tuple(containers)

    def each(value: Any) -> tuple[tuple[Labels, float | int], ...]:
        rows = ((one, value(one)) for one in all_of)
        return tuple((_cadvisor_labels(one), found) for one, found in rows if found is not None)

    return _render(
        (
            _Series("container_cpu_usage_seconds_total", "counter", "CPU time used, in seconds.", each(lambda c: c.cpu_ns / 1e9)),
            _Series("container_last_seen", "gauge", "When the container was last measured", each(lambda c: c.at)),
            _Series("container_memory_usage_bytes", "gauge", "Memory in use, in bytes, with all that is cached", each(lambda c: c.memory_bytes)),
            _Series("container_memory_working_set_bytes", "gauge", "Working set, in bytes.", each(lambda c: c.working_set_bytes)),
            _Series("container_processes", "gauge", "Number of tasks in the container.", each(lambda c: c.pids)),
            _Series("container_spec_cpu_period", "gauge", "CPU period of the container.", each(lambda c: 100_000 if c.cpu_limit_milli else None)),
            _Series("container_spec_cpu_quota", "gauge", "CPU quota of the container.", each(lambda c: c.cpu_limit_milli * 100 if c.cpu_limit_milli else None)),
            _Series("container_spec_memory_limit_bytes", "gauge", "Memory limit of the container.", each(lambda c: c.memory_limit_bytes or 0)),
            _Series("container_start_time_seconds", "gauge", "When the container was started, in unix seconds.", each(lambda c: c.started_at)),
            _Series("machine_cpu_cores", "gauge", "Number of logical CPU cores.", (({}, node.cores),)),
            _Series("machine_memory_bytes", "gauge", "Amount of memory installed on the machine.", (({}, node.capacity_bytes),)),
        )
    )  # fmt: skip


def _cadvisor_labels(one: ContainerMeasure) -> Labels:
    return {
        "container": one.container,
        "id": f"/pinnace/pod{one.uid}/{one.container_id}",
        "image": one.image,
        "name": one.container_id,
        "namespace": one.namespace,
        "pod": one.pod,
    }


def render_kubelet_metrics(node: NodeMeasure, containers: Iterable[ContainerMeasure], version: str) -> bytes:
    """Return the text of /metrics: what the node runs."""
    running = sum(1 for _ in containers)
    return _render(
        (
            _Series("kubelet_node_name", "gauge", "The node's name. The count is always 1.", (({"node": node.name}, 1),)),
            _Series("kubelet_running_containers", "gauge", "Number of containers by state", (({"container_state": "running"}, running),)),
            _Series("kubelet_running_pods", "gauge", "Number of pods that have a sandbox", (({}, node.pods),)),
            _Series("kubernetes_build_info", "gauge", "The version; the value is always 1.", (({"git_version": version}, 1),)),
            _Series("process_start_time_seconds", "gauge", "Start time of the process since unix epoch in seconds.", (({}, node.started_at),)),
        )
    )  # fmt: skip


def build_summary(node: NodeMeasure, containers: Iterable[ContainerMeasure]) -> dict[str, Any]:
    """Return the document of /stats/summary."""
    pods: dict[str, dict[str, Any]] = {}
    for one in containers:
        pod = pods.setdefault(
            one.uid,
            {
                "podRef": {"name": one.pod, "namespace": one.namespace, "uid": one.uid},
                "startTime": render_time(one.started_at),
                "containers": [],
            },
        )
        pod["containers"].append(
            {
                "name": one.container,
                "startTime": render_time(one.started_at),
                "cpu": _cpu(one.at, one.cpu_milli, one.cpu_ns),
                "memory": _memory(one.at, one.working_set_bytes, one.memory_bytes, one.memory_limit_bytes),
            }
        )
    for pod in pods.values():
        own = pod["containers"]
        at = own[0]["cpu"]["time"]
        pod["cpu"] = {"time": at, **_sums(own, "cpu", ("usageNanoCores", "usageCoreNanoSeconds"))}
        pod["memory"] = {"time": at, **_sums(own, "memory", ("usageBytes", "workingSetBytes"))}
    return {
        "node": {
            "nodeName": node.name,
            "startTime": render_time(node.started_at),
            "cpu": {"time": render_time(node.at), "usageNanoCores": node.cpu_milli * 1_000_000},
            "memory": _memory(node.at, node.memory_bytes, node.memory_bytes, node.capacity_bytes),
        },
        "pods": list(pods.values()),
    }


def _sums(containers: list[dict[str, Any]], part: str, names: tuple[str, ...]) -> dict[str, int]:
    return {name: sum(one[part][name] for one in containers) for name in names}


def _cpu(at: float, milli: int, total_ns: int) -> dict[str, Any]:
    return {
        "time": render_time(at),
        "usageNanoCores": milli * 1_000_000,
        "usageCoreNanoSeconds": total_ns,
    }


def _memory(at: float, working_set: int, usage: int, limit: int | None) -> dict[str, Any]:
    found = {"time": render_time(at), "usageBytes": usage, "workingSetBytes": working_set}
    return found if limit is None else {**found, "availableBytes": max(0, limit - working_set)}
