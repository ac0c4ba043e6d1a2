"""Checks references to a pod's own fields and amounts, in environments and in volumes. Pure.

Source: Kubernetes v1.36, pkg/apis/core/validation, validateObjectFieldSelector and validateContainerResourceFieldSelector;
pkg/apis/core/pods/helpers.go, ConvertDownwardAPIFieldLabel.
"""

import re

from pinnace.api.validation.names import check_qualified_name
from pinnace.api.validation.problems import Problems
from pinnace.kube.objects.core_v1 import ObjectFieldSelector, ResourceFieldSelector
from pinnace.kube.quantity import QuantityError, canonical, parse_quantity

VOLUME_FIELDS = frozenset(
    {"metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"}
)
ENV_FIELDS = frozenset(
    {
        "metadata.name",
        "metadata.namespace",
        "metadata.uid",
        "spec.nodeName",
        "spec.serviceAccountName",
        "status.hostIP",
        "status.hostIPs",
        "status.podIP",
        "status.podIPs",
    }
)
_KNOWN = VOLUME_FIELDS | ENV_FIELDS | {"spec.restartPolicy", "spec.schedulerName", "status.phase"}
_MAPS = ("metadata.annotations", "metadata.labels")
_SUBSCRIPT = re.compile(r"(.*?)\['(.*)'\]", re.DOTALL)

_AMOUNTS = frozenset(
    f"{kind}.{name}" for kind in ("limits", "requests") for name in ("cpu", "memory", "ephemeral-storage")
)
_HUGE_PAGES = ("limits.hugepages-", "requests.hugepages-")
_SIZES = ("1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei")


def validate_field(
    selector: ObjectFieldSelector, allowed: frozenset[str], path: str, problems: Problems
) -> None:
    """Check a reference to a field."""
    where, text = f"{path}.fieldPath", selector.field_path
    if not selector.api_version:
        problems.required(f"{path}.apiVersion")
        return
    if not text:
        problems.required(where)
        return
    match = _SUBSCRIPT.fullmatch(text)
    if match is not None:
        _validate_subscript(text, match[1], match[2], path, problems)
        return
    name = "spec.nodeName" if text == "spec.host" else text
    if selector.api_version != "v1":
        words = f"error converting fieldPath: unsupported pod version: {selector.api_version}"
        problems.invalid(where, text, words)
    elif name not in _KNOWN:
        problems.invalid(where, text, f"error converting fieldPath: field label not supported: {text}")
    elif name not in allowed:
        problems.not_supported(where, name, allowed)


def _validate_subscript(text: str, name: str, key: str, path: str, problems: Problems) -> None:
    if name not in _MAPS:
        words = f"error converting fieldPath: field label does not support subscript: {text}"
        problems.invalid(f"{path}.fieldPath", text, words)
        return
    key = key.lower() if name == "metadata.annotations" else key
    problems.each(path, key, check_qualified_name(key))


def validate_amount_of(
    selector: ResourceFieldSelector, path: str, problems: Problems, *, in_volume: bool
) -> None:
    """Check a reference to a container's request or limit; a volume's must say which container's."""
    name = selector.resource
    if in_volume and not selector.container_name:
        problems.required(f"{path}.containerName")
    elif not name:
        problems.required(f"{path}.resource")
    elif name not in _AMOUNTS and not name.startswith(_HUGE_PAGES):
        problems.not_supported(f"{path}.resource", name, _AMOUNTS)
    _validate_divisor(selector, path, problems)


def _validate_divisor(selector: ResourceFieldSelector, path: str, problems: Problems) -> None:
    name, divisor = selector.resource, selector.divisor
    if divisor in (None, ""):
        return
    try:
        if parse_quantity(divisor).nano == 0:
            return
        shown = canonical(divisor)
    except QuantityError as error:
        problems.invalid(f"{path}.divisor", divisor, str(error))
        return
    what = name.partition(".")[2]
    if what == "cpu":
        if shown not in ("1m", "1"):
            words = "only divisor's values 1m and 1 are supported with the cpu resource"
            problems.invalid(f"{path}.divisor", name, words)
        return
    kind = {"memory": "memory", "ephemeral-storage": "local ephemeral storage"}.get(what, "")
    if name.startswith(_HUGE_PAGES):
        kind = "hugepages"
    if kind and shown not in _SIZES:
        words = f"only divisor's values {', '.join(_SIZES)} are supported with the {kind} resource"
        problems.invalid(f"{path}.divisor", name, words)
