"""The `scale` view of what has replicas. Pure. Source: Kubernetes v1.36, pkg/registry/apps/deployment/storage."""

from typing import Any, TypeVar

from pinnace.api.errors import not_found
from pinnace.api.kinds import strategy_of
from pinnace.api.strategy import Scaling, meta_of
from pinnace.api.validation.problems import Problems
from pinnace.kube.kinds import Kind
from pinnace.kube.objects.autoscaling_v1 import Scale, ScaleSpec, ScaleStatus
from pinnace.kube.objects.meta_v1 import ObjectMeta

T = TypeVar("T")


def scaling_of(kind: Kind[T], name: str) -> Scaling[T]:
    """Return how a kind is scaled. Raises: ApiError NotFound when it isn't."""
    scaling = strategy_of(kind).scaling
    if scaling is None:
        raise not_found(kind, name)
    return scaling


def read_scale(kind: Kind[T], obj: T) -> Scale:
    """Return the view of an object."""
    meta = meta_of(obj)
    wanted, present, selector = scaling_of(kind, meta.name).read(obj)
    return Scale(
        metadata=ObjectMeta(
            name=meta.name,
            namespace=meta.namespace,
            uid=meta.uid,
            resource_version=meta.resource_version,
            creation_timestamp=meta.creation_timestamp,
        ),
        spec=ScaleSpec(replicas=wanted),
        status=ScaleStatus(replicas=present, selector=selector),
    )


def write_scale(kind: Kind[T], obj: T, scale: Scale) -> T:
    """Return the object with the view's replicas. Raises: ApiError Invalid."""
    replicas = scale.spec.replicas or 0
    problems = Problems()
    problems.not_negative("spec.replicas", replicas)
    if problems:
        raise problems.to_error("Scale", "autoscaling", meta_of(obj).name)
    written: Any = scaling_of(kind, meta_of(obj).name).write(obj, replicas)
    result: T = written
    return result
