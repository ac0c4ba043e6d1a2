"""The `scale` view of what has replicas. Pure. Source: Kubernetes v1.36, pkg/registry/apps/deployment/storage."""

from typing import Any, TypeVar

from pinnace.api.apply.tracking import Author, apply_to
from pinnace.api.context import Context
from pinnace.api.errors import not_found
from pinnace.api.kinds import strategy_of
from pinnace.api.patches import Patch, read_applied
from pinnace.api.strategy import Scaling, meta_of, with_meta
from pinnace.api.validation.problems import Problems
from pinnace.kube import codec
from pinnace.kube.kinds import SCALE, Kind
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


def apply_scale(kind: Kind[T], obj: T, patch: Patch, context: Context, author: Author, now: float) -> T:
    """Return the object after somebody has applied a view: who does so owns the object's replicas.

    Source: Kubernetes v1.37, apimachinery/pkg/util/managedfields/scalehandler.go
    Raises: ApiError BadRequest, Invalid, Conflict.
    """
    applied = read_applied(SCALE, patch.body, context)
    scale = codec.from_json(SCALE, applied)
    write_scale(kind, obj, scale)  # what is wrong with the view is said of the view
    meta = {name: part for name, part in (applied.get("metadata") or {}).items() if name in _IDENTITY}
    document: dict[str, Any] = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": meta}
    if "replicas" in (applied.get("spec") or {}):
        path = kind.custom.scale.spec_replicas if kind.custom is not None and kind.custom.scale else _REPLICAS
        below = document
        for name in path[:-1]:
            below = below.setdefault(name, {})
        below[path[-1]] = scale.spec.replicas or 0
    result = apply_to(kind, obj, document, context, author, now, force=patch.force)
    return with_meta(codec.from_json(kind, result), managed_fields=author.owners)


_IDENTITY = ("name", "namespace", "uid", "resourceVersion")
_REPLICAS = ("spec", "replicas")
