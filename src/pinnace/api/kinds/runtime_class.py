"""The RuntimeClass's row. Pure. Source: Kubernetes v1.36, pkg/apis/node/validation."""

from msgspec.structs import replace

from pinnace.api.defaults.quantities import canonical_quantities
from pinnace.api.strategy import Strategy
from pinnace.api.validation.cluster_warnings import find_runtime_class_warnings
from pinnace.api.validation.metadata import validate_labels
from pinnace.api.validation.names import check_label_name
from pinnace.api.validation.problems import Problems
from pinnace.api.validation.resources import validate_resources
from pinnace.api.validation.scheduling import validate_tolerations
from pinnace.kube.kinds import RUNTIME_CLASS
from pinnace.kube.objects.core_v1 import ResourceRequirements, Toleration
from pinnace.kube.objects.node_v1 import RuntimeClass


def _default(runtime: RuntimeClass) -> RuntimeClass:
    if runtime.overhead is None:
        return runtime
    fixed = canonical_quantities(runtime.overhead.pod_fixed)
    return replace(runtime, overhead=replace(runtime.overhead, pod_fixed=fixed))


def _validate(runtime: RuntimeClass, problems: Problems) -> None:
    problems.each("handler", runtime.handler, check_label_name(runtime.handler))
    if runtime.overhead is not None:
        limits = ResourceRequirements(limits=runtime.overhead.pod_fixed)
        validate_resources(limits, "overhead.podFixed", problems)
    scheduling = runtime.scheduling
    if scheduling is not None:
        validate_labels(scheduling.node_selector, "scheduling.nodeSelector", problems)
        validate_tolerations(scheduling.tolerations, "scheduling.tolerations", problems)
        _validate_unique(scheduling.tolerations, problems)


def _validate_unique(tolerations: tuple[Toleration, ...], problems: Problems) -> None:
    for index, toleration in enumerate(tolerations):
        if toleration in tolerations[:index]:
            problems.duplicate(f"scheduling.tolerations[{index}]", toleration)


def _validate_update(new: RuntimeClass, old: RuntimeClass, problems: Problems) -> None:
    if new.handler != old.handler:
        problems.immutable("handler", new.handler)


STRATEGY = Strategy(
    kind=RUNTIME_CLASS,
    default=_default,
    validate=_validate,
    validate_update=_validate_update,
    warn=find_runtime_class_warnings,
)
