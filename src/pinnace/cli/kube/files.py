"""Reads manifests from files, folders and standard input: one item for each object, with where it stands.

Source: Kubernetes v1.36, k8s.io/cli-runtime/pkg/resource/visitor.go: extensions, order, lists taken apart.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pinnace.base.errors import UserError
from pinnace.cli.kube.discovery import find_custom_version
from pinnace.kube import kinds
from pinnace.kube.kinds import Kind
from pinnace.kube.manifests import parse_manifests

EXTENSIONS = (".json", ".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Item:
    """One object of a file. `line` is where its document starts."""

    kind: Kind[Any]
    value: dict[str, Any]
    source: str
    line: int
    text: bytes

    @property
    def name(self) -> str:
        return str(self.value.get("metadata", {}).get("name", ""))

    @property
    def where(self) -> str:
        return f"{self.source}:{self.line}"

    def namespace(self, given: str | None) -> str:
        """Return where the object belongs. Raises: UserError when the manifest and the person disagree."""
        own = str(self.value.get("metadata", {}).get("namespace", ""))
        if not self.kind.namespaced:
            return ""
        if own and given and own != given:
            raise UserError(
                f'the namespace from the provided object "{own}" does not match the namespace "{given}"',
                hint=f"pass --namespace={own}",
                where=self.where,
            )
        return own or given or "default"


def read_items(files: Sequence[str], *, recursive: bool = False) -> Iterator[Item]:
    """Yield the objects of files and folders in their order. Raises: UserError, with FILE:LINE."""
    for path in files:
        for source, text in _read(path, recursive):
            yield from _items(source, text)


def _read(path: str, recursive: bool) -> Iterator[tuple[str, bytes]]:
    if path == "-":
        yield "STDIN", sys.stdin.buffer.read()
    elif path.startswith(("http://", "https://")):
        raise UserError("manifests are read from files only", hint=f"curl -fsSL {path} | pinnace apply -f -")
    elif os.path.isdir(path):
        found = sorted(_walk(path, recursive))
        if not found:
            raise UserError(
                f"error reading [{path}]: recognized file extensions are [{' '.join(EXTENSIONS)}]"
            )
        for name in found:
            yield name, _read_file(name)
    else:
        yield path, _read_file(path)


def _walk(folder: str, recursive: bool) -> Iterator[str]:
    for current, folders, names in os.walk(folder):
        yield from (os.path.join(current, name) for name in names if name.endswith(EXTENSIONS))
        if not recursive:
            folders.clear()


def _read_file(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        raise UserError(f'the path "{path}" does not exist') from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error


def _items(source: str, text: bytes) -> Iterator[Item]:
    for manifest in parse_manifests(text, source):
        for value in _take_apart(manifest.value):
            yield Item(_find_kind(value, f"{source}:{manifest.line}"), value, source, manifest.line, text)


def _take_apart(value: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the objects of a List, or the object itself."""
    items = value.get("items")
    if str(value.get("kind", "")).endswith("List") and isinstance(items, list):
        return [item for item in items if isinstance(item, dict)]
    return [value]


def _find_kind(value: dict[str, Any], where: str) -> Kind[Any]:
    for field, word in (("kind", "Kind"), ("apiVersion", "apiVersion")):
        if not value.get(field) or not isinstance(value[field], str):
            raise UserError(f"Object '{word}' is missing", hint=f"each object says its {field}", where=where)
    if not isinstance(value.get("metadata", {}), dict):
        raise UserError("metadata is no mapping of fields", where=where)
    kind = kinds.by_api_version(value["apiVersion"], value["kind"])
    if kind is None and "." in value["apiVersion"]:
        kind = find_custom_version(value["apiVersion"], value["kind"])
    if kind is None or not kind.verbs:
        name = value.get("metadata", {}).get("name", "")
        raise UserError(
            f'resource mapping not found for name: "{name}": '
            f'no matches for kind "{value["kind"]}" in version "{value["apiVersion"]}"',
            hint="see docs/kinds.md",
            where=where,
        )
    return kind
