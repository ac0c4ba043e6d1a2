"""Computes a pod's quality of service class. Pure.

Source: Kubernetes v1.36, pkg/apis/core/v1/helper/qos, ComputePodQOS.
"""

from pinnace.kube.objects.core_v1 import PodSpec
from pinnace.kube.quantity import parse_quantity

_COUNTED = ("cpu", "memory")


def compute_qos_class(spec: PodSpec) -> str:
    """Return "Guaranteed", "Burstable" or "BestEffort".

    Example: every container with limits on cpu and memory, and requests equal to them, is Guaranteed.
    """
    guaranteed = True
    asked = False
    whole = spec.resources
    counted = [container.resources for container in (*spec.containers, *spec.init_containers)]
    if whole is not None and (whole.requests or whole.limits):
        counted = [whole]  # what the pod asks for as a whole is all that counts
    for resources in counted:
        requests = {
            name: value for name, value in resources.requests.items() if name in _COUNTED and _positive(value)
        }
        limits = {
            name: value for name, value in resources.limits.items() if name in _COUNTED and _positive(value)
        }
        asked = asked or bool(requests or limits)
        if len(limits) < len(_COUNTED) or any(
            not _equal(requests.get(name, limits[name]), limits[name]) for name in limits
        ):
            guaranteed = False
    if not asked:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"


def _positive(text: str | int | float) -> bool:
    try:
        return parse_quantity(text).nano > 0
    except ValueError:
        return False


def _equal(one: str | int | float, other: str | int | float) -> bool:
    return one == other or parse_quantity(one) == parse_quantity(other)
