"""The records on disk from which a daemon that starts anew knows its predecessor's sandboxes and containers. A doer.

`pods/SANDBOX/sandbox.json` and `pods/SANDBOX/containers/CONTAINER/container.json` below the state dir; the container's log
and the sandbox's /etc files lie beside them. Invariant: a record is replaced whole (written beside, then renamed).
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from pinnace.base.errors import HostError
from pinnace.sandbox.spec import ContainerHandle, Sandbox

log = logging.getLogger("pinnace.sandbox")
T = TypeVar("T")


class Records:
    """The records below one state dir."""

    def __init__(self, home: Path) -> None:
        self.pods = home / "pods"

    def sandbox_folder(self, sandbox: str) -> Path:
        return self.pods / sandbox

    def container_folder(self, sandbox: str, container: str) -> Path:
        return self.pods / sandbox / "containers" / container

    def write_sandbox(self, sandbox: Sandbox) -> None:
        _write(self.sandbox_folder(sandbox.id) / "sandbox.json", msgspec.json.encode(sandbox))

    def write_container(self, container: ContainerHandle) -> None:
        folder = self.container_folder(container.sandbox_id, container.id)
        _write(folder / "container.json", msgspec.json.encode(container))

    def remove_container(self, sandbox: str, container: str) -> None:
        shutil.rmtree(self.container_folder(sandbox, container), ignore_errors=True)

    def remove_sandbox(self, sandbox: str) -> None:
        shutil.rmtree(self.sandbox_folder(sandbox), ignore_errors=True)

    def read_sandboxes(self) -> Iterator[tuple[str, Sandbox | None]]:
        """Give each sandbox's id and record; the record is None when it can't be read (that is logged)."""
        for name in _folders(self.pods):
            yield name, _read(self.pods / name / "sandbox.json", Sandbox)

    def read_containers(self, sandbox: str) -> Iterator[tuple[str, ContainerHandle | None]]:
        """Give the same for the containers of a sandbox."""
        folder = self.sandbox_folder(sandbox) / "containers"
        for name in _folders(folder):
            yield name, _read(folder / name / "container.json", ContainerHandle)


def _folders(parent: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in os.scandir(parent) if entry.is_dir(follow_symlinks=False))
    except FileNotFoundError:
        return []


def _read(path: Path, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, OSError) as error:
        log.error("the record %s can't be read: %s", path, error)
        return None


def _write(path: Path, data: bytes) -> None:
    beside = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, data)
        finally:
            os.close(descriptor)
        os.replace(beside, path)
    except OSError as error:
        raise HostError(
            f"{path} can't be written: {error.strerror}",
            errno=error.errno,
            hint=f"is the disk full? df -h {path.parent}",
        ) from error
