"""The table of CustomResourceDefinitions. Source: Kubernetes v1.37, apiextensions-apiserver/pkg/registry/customresourcedefinition/etcd.go, tableConvertor."""

from pinnace.base.times import parse_time, render_time
from pinnace.kube.objects.apiextensions_v1 import CustomResourceDefinition
from pinnace.kubeapi.tables.columns import NAME, Cell, Column, Table


def _cells(crd: CustomResourceDefinition, now: float) -> tuple[Cell, ...]:
    created = crd.metadata.creation_timestamp
    return (crd.metadata.name, render_time(parse_time(created)) if created else "")


TABLE = Table(columns=(NAME, Column("Created At", "When it was created.", type="date")), cells=_cells)
