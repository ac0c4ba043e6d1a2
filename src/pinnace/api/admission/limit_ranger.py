"""Gives containers the requests and limits of their namespace, and keeps pods and claims within its bounds.

Rows of the chain. Pure. Source: Kubernetes v1.36, plugin/pkg/admission/limitranger/admission.go.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec.structs import replace

from pinnace.api.admission.amounts import Amounts, compute_pod_limits, compute_pod_requests, parse_amounts
from pinnace.api.admission.attempt import Admission, Attempt, Operation
from pinnace.api.errors import forbidden
from pinnace.kube.kinds import LIMIT_RANGE, PERSISTENT_VOLUME_CLAIM, POD
from pinnace.kube.objects.core_v1 import Container, LimitRange, LimitRangeItem, PersistentVolumeClaim, Pod
from pinnace.kube.quantity import Quantity, QuantityLike, parse_quantity

ANNOTATION = "kubernetes.io/limit-ranger"

_Quantities = dict[str, QuantityLike]


def fill_in(attempt: Attempt) -> Pod:
    """Return the pod with the requests and limits that its containers leave out."""
    pod: Pod = attempt.object
    for limits in attempt.facts.list_in(LIMIT_RANGE, attempt.namespace):
        pod = _fill_from(pod, limits)
    return pod


def _fill_from(pod: Pod, limits: LimitRange) -> Pod:
    requests: _Quantities = {}
    most: _Quantities = {}
    for item in limits.spec.limits:
        if item.type == "Container":
            requests |= item.default_request
            most |= item.default
    if not (requests or most):
        return pod
    notes: list[str] = []
    containers = tuple(_fill(each, requests, most, "container", notes) for each in pod.spec.containers)
    first = tuple(_fill(each, requests, most, "init container", notes) for each in pod.spec.init_containers)
    if not notes:
        return pod
    annotations = {**pod.metadata.annotations, ANNOTATION: f"LimitRanger plugin set: {'; '.join(notes)}"}
    return replace(
        pod,
        metadata=replace(pod.metadata, annotations=annotations),
        spec=replace(pod.spec, containers=containers, init_containers=first),
    )


def _fill(
    container: Container, requests: _Quantities, limits: _Quantities, what: str, notes: list[str]
) -> Container:
    resources = container.resources
    new_limits = {name: amount for name, amount in limits.items() if name not in resources.limits}
    new_requests = {name: amount for name, amount in requests.items() if name not in resources.requests}
    for added, word in ((new_requests, "request"), (new_limits, "limit")):
        if added:
            notes.append(f"{', '.join(sorted(added))} {word} for {what} {container.name}")
    if not (new_limits or new_requests):
        return container
    return replace(
        container,
        resources=replace(
            resources,
            limits={**resources.limits, **new_limits},
            requests={**resources.requests, **new_requests},
        ),
    )


def bound_pod(attempt: Attempt) -> None:
    """Raises: ApiError Forbidden that names every bound which the pod breaks, range by range."""
    pod: Pod = attempt.object
    for limits in attempt.facts.list_in(LIMIT_RANGE, attempt.namespace):
        _refuse(POD, pod.metadata.name, [why for item in limits.spec.limits for why in _judge_pod(item, pod)])


def _judge_pod(item: LimitRangeItem, pod: Pod) -> Iterator[str]:
    if item.type == "Container":
        for container in (*pod.spec.containers, *pod.spec.init_containers):
            resources = container.resources
            yield from _judge(item, parse_amounts(resources.requests), parse_amounts(resources.limits))
    elif item.type == "Pod":
        yield from _judge(item, compute_pod_requests(pod.spec), compute_pod_limits(pod.spec))


def _judge(item: LimitRangeItem, requests: Amounts, limits: Amounts) -> Iterator[str]:
    for name, text in sorted(item.min.items()):
        yield from _judge_least(item.type, name, parse_quantity(text), requests, limits)
    for name, text in sorted(item.max.items()):
        yield from _judge_most(item.type, name, parse_quantity(text), requests, limits)
    for name, text in sorted(item.max_limit_request_ratio.items()):
        yield from _judge_ratio(item.type, name, parse_quantity(text), requests, limits)


def _judge_least(
    what: str, name: str, bound: Quantity, requests: Mapping[str, Quantity], limits: Mapping[str, Quantity]
) -> Iterator[str]:
    said = f"minimum {name} usage per {what} is {bound}"
    if name not in requests:
        yield f"{said}.  No request is specified"
    elif requests[name] < bound:
        yield f"{said}, but request is {requests[name]}"
    elif name in limits and limits[name] < bound:
        yield f"{said}, but limit is {limits[name]}"


def _judge_most(
    what: str, name: str, bound: Quantity, requests: Mapping[str, Quantity], limits: Mapping[str, Quantity]
) -> Iterator[str]:
    said = f"maximum {name} usage per {what} is {bound}"
    if name not in limits:
        yield f"{said}.  No limit is specified"
    elif limits[name] > bound:
        yield f"{said}, but limit is {limits[name]}"
    elif name in requests and requests[name] > bound:
        yield f"{said}, but request is {requests[name]}"


def _judge_ratio(
    what: str, name: str, bound: Quantity, requests: Mapping[str, Quantity], limits: Mapping[str, Quantity]
) -> Iterator[str]:
    said = f"{name} max limit to request ratio per {what} is {bound}"
    if not requests.get(name):
        yield f"{said}, but no request is specified or request is 0"
    elif not limits.get(name):
        yield f"{said}, but no limit is specified or limit is 0"
    else:
        ratio = limits[name].nano / requests[name].nano
        if limits[name].nano * 10**9 > bound.nano * requests[name].nano:
            yield f"{said}, but provided ratio is {ratio:f}"


def bound_claim(attempt: Attempt) -> None:
    """Raises: ApiError Forbidden when the claim asks for less or more than the namespace allows."""
    claim: PersistentVolumeClaim = attempt.object
    requests = parse_amounts(claim.spec.resources.requests)
    for limits in attempt.facts.list_in(LIMIT_RANGE, attempt.namespace):
        found: list[str] = []
        for item in limits.spec.limits:
            if item.type != "PersistentVolumeClaim":
                continue
            for name, text in sorted(item.min.items()):
                found += _judge_least(item.type, name, parse_quantity(text), requests, {})
            for name, text in sorted(item.max.items()):
                found += _judge_asked(item.type, name, parse_quantity(text), requests)
        _refuse(PERSISTENT_VOLUME_CLAIM, attempt.name, found)


def _judge_asked(what: str, name: str, bound: Quantity, requests: Mapping[str, Quantity]) -> Iterator[str]:
    said = f"maximum {name} usage per {what} is {bound}"
    if name not in requests:
        yield f"{said}.  No request is specified"
    elif requests[name] > bound:
        yield f"{said}, but request is {requests[name]}"


def _refuse(kind: Any, name: str, found: list[str]) -> None:
    unique = list(dict.fromkeys(found))
    if unique:
        why = unique[0] if len(unique) == 1 else f"[{', '.join(unique)}]"
        raise forbidden(kind, name, why)


_PODS = frozenset({POD.resource})
POD_ROW = Admission(
    name="LimitRanger",
    mutate=fill_in,
    validate=bound_pod,
    resources=_PODS,
    operations=frozenset({Operation.CREATE}),
)
RESIZE_ROW = Admission(
    name="LimitRanger",
    validate=bound_pod,
    resources=_PODS,
    operations=frozenset({Operation.UPDATE}),
    subresources=frozenset({"resize"}),
)
CLAIM_ROW = Admission(
    name="LimitRanger", validate=bound_claim, resources=frozenset({PERSISTENT_VOLUME_CLAIM.resource})
)
