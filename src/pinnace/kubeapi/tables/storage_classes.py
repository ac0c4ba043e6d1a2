"""The table of StorageClasses. Source: Kubernetes v1.36, pkg/printers/internalversion/printers.go."""

from pinnace.api.admission.default_classes import is_default_storage_class
from pinnace.kube.objects.storage_v1 import StorageClass
from pinnace.kubeapi.tables.columns import AGE, NAME, Cell, Column, Table, render_since


def _cells(storage: StorageClass, now: float) -> tuple[Cell, ...]:
    meta = storage.metadata
    return (
        f"{meta.name} (default)" if is_default_storage_class(meta.annotations) else meta.name,
        storage.provisioner,
        storage.reclaim_policy or "Delete",
        storage.volume_binding_mode or "Immediate",
        bool(storage.allow_volume_expansion),
        render_since(meta.creation_timestamp, now),
    )


TABLE = Table(
    columns=(
        NAME,
        Column("Provisioner", "Who makes its volumes."),
        Column("ReclaimPolicy", "What becomes of a volume when its claim goes."),
        Column("VolumeBindingMode", "When a claim gets its volume."),
        Column("AllowVolumeExpansion", "Whether volumes can grow.", type="boolean"),
        AGE,
    ),
    cells=_cells,
)
