"""Names of resources that quotas and limit ranges may count, and the scopes of quotas. Pure.

Source: Kubernetes v1.36, pkg/apis/core/helper/helpers.go and pkg/apis/core/validation.
"""

from pinnace.api.validation.names import check_qualified_name
from pinnace.api.validation.problems import Problems
from pinnace.api.validation.resources import is_extended_resource, validate_quantity
from pinnace.kube.quantity import NANO, QuantityError, QuantityLike, parse_quantity

HUGE = "hugepages-"
REQUESTS_HUGE = f"requests.{HUGE}"

_OBJECTS = frozenset(
    {
        "configmaps",
        "persistentvolumeclaims",
        "pods",
        "replicationcontrollers",
        "resourcequotas",
        "secrets",
        "services",
        "services.loadbalancers",
        "services.nodeports",
    }
)
_COMPUTE = frozenset({"cpu", "memory", "limits.cpu", "limits.memory", "requests.cpu", "requests.memory"})
_EPHEMERAL = frozenset({"ephemeral-storage", "requests.ephemeral-storage", "limits.ephemeral-storage"})
_QUOTA = _OBJECTS | _COMPUTE | _EPHEMERAL | {"requests.storage"}
_STANDARD = _QUOTA | {"storage"}
_LIMIT_TYPES = frozenset({"Pod", "Container", "PersistentVolumeClaim"})

BEST_EFFORT = "BestEffort"
NOT_BEST_EFFORT = "NotBestEffort"
TERMINATING = "Terminating"
NOT_TERMINATING = "NotTerminating"
PRIORITY_CLASS = "PriorityClass"
CROSS_NAMESPACE = "CrossNamespacePodAffinity"
VOLUME_ATTRIBUTES = "VolumeAttributesClass"
SCOPES = frozenset(
    {
        BEST_EFFORT,
        NOT_BEST_EFFORT,
        TERMINATING,
        NOT_TERMINATING,
        PRIORITY_CLASS,
        CROSS_NAMESPACE,
        VOLUME_ATTRIBUTES,
    }
)


def is_overcommittable(name: str) -> bool:
    """Say whether a limit may be above the request."""
    return not is_extended_resource(name) and not name.startswith(HUGE)


def validate_limit_type(name: str, path: str, problems: Problems) -> None:
    """Check what a limit is for."""
    wrong = check_qualified_name(name)
    problems.each(path, name, wrong)
    if not wrong and "/" not in name and name not in _LIMIT_TYPES:
        problems.invalid(path, name, "must be a standard limit type or fully qualified")


def validate_resource_name(name: str, path: str, problems: Problems) -> bool:
    """Check the name of a resource; True when it is well-formed."""
    wrong = check_qualified_name(name)
    problems.each(path, name, wrong)
    if not wrong and "/" not in name and name not in _STANDARD and not name.startswith((HUGE, REQUESTS_HUGE)):
        problems.invalid(path, name, "must be a standard resource type or fully qualified")
    return not wrong


def validate_quota_name(name: str, path: str, problems: Problems) -> None:
    """Check the name of something that a quota limits."""
    well_formed = validate_resource_name(name, path, problems)
    if well_formed and "/" not in name and not is_quota_name(name):
        problems.invalid(path, name, "must be a standard resource for quota")


def is_quota_name(name: str) -> bool:
    """Say whether a quota may limit this name, which has no domain."""
    return name in _QUOTA or name.startswith((HUGE, REQUESTS_HUGE))


def validate_amount(name: str, amount: QuantityLike, path: str, problems: Problems) -> None:
    """Check an amount of a resource: not negative, and whole where it counts pieces."""
    validate_quantity(amount, path, problems)
    if not _counts_pieces(name):
        return
    try:
        whole = not parse_quantity(amount).nano % NANO
    except QuantityError:
        return
    if not whole:
        problems.invalid(path, amount, "must be an integer")


def _counts_pieces(name: str) -> bool:
    return name in _OBJECTS or (is_extended_resource(name) and not name.startswith("count/"))


def fits_scope(scope: str, name: str) -> bool:
    """Say whether a scope means something for what a quota limits."""
    if scope == BEST_EFFORT:
        return name == "pods"
    if scope == VOLUME_ATTRIBUTES:
        return name in ("persistentvolumeclaims", "requests.storage")
    return name == "pods" or name in _COMPUTE
