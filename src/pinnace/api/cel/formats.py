"""CEL's named formats: format.dns1123Label().validate("x"). Pure. Source: Kubernetes v1.37, cel/library/format.go."""

from collections.abc import Callable
from typing import Any

from pinnace.api.cel.nets import is_url
from pinnace.api.cel.tagged import tag, untag
from pinnace.api.custom.formats import check_format
from pinnace.api.validation.names import (
    NameRule,
    check_label_1035,
    check_label_name,
    check_label_value,
    check_qualified_name,
    check_subdomain,
)

FORMAT = "kubernetes.NamedFormat"


def _prefix(rule: NameRule) -> NameRule:
    return lambda text: rule(text[:-1] + "a" if text.endswith("-") else text)


def _by_format(name: str, why: str) -> NameRule:
    return lambda text: () if check_format(name, text) else (why,)


RULES: dict[str, NameRule] = {
    "dns1123Label": check_label_name,
    "dns1123Subdomain": check_subdomain,
    "dns1035Label": check_label_1035,
    "qualifiedName": check_qualified_name,
    "dns1123LabelPrefix": _prefix(check_label_name),
    "dns1123SubdomainPrefix": _prefix(check_subdomain),
    "dns1035LabelPrefix": _prefix(check_label_1035),
    "labelValue": check_label_value,
    "uri": lambda text: () if is_url(text) else ("invalid URI",),
    "uuid": _by_format("uuid", "does not match the UUID format"),
    "byte": _by_format("byte", "invalid base64"),
    "date": _by_format("date", "invalid date"),
    "datetime": _by_format("datetime", "invalid datetime"),
}
NAMES = tuple(RULES)


def maker(name: str) -> Callable[[], Any]:
    """Return the function that gives a format."""
    return lambda: tag(FORMAT, name)


def named(name: str) -> Any:
    """Return a format by its name, null where there is none."""
    return tag(FORMAT, name) if name in RULES else None


def validate(value: Any, text: str) -> Any:
    """Return a list of what is wrong, null if all is well."""
    wrong = RULES[untag(value, FORMAT)](text)
    return list(wrong) if wrong else None
