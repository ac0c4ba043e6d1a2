"""Kubernetes metrics.k8s.io/v1beta1, as values: what `kubectl top` and the autoscaler read.

Written by hand: the published definitions don't carry this group.
Source: Kubernetes v1.36, staging/src/k8s.io/metrics/pkg/apis/metrics/v1beta1/types.go
"""

from msgspec import Struct
from msgspec import field as _field

from pinnace.kube.objects import meta_v1
from pinnace.kube.objects.shared import no_items, shared


class ContainerMetrics(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True, rename="camel"):
    name: str = _field(default_factory=str)
    usage: dict[str, str | int | float] = {}


class PodMetrics(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True, rename="camel"):
    api_version: str = _field(default_factory=lambda: "metrics.k8s.io/v1beta1")
    kind: str = _field(default_factory=lambda: "PodMetrics")
    metadata: meta_v1.ObjectMeta = _field(default_factory=shared(meta_v1.ObjectMeta))
    timestamp: str = ""
    window: str = ""
    containers: tuple[ContainerMetrics, ...] = _field(default_factory=no_items)


class NodeMetrics(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True, rename="camel"):
    api_version: str = _field(default_factory=lambda: "metrics.k8s.io/v1beta1")
    kind: str = _field(default_factory=lambda: "NodeMetrics")
    metadata: meta_v1.ObjectMeta = _field(default_factory=shared(meta_v1.ObjectMeta))
    timestamp: str = ""
    window: str = ""
    usage: dict[str, str | int | float] = {}
