"""The errors that the write path gives, in Kubernetes' words. Source: Kubernetes v1.36, apimachinery/pkg/api/errors."""

from typing import Any

from pinnace.base.errors import ApiError, Cause, Reason
from pinnace.kube.kinds import Kind


def not_found(kind: Kind[Any], name: str) -> ApiError:
    """There is no such object."""
    return ApiError(
        Reason.NOT_FOUND,
        f'{kind.group_resource} "{name}" not found',
        kind=kind.plural,
        group=kind.group,
        name=name,
    )


def already_exists(kind: Kind[Any], name: str) -> ApiError:
    """There is such an object already."""
    return ApiError(
        Reason.ALREADY_EXISTS,
        f'{kind.group_resource} "{name}" already exists',
        kind=kind.plural,
        group=kind.group,
        name=name,
    )


MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


def conflict(kind: Kind[Any], name: str, why: str = MODIFIED, *, subresource: str = "") -> ApiError:
    """Somebody else was faster, or the object is not the one that was meant."""
    resource = f"{kind.group_resource}/{subresource}" if subresource else kind.group_resource
    return ApiError(
        Reason.CONFLICT,
        f'Operation cannot be fulfilled on {resource} "{name}": {why}',
        kind=kind.plural,
        group=kind.group,
        name=name,
    )


def forbidden(kind: Kind[Any], name: str, why: str, *, causes: tuple[Cause, ...] = ()) -> ApiError:
    """Admission says no."""
    shown = f' "{name}"' if name else ""
    return ApiError(
        Reason.FORBIDDEN,
        f"{kind.group_resource}{shown} is forbidden: {why}",
        kind=kind.plural,
        group=kind.group,
        name=name,
        causes=causes,
    )


def bad_request(why: str) -> ApiError:
    """The request contradicts itself."""
    return ApiError(Reason.BAD_REQUEST, why)


def unconditional(kind: Kind[Any], name: str) -> ApiError:
    """The kind wants each update to say which state it is about. Source: generic/registry/store.go, Update."""
    why = "Invalid value: 0x0: must be specified for an update"
    qualified = f"{kind.kind}.{kind.group}" if kind.group else kind.kind
    return ApiError(
        Reason.INVALID,
        f'{qualified} "{name}" is invalid: metadata.resourceVersion: {why}',
        kind=kind.kind,
        group=kind.group,
        name=name,
        causes=(Cause("FieldValueInvalid", why, "metadata.resourceVersion"),),
    )
