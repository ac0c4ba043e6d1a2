"""Decides whether an attempt may go on, given the rest of the world, and adds what the cluster adds.

The table of rows that look across kinds, in Kubernetes' order. What concerns one kind alone is its own row's `admit`, in
`kinds/`. The next row costs one file, one line here, one test, one line in docs/admission.md. Rows must not import
`pinnace.api.kinds`: the kinds' rows import from here.
"""

from pinnace.api.admission import (
    claim_resize,
    default_classes,
    escalation,
    limit_ranger,
    namespaces,
    policies,
    priority,
    runtime_classes,
    service_account,
    tolerations,
)
from pinnace.api.admission.attempt import Admission, AdmissionFacts, Attempt, Operation
from pinnace.api.admission.chain import Chain
from pinnace.api.admission.podsecurity import row as podsecurity
from pinnace.api.admission.quota import row as quota

__all__ = ["CHAIN", "ROWS", "Admission", "AdmissionFacts", "Attempt", "Operation"]

# Source: Kubernetes v1.36, pkg/kubeapiserver/options/plugins.go, AllOrderedPlugins.
ROWS: tuple[Admission, ...] = (
    namespaces.ROW,
    namespaces.DELETE_ROW,
    escalation.ROW,
    limit_ranger.POD_ROW,
    limit_ranger.RESIZE_ROW,
    limit_ranger.CLAIM_ROW,
    service_account.ROW,
    podsecurity.POD_ROW,
    podsecurity.TEMPLATE_ROW,
    podsecurity.NAMESPACE_ROW,
    priority.POD_ROW,
    priority.CLASS_ROW,
    tolerations.ROW,
    default_classes.STORAGE_ROW,
    claim_resize.ROW,
    runtime_classes.ROW,
    default_classes.INGRESS_ROW,
    policies.ROW,
    quota.ROW,  # last: what others refuse shall not be counted
)

CHAIN = Chain(ROWS)
