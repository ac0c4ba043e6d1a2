"""The table of NetworkPolicies. Source: Kubernetes v1.36, pkg/printers/internalversion/printers.go."""

from pinnace.kube.objects.networking_v1 import NetworkPolicy
from pinnace.kubeapi.tables.columns import AGE, NAME, Cell, Column, Table, render_selector, render_since


def _cells(policy: NetworkPolicy, now: float) -> tuple[Cell, ...]:
    meta = policy.metadata
    return meta.name, render_selector(policy.spec.pod_selector), render_since(meta.creation_timestamp, now)


TABLE = Table(columns=(NAME, Column("Pod-Selector", "Which pods it is about."), AGE), cells=_cells)
