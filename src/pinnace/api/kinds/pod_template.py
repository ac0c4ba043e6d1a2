"""The PodTemplate's row. Pure. Source: Kubernetes v1.36, pkg/registry/core/podtemplate/strategy.go."""

from collections.abc import Iterator

from msgspec.structs import replace

from pinnace.api.defaults.pods import default_template
from pinnace.api.strategy import Strategy
from pinnace.api.validation.pods import validate_pod_template
from pinnace.api.validation.problems import Problems
from pinnace.api.validation.warnings import find_template_warnings
from pinnace.kube.kinds import POD_TEMPLATE
from pinnace.kube.objects.core_v1 import PodTemplate


def _default(template: PodTemplate) -> PodTemplate:
    return replace(template, template=default_template(template.template))


def _validate(template: PodTemplate, problems: Problems) -> None:
    validate_pod_template(template.template, "template", problems)


def _warn(template: PodTemplate) -> Iterator[str]:
    yield from find_template_warnings(template.template, "template")


STRATEGY = Strategy(kind=POD_TEMPLATE, default=_default, validate=_validate, generation=True, warn=_warn)
