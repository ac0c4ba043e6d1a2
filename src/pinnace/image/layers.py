"""The unpacked layers: each is a directory that any number of root filesystems use as it is.

A layer gets its name when its tree is complete; the name is its diff id, or the chain id where the tree also depends on
the layers below (an archive that leaves directories out takes their owner and mode from there).
A tree is trusted after a reboot only if it was written to disk: naming an image does that (`mark_synced`); a layer that
still has `unsynced` from another boot is thrown away at start.
Invariant: `layers/<hex>` is complete, or not there. Nobody writes below it.
"""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from pinnace.base.errors import ApiError, Bug, HostError, Reason
from pinnace.image.layout import Layout
from pinnace.oci.digest import Digest, chain_ids
from pinnace.oci.manifest import Descriptor

RECORD = "layer.json"
UNSYNCED = "unsynced"
TREE = "diff"


class Layer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One layer. Units: bytes; `size` is of the files' contents, `tar_size` of the uncompressed archive.

    `own`: its archive follows from the tree, and from the recipe beside it, if there is one. Otherwise it came from
    elsewhere. `blob` is its packed archive, if that is in the store; `packed` is what it was packed to when it was last sent
    to a registry, which the store does not have.
    """

    diff_id: Digest
    key: Digest
    size: int
    tar_size: int
    entries: int
    own: bool = True
    blob: Descriptor | None = None
    packed: Descriptor | None = None

    @property
    def is_empty(self) -> bool:
        """Say whether the layer changes nothing."""
        return self.entries == 0


class Layers:
    """The directories below `layers/`, and what is known of them.

    What touches files is called in threads (a busy disk makes even a rename wait); the rest is memory.
    """

    def __init__(self, layout: Layout, boot_id: str) -> None:
        self._layout = layout
        self._boot_id = boot_id
        self._known: dict[Digest, Layer] = {}
        self._serial = itertools.count()

    def recover(self) -> tuple[Digest, ...]:
        """Read what is there; return the layers that a crash of the machine made useless and that are now in the trash."""
        lost = []
        for entry in list(os.scandir(self._layout.layers)):
            key = Digest("sha256:" + entry.name)
            marker = Path(entry.path) / UNSYNCED
            if marker.exists() and marker.read_text() != self._boot_id:
                self.discard(key)  # never known
                lost.append(key)
                continue
            self._known[key] = self._read(key)
        return tuple(lost)

    def all(self) -> tuple[Layer, ...]:
        return tuple(self._known.values())

    def find(self, diff_id: Digest, chain_id: Digest | None = None) -> Layer | None:
        """Return a layer by its diff id, or as one that belongs to the chain below it."""
        found = self._known.get(diff_id)
        if found is None and chain_id is not None:
            found = self._known.get(chain_id)
        return found

    def stack(self, diff_ids: Sequence[Digest]) -> tuple[Layer, ...]:
        """Return the layers of an image, bottom first. Raises: ApiError (NotFound), naming the one that is missing."""
        stack = []
        for diff_id, chain_id in zip(diff_ids, chain_ids(diff_ids), strict=True):
            layer = self.find(diff_id, chain_id)
            if layer is None:
                raise ApiError(
                    Reason.NOT_FOUND,
                    f"the layer {diff_id} is not in the image store",
                    kind="layers",
                    name=diff_id,
                    hint="build, import or pull the image anew",
                )
            stack.append(layer)
        return tuple(stack)

    def tree(self, layer: Layer) -> Path:
        return self._layout.layer(layer.key) / TREE

    def begin(self) -> Path:
        """Return a fresh directory that will hold a tree, to be filled and handed to `place`."""
        path = self._layout.ingest / f"layer-{os.getpid()}-{next(self._serial)}"
        path.mkdir()
        return path

    def begin_tree(self) -> Path:
        """Return `begin()`'s directory with an empty tree in it."""
        path = self.begin()
        (path / TREE).mkdir(mode=0o755)
        (path / TREE).chmod(0o755)
        return path

    def place(self, path: Path, layer: Layer) -> None:
        """Give a filled directory its name; whoever calls this keeps others from doing so, and then calls `register`."""
        (path / RECORD).write_bytes(msgspec.json.encode(layer))
        (path / UNSYNCED).write_text(self._boot_id)
        os.rename(path, self._layout.layer(layer.key))

    def register(self, layer: Layer) -> None:
        """Make a layer that is in its place known."""
        self._known[layer.key] = layer

    def forget(self, key: Digest) -> None:
        """Make a layer unknown; its directory can then be thrown away."""
        self._known.pop(key, None)

    def update(self, layer: Layer) -> None:
        """Replace what is known of a layer (that it now has a blob)."""
        if layer.key not in self._known:
            raise Bug(f"the layer {layer.key} is not there")
        record = self._layout.layer(layer.key) / RECORD
        fresh = record.with_suffix(".new")
        fresh.write_bytes(msgspec.json.encode(layer))
        os.rename(fresh, record)
        self._known[layer.key] = layer

    def unsynced(self) -> tuple[Layer, ...]:
        """Return the layers of which nobody knows yet whether they are on disk."""
        known = tuple(self._known.values())  # at once: the loop goes on while a thread looks at files
        return tuple(layer for layer in known if self._marker(layer).exists())

    def mark_synced(self, layers: Iterable[Layer]) -> None:
        """Note that the file system was synced after these layers got their names."""
        for layer in layers:
            self._marker(layer).unlink(missing_ok=True)

    def discard(self, key: Digest) -> Path | None:
        """Throw the directory of a forgotten layer away; return where its remains are, for somebody to remove."""
        path = self._layout.layer(key)
        return self.throw_away(path) if path.exists() else None

    def throw_away(self, path: Path) -> Path:
        """Move a directory to the trash."""
        target = self._layout.trash / f"{path.name}-{os.getpid()}-{next(self._serial)}"
        os.rename(path, target)
        return target

    def _marker(self, layer: Layer) -> Path:
        return self._layout.layer(layer.key) / UNSYNCED

    def _read(self, key: Digest) -> Layer:
        path = self._layout.layer(key) / RECORD
        try:
            return msgspec.json.decode(path.read_bytes(), type=Layer)
        except (OSError, msgspec.MsgspecError) as error:
            raise HostError(
                f"the layer's record {path} can't be read: {error}",
                hint=f"move {path.parent} away and build, import or pull the images that use it anew",
            ) from error


def read_boot_id() -> str:
    """Return what is different after each start of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def remove_tree(path: Path) -> None:
    """Remove a small directory; missing is fine."""
    shutil.rmtree(path, ignore_errors=True)
