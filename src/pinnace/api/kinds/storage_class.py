"""The StorageClass's row: what it says of volumes never changes. Pure. Source: Kubernetes v1.36, pkg/apis/storage."""

from collections.abc import Mapping

from msgspec.structs import replace

from pinnace.api.admission.default_classes import DEFAULT_FIELD, is_default_storage_class
from pinnace.api.strategy import Strategy
from pinnace.api.validation.cluster_warnings import find_storage_class_warnings
from pinnace.api.validation.names import check_qualified_name
from pinnace.api.validation.problems import Problems
from pinnace.kube.kinds import STORAGE_CLASS
from pinnace.kube.objects.core_v1 import TopologySelectorTerm
from pinnace.kube.objects.storage_v1 import StorageClass

RECLAIMS = frozenset({"Delete", "Retain"})
BINDINGS = frozenset({"Immediate", "WaitForFirstConsumer"})
# Source: pkg/apis/storage/validation, maxProvisionerParameterSize and maxProvisionerParameterLen.
_PARAMETERS_MOST_BYTES = 256 * 1024
_PARAMETERS_MOST = 512


def _default(obj: StorageClass) -> StorageClass:
    return replace(
        obj,
        reclaim_policy=obj.reclaim_policy or "Delete",
        volume_binding_mode=obj.volume_binding_mode or "Immediate",
    )


def _validate(obj: StorageClass, problems: Problems) -> None:
    if not obj.provisioner:
        problems.required("provisioner")
    else:
        problems.each("provisioner", obj.provisioner, check_qualified_name(obj.provisioner.lower()))
    _validate_parameters(obj.parameters, problems)
    problems.one_of("reclaimPolicy", obj.reclaim_policy, RECLAIMS)
    problems.one_of("volumeBindingMode", obj.volume_binding_mode, BINDINGS, required=True)
    for index, term in enumerate(obj.allowed_topologies):
        path = f"allowedTopologies[{index}]"
        if term in obj.allowed_topologies[:index]:
            problems.duplicate(f"{path}.matchLabelExpressions", "")
        _validate_topology(term, path, problems)


def _validate_parameters(parameters: Mapping[str, str], problems: Problems) -> None:
    if len(parameters) > _PARAMETERS_MOST:
        problems.too_long("parameters", _PARAMETERS_MOST)
    if any(not key for key in parameters):
        problems.invalid("parameters", "", "field can not be empty.")
    if sum(len(key) + len(value) for key, value in parameters.items()) > _PARAMETERS_MOST_BYTES:
        problems.too_long("parameters", _PARAMETERS_MOST_BYTES)


def _validate_topology(term: TopologySelectorTerm, path: str, problems: Problems) -> None:
    keys: set[str] = set()
    for index, requirement in enumerate(term.match_label_expressions):
        where = f"{path}.matchLabelExpressions[{index}]"
        if not requirement.values:
            problems.required(f"{where}.values")
        for at, value in enumerate(requirement.values):
            if value in requirement.values[:at]:
                problems.duplicate(f"{where}.values[{at}]", value)
        problems.each(f"{where}.key", requirement.key, check_qualified_name(requirement.key))
        if requirement.key in keys:
            problems.duplicate(f"{where}.key", requirement.key)
        keys.add(requirement.key)


def _validate_update(new: StorageClass, old: StorageClass, problems: Problems) -> None:
    for path, now, before in (
        ("parameters", new.parameters, old.parameters),
        ("provisioner", new.provisioner, old.provisioner),
        ("reclaimPolicy", new.reclaim_policy, old.reclaim_policy),
    ):
        if now != before:
            problems.forbidden(path, f"updates to {path} are forbidden.")
    if new.volume_binding_mode != old.volume_binding_mode:
        problems.immutable("volumeBindingMode", new.volume_binding_mode)


def _index(obj: StorageClass) -> Mapping[str, str]:
    return {DEFAULT_FIELD: "true" if is_default_storage_class(obj.metadata.annotations) else "false"}


STRATEGY = Strategy(
    kind=STORAGE_CLASS,
    default=_default,
    validate=_validate,
    validate_update=_validate_update,
    index=_index,
    warn=find_storage_class_warnings,
)
