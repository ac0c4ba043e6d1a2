"""Writes the archive format that the kernel unpacks as its first root ("newc"). Pure.

Source: Linux, Documentation/driver-api/early-userspace/buffer-format.rst.
"""

from __future__ import annotations

import stat


class Archive:
    """An archive that grows by `add_…` and is rendered once."""

    def __init__(self) -> None:
        self._entries: list[bytes] = []

    def add_folder(self, path: str) -> None:
        self._add(path, stat.S_IFDIR | 0o755, b"")

    def add_file(self, path: str, data: bytes, mode: int) -> None:
        self._add(path, stat.S_IFREG | mode, data)

    def add_device(self, path: str, mode: int, major: int, minor: int) -> None:
        self._add(path, mode, b"", major, minor)

    def render(self) -> bytes:
        """Return the archive with its trailer."""
        return b"".join((*self._entries, self._render("TRAILER!!!", 0, b"", 0, 0, 0)))

    def _add(self, path: str, mode: int, data: bytes, major: int = 0, minor: int = 0) -> None:
        self._entries.append(self._render(path, mode, data, len(self._entries) + 1, major, minor))

    @staticmethod
    def _render(path: str, mode: int, data: bytes, inode: int, major: int, minor: int) -> bytes:
        name = path.encode() + b"\0"
        # inode, mode, uid, gid, links, mtime, size, device (2), node's device (2), length of the name, checksum
        numbers = (inode, mode, 0, 0, 1, 0, len(data), 0, 0, major, minor, len(name), 0)
        header = b"070701" + b"".join(b"%08X" % number for number in numbers)
        return _pad(header + name) + _pad(data)


def _pad(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
