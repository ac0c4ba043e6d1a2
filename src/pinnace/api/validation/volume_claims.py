"""Rules that volumes and claims share. Pure. Source: Kubernetes v1.36, pkg/apis/core/validation."""

from pinnace.api.validation.problems import Problems
from pinnace.kube.quantity import FORMAT_MESSAGE, QuantityError, QuantityLike, canonical, parse_quantity

ACCESS_MODES = frozenset({"ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"})
VOLUME_MODES = frozenset({"Block", "Filesystem"})
# Source: pkg/volume/util, PVCProtectionFinalizer and PVProtectionFinalizer.
PROTECTS_CLAIM = "kubernetes.io/pvc-protection"
PROTECTS_VOLUME = "kubernetes.io/pv-protection"


def validate_access_modes(modes: tuple[str, ...], path: str, problems: Problems) -> None:
    """Check each mode, and that the one for a single pod stands alone."""
    for mode in modes:
        if mode not in ACCESS_MODES:
            problems.not_supported(f"{path}.accessModes", mode, ACCESS_MODES)
    if "ReadWriteOncePod" in modes and any(mode in ACCESS_MODES - {"ReadWriteOncePod"} for mode in modes):
        problems.forbidden(f"{path}.accessModes", "may not use ReadWriteOncePod with other access modes")


def validate_positive(amount: QuantityLike, path: str, problems: Problems) -> None:
    """Check an amount of something that there must be some of."""
    try:
        nano = parse_quantity(amount).nano
    except QuantityError:
        problems.invalid(path, amount, FORMAT_MESSAGE)
        return
    if nano <= 0:
        problems.invalid(path, canonical(amount), "must be greater than zero")
