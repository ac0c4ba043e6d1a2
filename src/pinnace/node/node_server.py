"""Answers what is asked of the node itself, as a kubelet does: the `NodeServer` of `api/world.py`. A doer.

One table of paths. Reached only through the API server's `proxy` of nodes, which has asked whether the caller may.
Invariant: of the host's files it shows Pinnace's own logs only.
Source: Kubernetes v1.36, pkg/kubelet/server/server.go.
"""

from __future__ import annotations

import asyncio
import html
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec

from pinnace.api.facade import Api
from pinnace.api.world import LogOptions, NodeAnswer, NodeRequest
from pinnace.base.clock import Clock
from pinnace.base.errors import ApiError, Reason
from pinnace.base.times import parse_time
from pinnace.kube import kinds
from pinnace.kube.codec import encode
from pinnace.kube.objects.core_v1 import Pod
from pinnace.kube.quantity import cpu_milli, to_bytes
from pinnace.node.book import PodBook
from pinnace.node.facts import ContainerState, every_container
from pinnace.node.measures import (
    ContainerMeasure,
    NodeMeasure,
    build_summary,
    render_cadvisor_metrics,
    render_kubelet_metrics,
    render_resource_metrics,
)
from pinnace.node.streams import PodStreams
from pinnace.node.usage import CgroupUsage, read_memory_used
from pinnace.sandbox.sandboxes import Sandboxes

JSON = "application/json"
PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
_CHUNK_BYTES = 256 * 1024

Serve = Callable[[NodeRequest, str], Awaitable[NodeAnswer]]


class HostNodeServer:
    """The server of one node. `daemon_log` is Pinnace's own log, `log_path` says where that of a container's attempt is."""

    def __init__(
        self,
        api: Api,
        sandboxes: Sandboxes,
        book: PodBook,
        usage: CgroupUsage,
        streams: PodStreams,
        clock: Clock,
        *,
        name: str,
        version: str,
        daemon_log: Path,
        log_path: Callable[[str, str, int], Path],
    ) -> None:
        self._api = api
        self._sandboxes = sandboxes
        self._book = book
        self._usage = usage
        self._streams = streams
        self._clock = clock
        self._name = name
        self._version = version
        self._daemon_log = daemon_log
        self._log_path = log_path
        self._began = clock.now()
        # What a path begins with → who answers it, with the rest of the path.
        self._paths: tuple[tuple[str, Serve], ...] = (
            ("/healthz", self._healthz),
            ("/pods", self._pods),
            ("/runningpods", self._running_pods),
            ("/metrics/cadvisor", self._cadvisor),
            ("/metrics/resource", self._resources),
            ("/metrics/probes", self._probes),
            ("/metrics", self._metrics),
            ("/stats/summary", self._summary),
            ("/configz", self._configz),
            ("/containerLogs", self._container_logs),
            ("/logs", self._show_logs),
        )

    async def answer(self, node: str, request: NodeRequest) -> NodeAnswer:
        """Answer a request. Raises: ApiError NotFound, BadRequest."""
        if node != self._name:
            raise ApiError(Reason.SERVICE_UNAVAILABLE, f"error trying to reach service: no such node: {node}")
        if request.method not in ("GET", "HEAD"):
            return NodeAnswer(status=405, body=b"405: Method Not Allowed\n")
        path = unquote(request.path)
        for prefix, serve in self._paths:
            if path == prefix or path.startswith(f"{prefix}/"):
                return await serve(request, path[len(prefix) :].lstrip("/"))
        return NodeAnswer(status=404, body=b"404 page not found\n")

    # --- state ---------------------------------------------------------------------------------------------------------

    async def _healthz(self, request: NodeRequest, rest: str) -> NodeAnswer:
        return NodeAnswer(body=b"ok")

    async def _pods(self, request: NodeRequest, rest: str) -> NodeAnswer:
        return _list_pods(self._api.pods_on(self._name))

    async def _running_pods(self, request: NodeRequest, rest: str) -> NodeAnswer:
        running = [
            pod
            for uid, pod in self._book.pods.items()
            if (facts := self._book.facts.get(uid)) is not None
            and any(c.state is ContainerState.RUNNING for c in facts.containers.values())
        ]
        return _list_pods(running)

    async def _configz(self, request: NodeRequest, rest: str) -> NodeAnswer:
        config = {
            "kubeletconfig": {
                "kind": "KubeletConfiguration",
                "apiVersion": "kubelet.config.k8s.io/v1beta1",
                "cgroupDriver": self._sandboxes.cgroup_driver,
                "containerLogMaxFiles": 5,
                "containerLogMaxSize": "10Mi",
                "failSwapOn": False,
                "maxPods": self._capacity("pods", 110),
            }
        }
        return NodeAnswer(body=msgspec.json.encode(config), content_type=JSON)

    def _capacity(self, name: str, default: int) -> int:
        node = self._api.find(kinds.NODE, "", self._name)
        found = node.status.capacity.get(name) if node is not None else None
        return default if found is None else to_bytes(found)

    # --- measures ------------------------------------------------------------------------------------------------------

    async def _metrics(self, request: NodeRequest, rest: str) -> NodeAnswer:
        body = render_kubelet_metrics(self._measure_node(), await self._measure(), self._version)
        return NodeAnswer(body=body, content_type=PROMETHEUS)

    async def _cadvisor(self, request: NodeRequest, rest: str) -> NodeAnswer:
        body = render_cadvisor_metrics(self._measure_node(), await self._measure())
        return NodeAnswer(body=body, content_type=PROMETHEUS)

    async def _resources(self, request: NodeRequest, rest: str) -> NodeAnswer:
        body = render_resource_metrics(self._measure_node(), await self._measure())
        return NodeAnswer(body=body, content_type=PROMETHEUS)

    async def _probes(self, request: NodeRequest, rest: str) -> NodeAnswer:
        return NodeAnswer(body=b"", content_type=PROMETHEUS)

    async def _summary(self, request: NodeRequest, rest: str) -> NodeAnswer:
        document = build_summary(self._measure_node(), await self._measure())
        return NodeAnswer(body=msgspec.json.encode(document), content_type=JSON)

    def _measure_node(self) -> NodeMeasure:
        usage = self._usage.node_usage(self._name)
        node = self._api.find(kinds.NODE, "", self._name)
        capacity = node.status.capacity if node is not None else {}
        return NodeMeasure(
            name=self._name,
            started_at=self._began,
            at=usage.at if usage is not None else self._clock.now(),
            cpu_milli=usage.cpu_milli if usage is not None else 0,
            memory_bytes=usage.memory_bytes if usage is not None else read_memory_used(),
            cores=cpu_milli(capacity.get("cpu", 0)) / 1000,
            capacity_bytes=to_bytes(capacity.get("memory", 0)),
            pods=sum(1 for facts in self._book.facts.values() if facts.sandbox_id),
        )

    async def _measure(self) -> list[ContainerMeasure]:
        """Read the counters of all running containers, now; the loop is let go in between."""
        found: list[ContainerMeasure] = []
        for number, (uid, facts) in enumerate(tuple(self._book.facts.items())):
            if number % 16 == 0:
                await asyncio.sleep(0)
            pod = self._book.pods.get(uid)
            if pod is None:
                continue
            images = {c.name: c.image for c in every_container(pod)}
            samples = self._usage.pod_usage(pod.metadata.namespace, pod.metadata.name)
            for known in facts.containers.values():
                usage = (
                    self._sandboxes.usage(known.container_id)
                    if known.state is ContainerState.RUNNING
                    else None
                )
                handle = self._sandboxes.get_container(known.container_id)
                if usage is None or handle is None:
                    continue
                sample = samples.get(known.name)
                found.append(
                    ContainerMeasure(
                        namespace=pod.metadata.namespace,
                        pod=pod.metadata.name,
                        uid=uid,
                        container=known.name,
                        container_id=known.container_id,
                        image=images.get(known.name, ""),
                        started_at=known.started_at,
                        at=self._clock.now(),
                        cpu_ns=usage.cpu_ns,
                        memory_bytes=usage.memory_bytes,
                        working_set_bytes=usage.memory_working_set_bytes,
                        pids=usage.pids,
                        cpu_milli=sample.cpu_milli if sample is not None else 0,
                        cpu_limit_milli=handle.spec.limits.cpu_limit_milli,
                        memory_limit_bytes=handle.spec.limits.memory_bytes,
                    )
                )
        return found

    # --- logs ----------------------------------------------------------------------------------------------------------

    async def _container_logs(self, request: NodeRequest, rest: str) -> NodeAnswer:
        """Answer /containerLogs/NAMESPACE/POD/CONTAINER."""
        parts = rest.split("/")
        if len(parts) != 3 or not all(parts):
            return NodeAnswer(status=404, body=b"404 page not found\n")
        namespace, name, container = parts
        pod = self._api.find(kinds.POD, namespace, name)
        if pod is None or pod.spec.node_name != self._name:
            return NodeAnswer(status=404, body=f'pod "{name}" does not exist\n'.encode())
        if all(one.name != container for one in every_container(pod)):
            return NodeAnswer(
                status=404, body=f'container "{container}" not found in pod "{name}"\n'.encode()
            )
        return NodeAnswer(body=self._streams.read_logs(pod, read_log_query(request, container)))

    async def _show_logs(self, request: NodeRequest, rest: str) -> NodeAnswer:
        """Answer /logs/: a folder as a list of links, a file as it is. Pods' logs stand by NAMESPACE_NAME_UID, as in a cluster."""
        parts = [part for part in rest.split("/") if part]
        match parts:
            case []:
                return _list_folder({self._daemon_log.name: False, "pods": True})
            case [name] if name == self._daemon_log.name and self._daemon_log.exists():
                return NodeAnswer(body=_read_file(self._daemon_log))
            case ["pods"]:
                return _list_folder({_name_of(pod): True for pod in self._book.pods.values()})
            case ["pods", name, *more]:
                uid = next((uid for uid, pod in self._book.pods.items() if _name_of(pod) == name), "")
                if uid:
                    return _show_path(self._log_path(uid, "any", 0).parent.parent, more)
        return NodeAnswer(status=404, body=b"404 page not found\n")


def _name_of(pod: Pod) -> str:
    meta = pod.metadata
    return f"{meta.namespace}_{meta.name}_{meta.uid}"


def _show_path(root: Path, parts: list[str]) -> NodeAnswer:
    path = root.joinpath(*parts)
    if not path.exists() or not path.resolve().is_relative_to(root.resolve()):
        return NodeAnswer(status=404, body=b"404 page not found\n")
    if path.is_dir():
        return _list_folder({one.name: one.is_dir() for one in sorted(path.iterdir())})
    return NodeAnswer(body=_read_file(path))


def read_log_query(request: NodeRequest, container: str) -> LogOptions:
    """Return what part of a log is asked for. Raises: ApiError BadRequest."""
    query = dict(reversed(request.query))

    def number(name: str) -> int | None:
        text = query.get(name, "")
        if not text:
            return None
        if not text.isascii() or not text.isdigit():
            raise ApiError(Reason.BAD_REQUEST, f'{name}: strconv.ParseInt: parsing "{text}": invalid syntax')
        return int(text)

    def flag(name: str) -> bool:
        return name in query and query[name].lower() not in ("false", "0")

    since = query.get("sinceTime", "")
    try:
        since_time = parse_time(since) if since else None
    except ValueError as error:
        raise ApiError(Reason.BAD_REQUEST, f"sinceTime: {error}") from None
    return LogOptions(
        container=container,
        follow=flag("follow"),
        previous=flag("previous"),
        timestamps=flag("timestamps"),
        since_s=number("sinceSeconds"),
        since_time=since_time,
        tail_lines=number("tailLines"),
        limit_bytes=number("limitBytes"),
    )


def _list_pods(pods: Any) -> NodeAnswer:
    items = b",".join(encode(pod) for pod in sorted(pods, key=_order))
    body = b'{"kind":"PodList","apiVersion":"v1","metadata":{},"items":[%b]}\n' % items
    return NodeAnswer(body=body, content_type=JSON)


def _order(pod: Pod) -> tuple[str, str]:
    return pod.metadata.namespace, pod.metadata.name


def _list_folder(names: Mapping[str, bool]) -> NodeAnswer:
    shown = [html.escape(f"{name}/" if folder else name) for name, folder in names.items()]
    links = "".join(f'<a href="{name}">{name}</a>\n' for name in shown)
    return NodeAnswer(body=f"<pre>\n{links}</pre>\n".encode(), content_type="text/html; charset=utf-8")


async def _read_file(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while data := await asyncio.to_thread(file.read, _CHUNK_BYTES):
            yield data
