"""Serves metrics.k8s.io, so that `kubectl top` works: what pods and nodes use, as the world last measured it.

`build_*` are pure; the rest reads the write path and the world's samples. Nothing is stored.
"""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from pinnace.api.world import ContainerUsage, NodeUsage, Usage
from pinnace.base.errors import ApiError, Reason
from pinnace.base.times import render_time
from pinnace.kube import kinds
from pinnace.kube.codec import encode
from pinnace.kube.objects.core_v1 import Node, Pod
from pinnace.kube.objects.meta_v1 import ObjectMeta
from pinnace.kube.objects.metrics_v1beta1 import ContainerMetrics, NodeMetrics, PodMetrics
from pinnace.kube.selectors import EVERYTHING, Selector, parse_labels
from pinnace.kubeapi.answers import answer
from pinnace.kubeapi.calls import Call
from pinnace.kubeapi.negotiation import OBJECT_ONLY, Wanted, negotiate
from pinnace.kubeapi.presenting import finish
from pinnace.kubeapi.writing import method_not_allowed

_ENDED = ("Succeeded", "Failed")


def build_pod_metrics(pod: Pod, usage: Mapping[str, ContainerUsage]) -> PodMetrics | None:
    """Return the pod's metrics, None while nothing was measured, and once it has ended, as of metrics-server."""
    if not usage or pod.status.phase in _ENDED:
        return None
    oldest = min(usage.values(), key=lambda sample: sample.at)
    return PodMetrics(
        metadata=_metadata(pod),
        timestamp=render_time(oldest.at),
        window=_render_window(oldest.window_s),
        containers=tuple(
            ContainerMetrics(name=name, usage=_render_usage(sample)) for name, sample in sorted(usage.items())
        ),
    )


def build_node_metrics(node: Node, usage: NodeUsage | None) -> NodeMetrics | None:
    """Return the node's metrics, None while nothing was measured."""
    if usage is None:
        return None
    return NodeMetrics(
        metadata=_metadata(node),
        timestamp=render_time(usage.at),
        window=_render_window(usage.window_s),
        usage=_render_usage(usage),
    )


def _metadata(obj: Pod | Node) -> ObjectMeta:
    meta = obj.metadata
    return ObjectMeta(
        name=meta.name,
        namespace=meta.namespace,
        labels=meta.labels,
        creation_timestamp=meta.creation_timestamp,
    )


def _render_usage(sample: ContainerUsage | NodeUsage) -> dict[str, str | int | float]:
    return {"cpu": f"{sample.cpu_milli}m", "memory": f"{sample.memory_bytes // 1024}Ki"}


def _render_window(seconds: float) -> str:
    return f"{seconds:g}s"


async def serve_metrics(call: Call) -> web.StreamResponse:
    """Answer get and list of PodMetrics and NodeMetrics."""
    if call.request.method not in ("GET", "HEAD") or call.target.subresource:
        raise method_not_allowed()
    usage = call.means.world.usage
    if usage is None:
        raise ApiError(Reason.SERVICE_UNAVAILABLE, "the server is currently unable to handle the request")
    wanted = negotiate(call.accept, OBJECT_ONLY)
    if call.name:
        return _answer_one(call, usage, wanted)
    selector = parse_labels(call.query.text("labelSelector"))
    items = _list_pods(call, usage, selector) if _is_pods(call) else _list_nodes(call, usage, selector)
    revision = str(call.api.store.revision).encode()
    body = b'{"kind":"%b","apiVersion":"%b","metadata":{"resourceVersion":"%b"},"items":[%b]}\n' % (
        call.kind.list_kind.encode(),
        call.kind.api_version.encode(),
        revision,
        b",".join(encode(item) for item in items),
    )
    return answer(finish(body, wanted), content_type=wanted.content_type)


def _is_pods(call: Call) -> bool:
    return call.kind is kinds.POD_METRICS


def _answer_one(call: Call, usage: Usage, wanted: Wanted) -> web.Response:
    found: PodMetrics | NodeMetrics | None
    if _is_pods(call):
        pod = call.api.find(kinds.POD, call.namespace, call.name)
        samples = usage.pod_usage(call.namespace, call.name)
        found = build_pod_metrics(pod, samples) if pod is not None else None
    else:
        node = call.api.find(kinds.NODE, "", call.name)
        found = build_node_metrics(node, usage.node_usage(call.name)) if node is not None else None
    if found is None:
        kind = call.kind
        word = "podmetrics" if _is_pods(call) else "nodemetrics"
        shown = f"{call.namespace}/{call.name}" if call.namespace else call.name
        raise ApiError(
            Reason.NOT_FOUND,
            f'{word}.{kind.group} "{shown}" not found',
            kind=word,
            group=kind.group,
            name=call.name,
        )
    return answer(finish(encode(found), wanted), content_type=wanted.content_type)


def _list_pods(call: Call, usage: Usage, selector: Selector) -> list[Any]:
    labels = None if selector == EVERYTHING else selector
    pods = call.api.list(kinds.POD, call.namespace or None, labels=labels)
    all_metrics = (
        build_pod_metrics(pod, usage.pod_usage(pod.metadata.namespace, pod.metadata.name)) for pod in pods
    )
    return [metrics for metrics in all_metrics if metrics is not None]


def _list_nodes(call: Call, usage: Usage, selector: Selector) -> list[Any]:
    labels = None if selector == EVERYTHING else selector
    nodes = call.api.list(kinds.NODE, labels=labels)
    all_metrics = (build_node_metrics(node, usage.node_usage(node.metadata.name)) for node in nodes)
    return [metrics for metrics in all_metrics if metrics is not None]
