"""Where things stand below `<home>/images`. Pure.

blobs/sha256/<hex>       configurations, manifests, packed layers that came from elsewhere
layers/<hex>/diff        a layer, unpacked: a lower directory of overlayfs
layers/<hex>/recipe      how its archive is made of the tree, if that came from elsewhere (see `recipe`)
layers/<hex>/layer.json  what is known of it; layers/<hex>/unsynced is there until it is surely on disk
rootfs/<id>/             a container's root: plan.json, upper, work, merged
ingest/<id>/             what is being made; trash/<id> what is being removed. Both are emptied at start
empty/                   the lower directory of an image without layers
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pinnace.oci.digest import Digest, hex_of


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths."""

    root: Path

    @property
    def blobs(self) -> Path:
        return self.root / "blobs" / "sha256"

    @property
    def layers(self) -> Path:
        return self.root / "layers"

    @property
    def rootfs(self) -> Path:
        return self.root / "rootfs"

    @property
    def ingest(self) -> Path:
        return self.root / "ingest"

    @property
    def trash(self) -> Path:
        return self.root / "trash"

    @property
    def empty(self) -> Path:
        return self.root / "empty"

    @property
    def all(self) -> tuple[Path, ...]:
        return (self.blobs, self.layers, self.rootfs, self.ingest, self.trash, self.empty)

    def blob(self, digest: Digest) -> Path:
        return self.blobs / hex_of(digest)

    def layer(self, key: Digest) -> Path:
        return self.layers / hex_of(key)

    def make(self) -> None:
        """Create the directories. The root is for us alone: layers hold set-id programs."""
        self.root.mkdir(parents=True, exist_ok=True)
        self.root.chmod(0o700)
        for path in self.all:
            path.mkdir(parents=True, exist_ok=True)
