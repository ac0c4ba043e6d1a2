"""The IngressClass' row. Pure. Source: Kubernetes v1.36, pkg/apis/networking/validation, ValidateIngressClass."""

from collections.abc import Mapping

from msgspec.structs import replace

from pinnace.api.admission.default_classes import DEFAULT_FIELD, is_default_ingress_class
from pinnace.api.kinds.ingress import validate_reference
from pinnace.api.strategy import Strategy
from pinnace.api.validation.hosts import validate_domain_path
from pinnace.api.validation.names import check_label_name
from pinnace.api.validation.problems import Problems
from pinnace.kube.kinds import INGRESS_CLASS
from pinnace.kube.objects.core_v1 import TypedLocalObjectReference
from pinnace.kube.objects.networking_v1 import IngressClass, IngressClassParametersReference

_CONTROLLER_MOST = 250  # Source: the same file, maxLenIngressClassController
_SCOPES = frozenset({"Cluster", "Namespace"})


def _default(obj: IngressClass) -> IngressClass:
    parameters = obj.spec.parameters
    if parameters is None or parameters.scope:
        return obj
    return replace(obj, spec=replace(obj.spec, parameters=replace(parameters, scope="Cluster")))


def _validate(obj: IngressClass, problems: Problems) -> None:
    if len(obj.spec.controller) > _CONTROLLER_MOST:
        problems.too_long("spec.controller", _CONTROLLER_MOST)
    validate_domain_path(obj.spec.controller, "spec.controller", problems)
    if obj.spec.parameters is not None:
        _validate_parameters(obj.spec.parameters, "spec.parameters", problems)


def _validate_parameters(parameters: IngressClassParametersReference, path: str, problems: Problems) -> None:
    reference = TypedLocalObjectReference(
        api_group=parameters.api_group, kind=parameters.kind, name=parameters.name
    )
    validate_reference(reference, path, problems)
    problems.one_of(f"{path}.scope", parameters.scope, _SCOPES, required=True)
    if parameters.scope == "Namespace":
        if not parameters.namespace:
            problems.required(f"{path}.namespace", "`parameters.scope` is set to 'Namespace'")
        else:
            problems.each(f"{path}.namespace", parameters.namespace, check_label_name(parameters.namespace))
    if parameters.scope == "Cluster" and parameters.namespace:
        problems.forbidden(f"{path}.namespace", "`parameters.scope` is set to 'Cluster'")


def _validate_update(new: IngressClass, old: IngressClass, problems: Problems) -> None:
    if new.spec.controller != old.spec.controller:
        problems.immutable("spec.controller", new.spec.controller)


def _index(obj: IngressClass) -> Mapping[str, str]:
    return {DEFAULT_FIELD: "true" if is_default_ingress_class(obj.metadata.annotations) else "false"}


STRATEGY = Strategy(
    kind=INGRESS_CLASS,
    default=_default,
    validate=_validate,
    validate_update=_validate_update,
    index=_index,
    generation=True,
)
