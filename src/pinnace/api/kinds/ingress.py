"""The Ingress' row. Pure. Source: Kubernetes v1.36, pkg/apis/networking/validation, ValidateIngressSpec."""

from pinnace.api.strategy import Strategy, drop_status, keep_status, take_status
from pinnace.api.validation.addresses import NOT_AN_IP, is_ip
from pinnace.api.validation.cluster_warnings import find_ingress_warnings
from pinnace.api.validation.hosts import validate_host
from pinnace.api.validation.names import (
    check_label_1035,
    check_path_segment,
    check_port_name,
    check_subdomain,
)
from pinnace.api.validation.problems import Problems
from pinnace.kube.kinds import INGRESS
from pinnace.kube.objects.core_v1 import TypedLocalObjectReference
from pinnace.kube.objects.networking_v1 import (
    HTTPIngressPath,
    Ingress,
    IngressBackend,
    IngressServiceBackend,
    IngressSpec,
)

OLD_CLASS = "kubernetes.io/ingress.class"
PATH_TYPES = frozenset({"Exact", "ImplementationSpecific", "Prefix"})
_FORBIDDEN_PARTS = ("//", "/./", "/../", "%2f", "%2F")
_FORBIDDEN_ENDS = ("/..", "/.")


def _validate(ingress: Ingress, problems: Problems) -> None:
    spec = ingress.spec
    if not spec.rules and spec.default_backend is None:
        problems.invalid("spec", [], "either `defaultBackend` or `rules` must be specified")
    if spec.default_backend is not None:
        _validate_backend(spec.default_backend, "spec.defaultBackend", problems)
    for index, rule in enumerate(spec.rules):
        path = f"spec.rules[{index}]"
        if rule.host:
            if is_ip(rule.host):
                problems.invalid(f"{path}.host", rule.host, "must be a DNS name, not an IP address")
            validate_host(rule.host, f"{path}.host", problems)
        if rule.http is not None:
            if not rule.http.paths:
                problems.required(f"{path}.http.paths")
            for at, each in enumerate(rule.http.paths):
                _validate_path(each, f"{path}.http.paths[{at}]", problems)
    _validate_tls(spec, problems)
    if spec.ingress_class_name:
        name = spec.ingress_class_name
        problems.each("spec.ingressClassName", name, check_subdomain(name))


def _validate_change(new: Ingress, old: Ingress | None, problems: Problems) -> None:
    """A class is named in one place; what was stored before may still name it in two."""
    named = new.metadata.annotations.get(OLD_CLASS)
    if old is None and named is not None and new.spec.ingress_class_name:
        why = "can not be set when the class field is also set"
        problems.invalid(f"annotations.{OLD_CLASS}", named, why)


def _validate_tls(spec: IngressSpec, problems: Problems) -> None:
    for index, tls in enumerate(spec.tls):
        path = f"spec.tls[{index}]"
        for at, host in enumerate(tls.hosts):
            validate_host(host, f"{path}.hosts[{at}]", problems)
        if tls.secret_name:
            problems.each(f"{path}.secretName", tls.secret_name, check_subdomain(tls.secret_name))


def _validate_path(path: HTTPIngressPath, where: str, problems: Problems) -> None:
    if not path.path_type:
        problems.required(f"{where}.pathType", "pathType must be specified")
    elif path.path_type not in PATH_TYPES:
        problems.not_supported(f"{where}.pathType", path.path_type, PATH_TYPES)
    elif path.path_type == "ImplementationSpecific":
        if path.path and not path.path.startswith("/"):
            problems.invalid(f"{where}.path", path.path, "must be an absolute path")
    else:
        _validate_plain_path(path.path, f"{where}.path", problems)
    _validate_backend(path.backend, f"{where}.backend", problems)


def _validate_plain_path(text: str, where: str, problems: Problems) -> None:
    if not text.startswith("/"):
        problems.invalid(where, text, "must be an absolute path")
    for part in _FORBIDDEN_PARTS:
        if part in text:
            problems.invalid(where, text, f"must not contain '{part}'")
    for end in _FORBIDDEN_ENDS:
        if text.endswith(end):
            problems.invalid(where, text, f"cannot end with '{end}'")


def _validate_backend(backend: IngressBackend, path: str, problems: Problems) -> None:
    if backend.resource is not None and backend.service is not None:
        problems.invalid(path, "", "cannot set both resource and service backends")
    elif backend.resource is not None:
        validate_reference(backend.resource, f"{path}.resource", problems)
    elif backend.service is not None:
        _validate_service(backend.service, path, problems)
    else:
        problems.invalid(path, "", "resource or service backend is required")


def _validate_service(service: IngressServiceBackend, path: str, problems: Problems) -> None:
    if not service.name:
        problems.required(f"{path}.service.name")
    else:
        problems.each(f"{path}.service.name", service.name, check_label_1035(service.name))
    port = service.port
    if port.name and port.number:
        problems.invalid(path, "", "cannot set both port name & port number")
    elif port.name:
        problems.each(f"{path}.service.port.name", port.name, check_port_name(port.name))
    elif port.number:
        problems.port(f"{path}.service.port.number", port.number)
    else:
        problems.required(path, "port name or number is required")


def validate_reference(reference: TypedLocalObjectReference, path: str, problems: Problems) -> None:
    """Check a reference to an object of any kind in the same namespace."""
    if reference.api_group:
        problems.each(f"{path}.apiGroup", reference.api_group, check_subdomain(reference.api_group))
    for name, value in (("kind", reference.kind), ("name", reference.name)):
        if not value:
            problems.required(f"{path}.{name}")
        else:
            problems.each(f"{path}.{name}", value, check_path_segment(value))


def _validate_status(new: Ingress, old: Ingress, problems: Problems) -> None:
    for index, point in enumerate(new.status.load_balancer.ingress):
        path = f"status.loadBalancer.ingress[{index}]"
        if point.ip and not is_ip(point.ip):
            problems.invalid(f"{path}.ip", point.ip, NOT_AN_IP)
        if point.hostname:
            problems.each(f"{path}.hostname", point.hostname, check_subdomain(point.hostname))
            if is_ip(point.hostname):
                problems.invalid(f"{path}.hostname", point.hostname, "must be a DNS name, not an IP address")


STRATEGY = Strategy(
    kind=INGRESS,
    prepare_create=drop_status,
    prepare_update=keep_status,
    prepare_status=take_status,
    validate=_validate,
    validate_change=_validate_change,
    validate_status=_validate_status,
    generation=True,
    warn=find_ingress_warnings,
)
