"""The tables of PersistentVolumes and their claims. Source: Kubernetes v1.36, pkg/printers/internalversion/printers.go."""

from collections.abc import Iterable, Mapping

from pinnace.kube.objects.core_v1 import PersistentVolume, PersistentVolumeClaim
from pinnace.kube.quantity import QuantityLike, canonical
from pinnace.kubeapi.tables.columns import AGE, NAME, UNSET, Cell, Column, Table, render_since

# Source: Kubernetes v1.36, pkg/apis/core/helper, GetAccessModesAsString, in its order.
_MODES = (
    ("ReadWriteOnce", "RWO"),
    ("ReadOnlyMany", "ROX"),
    ("ReadWriteMany", "RWX"),
    ("ReadWriteOncePod", "RWOP"),
)
_OLD_CLASS = "volume.beta.kubernetes.io/storage-class"

CAPACITY = Column("Capacity", "How much can be stored.")
MODES = Column("Access Modes", "How it can be mounted.")
CLASS = Column("StorageClass", "The class of storage.")
ATTRIBUTES = Column("VolumeAttributesClass", "The class of attributes.")
VOLUME_MODE = Column("VolumeMode", "A file system, or a bare device.", priority=1)


def render_modes(modes: Iterable[str]) -> str:
    """Return the modes as "RWO,ROX"."""
    held = set(modes)
    return ",".join(short for mode, short in _MODES if mode in held)


def _storage(amounts: Mapping[str, QuantityLike]) -> str:
    return canonical(amounts["storage"]) if "storage" in amounts else "0"


def _volume_cells(volume: PersistentVolume, now: float) -> tuple[Cell, ...]:
    meta, spec, status = volume.metadata, volume.spec, volume.status
    claim = spec.claim_ref
    return (
        meta.name,
        _storage(spec.capacity),
        render_modes(spec.access_modes),
        spec.persistent_volume_reclaim_policy,
        "Terminating" if meta.deletion_timestamp else status.phase,
        f"{claim.namespace}/{claim.name}" if claim is not None else "",
        meta.annotations.get(_OLD_CLASS, spec.storage_class_name),
        spec.volume_attributes_class_name or UNSET,
        status.reason,
        render_since(meta.creation_timestamp, now),
        spec.volume_mode or UNSET,
    )


TABLE = Table(
    columns=(
        NAME,
        CAPACITY,
        MODES,
        Column("Reclaim Policy", "What becomes of it when its claim goes."),
        Column("Status", "What state it is in."),
        Column("Claim", "The claim that it is bound to."),
        CLASS,
        ATTRIBUTES,
        Column("Reason", "Why it is in this state."),
        AGE,
        VOLUME_MODE,
    ),
    cells=_volume_cells,
)


def _claim_cells(claim: PersistentVolumeClaim, now: float) -> tuple[Cell, ...]:
    meta, spec, status = claim.metadata, claim.spec, claim.status
    bound = bool(spec.volume_name)
    return (
        meta.name,
        "Terminating" if meta.deletion_timestamp else status.phase,
        spec.volume_name,
        _storage(status.capacity) if bound else "",
        render_modes(status.access_modes) if bound else "",
        meta.annotations.get(_OLD_CLASS, spec.storage_class_name or ""),
        spec.volume_attributes_class_name or UNSET,
        render_since(meta.creation_timestamp, now),
        spec.volume_mode or UNSET,
    )


CLAIMS = Table(
    columns=(
        NAME,
        Column("Status", "What state it is in."),
        Column("Volume", "The volume that it is bound to."),
        CAPACITY,
        MODES,
        CLASS,
        ATTRIBUTES,
        AGE,
        VOLUME_MODE,
    ),
    cells=_claim_cells,
)
