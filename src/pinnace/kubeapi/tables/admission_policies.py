"""The tables of ValidatingAdmissionPolicies and their bindings.

Source: Kubernetes v1.37, pkg/printers/internalversion/printers.go.
"""

from pinnace.kube.objects.admissionregistration_v1 import (
    ValidatingAdmissionPolicy,
    ValidatingAdmissionPolicyBinding,
)
from pinnace.kubeapi.tables.columns import AGE, NAME, UNSET, Cell, Column, Table, render_since


def _policy(policy: ValidatingAdmissionPolicy, now: float) -> tuple[Cell, ...]:
    kind = policy.spec.param_kind
    return (
        policy.metadata.name,
        len(policy.spec.validations),
        UNSET if kind is None else f"{kind.api_version}/{kind.kind}",
        render_since(policy.metadata.creation_timestamp, now),
    )


def _binding(binding: ValidatingAdmissionPolicyBinding, now: float) -> tuple[Cell, ...]:
    reference = binding.spec.param_ref
    params = UNSET
    if reference is not None:
        params = f"{reference.namespace or '*'}/{reference.name}" if reference.name else "<selector>"
        if reference.name and not reference.namespace:
            params = reference.name
    return (
        binding.metadata.name,
        binding.spec.policy_name,
        params,
        render_since(binding.metadata.creation_timestamp, now),
    )


TABLE = Table(
    columns=(
        NAME,
        Column("Validations", "How many rules it has.", type="integer"),
        Column("ParamKind", "The kind of its parameters."),
        AGE,
    ),
    cells=_policy,
)
BINDINGS = Table(
    columns=(
        NAME,
        Column("PolicyName", "The policy that it puts in force."),
        Column("ParamRef", "Where its parameters are."),
        AGE,
    ),
    cells=_binding,
)
