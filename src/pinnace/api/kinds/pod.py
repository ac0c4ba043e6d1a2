"""The Pod's row: defaults, admission, validation, status isolation, grace. Pure."""

from collections.abc import Mapping
from functools import lru_cache

from msgspec.structs import replace

from pinnace.api.defaults.pods import default_pod_spec
from pinnace.api.defaults.qos import compute_qos_class
from pinnace.api.kinds.pod_parts import SUBPARTS
from pinnace.api.memo import Memo, spec_key
from pinnace.api.strategy import Strategy, keep_status
from pinnace.api.validation.pod_annotations import validate_annotation_update, validate_pod_annotations
from pinnace.api.validation.pod_status import validate_pod_status
from pinnace.api.validation.pod_updates import validate_pod_update
from pinnace.api.validation.pods import validate_pod_spec
from pinnace.api.validation.problems import Problems
from pinnace.api.validation.warnings import find_pod_warnings
from pinnace.kube.kinds import POD
from pinnace.kube.objects.core_v1 import Pod, PodCondition, PodSpec, PodStatus

_ENDED = ("Succeeded", "Failed")

_DEFAULTED: Memo[PodSpec] = Memo()
_VALID: Memo[bool] = Memo()
_CLASS: Memo[str] = Memo()


def _default(pod: Pod) -> Pod:
    key = spec_key(pod.spec)
    spec = _DEFAULTED.get(key)
    if spec is None:
        spec = default_pod_spec(pod.spec, is_pod=True)
        _DEFAULTED.put(key, spec)
    return replace(pod, spec=spec)


def _prepare_create(pod: Pod) -> Pod:
    conditions: tuple[PodCondition, ...] = ()
    if pod.spec.scheduling_gates:
        # Source: Kubernetes v1.36, pkg/registry/core/pod/strategy.go, applySchedulingGatedCondition.
        conditions = (
            PodCondition(
                type="PodScheduled",
                status="False",
                reason="SchedulingGated",
                message="Scheduling is blocked due to non-empty scheduling gates",
            ),
        )
    status = PodStatus(phase="Pending", qos_class=_qos_class(pod.spec), conditions=conditions)
    return replace(pod, status=status)


def _qos_class(spec: PodSpec) -> str:
    key = spec_key(spec)
    known = _CLASS.get(key)
    if known is None:
        known = compute_qos_class(spec)
        _CLASS.put(key, known)
    return known


def _prepare_status(new: Pod, old: Pod) -> Pod:
    status = new.status
    if status.qos_class != old.status.qos_class:
        status = replace(status, qos_class=old.status.qos_class)  # decided once, at creation
    return replace(old, status=status)


def _validate(pod: Pod, problems: Problems) -> None:
    if pod.metadata.annotations:
        validate_pod_annotations(pod.metadata, pod.spec, "", "metadata.annotations", problems)
    key = spec_key(pod.spec)
    if _VALID.get(key):
        return
    before = len(problems.found)
    validate_pod_spec(pod.spec, "spec", problems, is_pod=True, pod_name=pod.metadata.name)
    named = any(volume.ephemeral is not None for volume in pod.spec.volumes)
    if len(problems.found) == before and not named:  # what is remembered must not depend on the name
        _VALID.put(key, True)


def _validate_change(new: Pod, old: Pod | None, problems: Problems) -> None:
    if old is not None:
        return
    if new.spec.ephemeral_containers:
        problems.forbidden("spec.ephemeralContainers", "cannot be set on create")
    if new.spec.node_name and new.spec.scheduling_gates:
        words = "cannot be set until all schedulingGates have been cleared"
        problems.forbidden("spec.nodeName", words)


def _validate_annotations(new: Pod, old: Pod, problems: Problems) -> None:
    if new.metadata.annotations == old.metadata.annotations:
        return
    validate_annotation_update(new.metadata, old.metadata, problems)
    if new.spec == old.spec:  # else they are checked together with it
        validate_pod_annotations(new.metadata, new.spec, "", "metadata.annotations", problems)


def _index(pod: Pod) -> Mapping[str, str]:
    return _fields(pod.spec.node_name, pod.status.phase)


@lru_cache(maxsize=1024)
def _fields(node_name: str, phase: str) -> Mapping[str, str]:
    """Return one map for all pods of a node in a phase; the store never mutates it."""
    return {"spec.nodeName": node_name, "status.phase": phase}


def compute_grace(pod: Pod, wish_s: int | None) -> int:
    """Return how long the pod's node has to end it; 0 when nothing has to be ended.

    Source: Kubernetes v1.36, pkg/registry/core/pod/strategy.go, CheckGracefulDelete.
    """
    if not pod.spec.node_name or pod.status.phase in _ENDED:
        return 0
    grace = pod.spec.termination_grace_period_seconds or 0 if wish_s is None else wish_s
    return grace if grace >= 0 else 1


STRATEGY = Strategy(
    kind=POD,
    default=_default,
    prepare_create=_prepare_create,
    prepare_update=keep_status,
    prepare_status=_prepare_status,
    validate=_validate,
    validate_change=_validate_change,
    validate_update=validate_pod_update,
    validate_annotations=_validate_annotations,
    validate_status=validate_pod_status,
    index=_index,
    generation=True,
    grace=compute_grace,
    warn=find_pod_warnings,
    subparts=SUBPARTS,
)
