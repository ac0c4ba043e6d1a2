"""Says whether tolerations cover a taint. Pure. Source: Kubernetes v1.36, core/v1/toleration.go, ToleratesTaint"""

from collections.abc import Iterable

from pinnace.kube.objects.core_v1 import Taint, Toleration


def tolerates(tolerations: Iterable[Toleration], taint: Taint) -> bool:
    """Say whether any of the tolerations covers the taint."""
    return any(covers(toleration, taint) for toleration in tolerations)


def covers(toleration: Toleration, taint: Taint) -> bool:
    """Say whether one toleration covers the taint; what it leaves empty matches anything."""
    if toleration.effect and toleration.effect != taint.effect:
        return False
    if toleration.key and toleration.key != taint.key:
        return False
    if toleration.operator == "Exists":
        return True
    return toleration.operator in ("", "Equal") and toleration.value == taint.value
