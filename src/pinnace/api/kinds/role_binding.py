"""The RoleBinding's row. Pure."""

from msgspec.structs import replace

from pinnace.api.strategy import Strategy
from pinnace.api.validation.names import check_path_segment
from pinnace.api.validation.problems import Problems
from pinnace.api.validation.rbac import (
    default_role_ref,
    default_subjects,
    validate_role_ref,
    validate_role_ref_update,
    validate_subjects,
)
from pinnace.kube.kinds import ROLE_BINDING
from pinnace.kube.objects.rbac_v1 import RoleBinding


def _default(binding: RoleBinding) -> RoleBinding:
    return replace(
        binding, role_ref=default_role_ref(binding.role_ref), subjects=default_subjects(binding.subjects)
    )


def _validate(binding: RoleBinding, problems: Problems) -> None:
    validate_role_ref(binding.role_ref, ("Role", "ClusterRole"), problems)
    validate_subjects(binding.subjects, problems, namespaced=True)


def _validate_update(new: RoleBinding, old: RoleBinding, problems: Problems) -> None:
    validate_role_ref_update(new.role_ref, old.role_ref, problems)


STRATEGY = Strategy(
    kind=ROLE_BINDING,
    name_rule=check_path_segment,
    default=_default,
    validate=_validate,
    validate_update=_validate_update,
)
