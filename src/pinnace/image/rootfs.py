"""Root filesystems of containers and working places of builds: overlay mounts that outlive the daemon.

Each has a directory `rootfs/<id>` with `plan.json`, written before anything is mounted, so that after a crash everything
is known: what is mounted is used again, what is not is mounted again over the same upper directory.
Invariant: an id has one root filesystem; making it twice gives the same one; releasing what is not there does nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from pinnace.base.errors import Bug, HostError
from pinnace.base.locks import KeyedLocks
from pinnace.image import mounts, overlay
from pinnace.image.layers import Layer, Layers, remove_tree
from pinnace.image.layout import Layout
from pinnace.image.root_facts import root_of
from pinnace.image.threads import uninterrupted
from pinnace.oci.digest import Digest

RECORD = "plan.json"
_ID = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}")


class RootfsRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is remembered of one: the layers, bottom first, by their keys, and when it was made.

    `below` is a directory of somebody else's that lies beneath the layers.
    """

    id: str
    layers: tuple[Digest, ...]
    image_id: Digest | None = None
    read_only: bool = False
    volatile: bool = False
    boot_id: str = ""
    below: str = ""


@dataclass(frozen=True, slots=True)
class Rootfs:
    """A mounted root filesystem. `upper` holds what was changed; it is None for a read-only one."""

    id: str
    path: Path
    upper: Path | None
    plan: overlay.MountPlan

    def describe(self) -> str:
        """Return the mount as a person reads it."""
        return self.plan.describe()


class RootfsStore:
    """The directories below `rootfs/`."""

    def __init__(self, layout: Layout, layers: Layers, boot_id: str) -> None:
        self._layout = layout
        self._layers = layers
        self._boot_id = boot_id
        self._records: dict[str, RootfsRecord] = {}
        self._locks = KeyedLocks()
        self._wanted: list[RootfsRecord] = []  # on their way: their layers are needed already

    def recover(self) -> tuple[Path, ...]:
        """Read the records; return (as trash) the directories that a crash left without one."""
        remains = []
        for entry in list(os.scandir(self._layout.rootfs)):
            record = Path(entry.path) / RECORD
            data = record.read_bytes() if record.exists() else b""
            if not data:  # the daemon ended before it was written, or the machine before it was on disk
                mounts.unmount(f"{entry.path}/merged")
                remains.append(self._layers.throw_away(Path(entry.path)))
                continue
            try:
                self._records[entry.name] = msgspec.json.decode(data, type=RootfsRecord)
            except msgspec.MsgspecError as error:
                raise HostError(
                    f"{record} can't be read: {error}",
                    hint=f"unmount {entry.path}/merged and remove {entry.path}",
                ) from error
        return tuple(remains)

    def records(self) -> tuple[RootfsRecord, ...]:
        """Return all that are there or on their way."""
        return (*self._records.values(), *self._wanted)

    def mounted(self) -> frozenset[str]:
        """Return the ids of what is mounted now, known or not."""
        found = (Path(target) for target in mounts.mounts_below(str(self._layout.rootfs)))
        return frozenset(path.parent.name for path in found if path.name == "merged")

    def find(self, rootfs_id: str) -> Rootfs | None:
        """Return a root filesystem that was made, mounted or not."""
        record = self._records.get(rootfs_id)
        return None if record is None else self._describe(record)

    async def make(self, record: RootfsRecord) -> Rootfs:
        """Mount a root filesystem, unless it is mounted already.

        Raises: HostError; UserError when there are too many layers; Bug when the id already has other layers.
        """
        check_id(record.id)
        there = self._records.get(record.id)
        if there is not None and (there.layers, there.read_only) != (record.layers, record.read_only):
            raise Bug(f"the root filesystem {record.id} is already there with other layers")
        record = msgspec.structs.replace(record, boot_id=self._boot_id)
        self._wanted.append(record)
        try:
            async with self._locks.hold(record.id):
                rootfs = await uninterrupted(self._make, self._records.get(record.id), record)
                self._records[record.id] = record
                return rootfs
        finally:
            self._wanted.remove(record)

    async def release(self, rootfs_id: str) -> Path | None:
        """Unmount; return what is to be removed (in the trash), or None when there was nothing."""
        check_id(rootfs_id)
        async with self._locks.hold(rootfs_id):
            trash = await uninterrupted(self._release, rootfs_id)
            self._records.pop(rootfs_id, None)
        return trash

    async def take_upper(self, rootfs_id: str, target: Path) -> Rootfs:
        """Unmount and move the upper directory to `target`; return what it was of, which still has to be released."""
        rootfs = self.find(rootfs_id)
        if rootfs is None or rootfs.upper is None:
            raise Bug(f"there is no root filesystem {rootfs_id} to take changes from")
        upper = rootfs.upper

        def take() -> None:
            mounts.unmount(str(rootfs.path))
            os.rename(upper, target)

        await uninterrupted(take)
        return rootfs

    def _directory(self, rootfs_id: str) -> Path:
        return self._layout.rootfs / rootfs_id

    def _describe(self, record: RootfsRecord) -> Rootfs:
        base = self._directory(record.id)
        upper = None if record.read_only else base / "upper"
        plan = overlay.plan_mount(
            str(base / "merged"),
            [str(self._layout.layer(key) / "diff") for key in record.layers],
            upper=str(upper or ""),
            work="" if upper is None else str(base / "work"),
            empty=str(self._layout.empty),
            volatile=record.volatile,
            below=record.below,
        )
        return Rootfs(record.id, base / "merged", upper, plan)

    def _make(self, there: RootfsRecord | None, record: RootfsRecord) -> Rootfs:
        rootfs = self._describe(record)
        if there is not None and mounts.is_mounted(str(rootfs.path)):
            return rootfs
        base = self._directory(record.id)
        base.mkdir(mode=0o700, exist_ok=True)
        if rootfs.upper is not None:
            self._prepare_upper(
                rootfs, there is not None and there.volatile and there.boot_id != self._boot_id
            )
        rootfs.path.mkdir(exist_ok=True)
        fresh = base / (RECORD + ".new")
        with fresh.open("wb") as file:
            file.write(msgspec.json.encode(record))
            file.flush()
            if not record.volatile:
                os.fsync(file.fileno())
        os.rename(fresh, base / RECORD)
        try:
            mounts.mount_overlay(rootfs.plan)
        except BaseException:
            if there is None:
                remove_tree(base)
            raise
        return rootfs

    def _prepare_upper(self, rootfs: Rootfs, torn: bool) -> None:
        """The root of the mount looks like the upper's, so that has to look as the layers say."""
        upper, work = Path(rootfs.plan.upper), Path(rootfs.plan.work)
        if torn:  # nothing made the disk hold a volatile upper when the machine went down
            remove_tree(upper)
        remove_tree(work)  # also overlayfs' own mark that the upper was volatile
        work.mkdir(mode=0o700)
        if upper.exists():
            return
        upper.mkdir()
        root = root_of(rootfs.plan.lowers)
        os.chown(upper, root.uid, root.gid)
        os.chmod(upper, root.mode)

    def _release(self, rootfs_id: str) -> Path | None:
        base = self._directory(rootfs_id)
        mounts.unmount(str(base / "merged"))
        return self._layers.throw_away(base) if base.exists() else None


def check_id(rootfs_id: str) -> None:
    """Refuse what can't be a directory's name. Raises: Bug."""
    if not _ID.fullmatch(rootfs_id):
        raise Bug(f"{rootfs_id!r} can't name a root filesystem")


def keys_of(layers: Iterable[Layer]) -> tuple[Digest, ...]:
    """Return the keys of layers, in order."""
    return tuple(layer.key for layer in layers)


def used_layers(records: Sequence[RootfsRecord]) -> frozenset[Digest]:
    """Return the keys of all layers below a root filesystem."""
    return frozenset(key for record in records for key in record.layers)
