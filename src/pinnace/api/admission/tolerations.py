"""Gives a new pod five minutes of patience for nodes that are not ready or not reachable.

A row of the chain. Pure. Source: Kubernetes v1.36, plugin/pkg/admission/defaulttolerationseconds
(extendedresourcetoleration is not on by default and not here).
"""

from msgspec.structs import replace

from pinnace.api.admission.attempt import Admission, Attempt
from pinnace.api.memo import changed_spec
from pinnace.kube.kinds import POD
from pinnace.kube.objects.core_v1 import Pod, Toleration

TOLERATION_S = 300  # Source: the same, default-*-toleration-seconds
NOT_READY = "node.kubernetes.io/not-ready"
UNREACHABLE = "node.kubernetes.io/unreachable"

_TOLERATIONS = {
    key: Toleration(key=key, operator="Exists", effect="NoExecute", toleration_seconds=TOLERATION_S)
    for key in (NOT_READY, UNREACHABLE)
}


def admit_tolerations(attempt: Attempt) -> Pod:
    """Return the pod with the tolerations that it lacks."""
    pod: Pod = attempt.object
    tolerations = add_tolerations(pod.spec.tolerations)
    if tolerations is pod.spec.tolerations:
        return pod
    return replace(pod, spec=changed_spec(pod.spec, tolerations=tolerations))


def add_tolerations(tolerations: tuple[Toleration, ...]) -> tuple[Toleration, ...]:
    """Return the tolerations with five minutes of patience for nodes that are not ready or not reachable."""
    added = tuple(_TOLERATIONS[key] for key in (NOT_READY, UNREACHABLE) if not _tolerates(tolerations, key))
    return (*tolerations, *added) if added else tolerations


def _tolerates(tolerations: tuple[Toleration, ...], key: str) -> bool:
    return any(
        toleration.key in ("", key) and toleration.effect in ("", "NoExecute") for toleration in tolerations
    )


ROW = Admission(
    name="DefaultTolerationSeconds", mutate=admit_tolerations, resources=frozenset({POD.resource})
)
