"""Renders the kubeconfig of one instance and merges it into a person's own.

Called by the daemon at start, and with `remove_context` when everything is forgotten. It must never write a file that it
could not read, and never changes the current context unless there is none.
Invariant: clusters, users and contexts with other names come out as they went in, in the same order.
"""

import base64
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pinnace.base.errors import UserError
from pinnace.kubeapi.files import Owner, write_private
from pinnace.kubeapi.pki import Certificates

Document = dict[str, Any]

_LISTS = ("clusters", "users", "contexts")


@dataclass(frozen=True, slots=True)
class Merge:
    """What was done to a kubeconfig. `current_context` is the one in force afterwards."""

    path: Path
    context: str
    current_context: str
    written: bool
    became_current: bool

    def describe(self) -> str:
        """Return one sentence for the person who ran `up`."""
        if self.became_current:
            return f"context {self.context!r} is in {self.path} and is the current one"
        if self.current_context == self.context:
            return f"context {self.context!r} in {self.path} is the current one"
        return (
            f"context {self.context!r} is in {self.path}; the current one stays {self.current_context!r}"
            f" (change it with: kubectl config use-context {self.context})"
        )


def build_kubeconfig(name: str, server: str, certificates: Certificates) -> Document:
    """Return a kubeconfig document with one cluster, user and context, all called `name`."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": name,
                "cluster": {
                    "certificate-authority-data": _b64(certificates.ca_certificate),
                    "server": server,
                },
            }
        ],
        "users": [
            {
                "name": name,
                "user": {
                    "client-certificate-data": _b64(certificates.admin.certificate),
                    "client-key-data": _b64(certificates.admin.key),
                },
            }
        ],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }


def render_kubeconfig(document: Document) -> bytes:
    """Return the document as YAML."""
    return yaml.safe_dump(document, sort_keys=False).encode()


def write_kubeconfig(path: Path, document: Document, *, owner: Owner | None = None) -> None:
    """Write a kubeconfig of our own (`/var/lib/pinnace/kubeconfig`).

    What a person has put beside our entries stays, and so does the context that they chose, as long as it leads to this
    cluster. A file that is no kubeconfig is replaced.
    """
    try:
        existing = _read(path)
    except UserError:
        existing = {}
    merged = merge_documents(existing, document)
    if not _leads_to(merged, str(document["clusters"][0]["name"])):
        merged["current-context"] = document["current-context"]
    write_private(path, render_kubeconfig(merged), owner=owner)


def merge_documents(existing: Document, ours: Document) -> Document:
    """Return `existing` with our entries replaced or appended; its current context stays, if it has one."""
    merged = dict(existing)
    merged.setdefault("apiVersion", "v1")
    merged.setdefault("kind", "Config")
    for key in _LISTS:
        merged[key] = _merge_named(merged.get(key) or [], ours[key])
    merged["current-context"] = existing.get("current-context") or ours["current-context"]
    return merged


def merge_into(path: Path, ours: Document, *, owner: Owner | None = None) -> Merge:
    """Merge our context into the kubeconfig at `path` and say what was done.

    A symbolic link is followed; the file keeps its mode. `owner` is who a new file or folder is given to.
    Raises: UserError when the file is there and is no kubeconfig; it is left as it is.
    """
    path = path.resolve() if path.is_symlink() else path
    existing = _read(path)
    merged = merge_documents(existing, ours)
    name = str(ours["current-context"])
    merge = Merge(
        path=path,
        context=name,
        current_context=str(merged["current-context"]),
        written=merged != existing,
        became_current=merged["current-context"] == name and existing.get("current-context") != name,
    )
    if merge.written:
        _write(path, merged, owner)
    return merge


def remove_context(path: Path, name: str) -> bool:
    """Take the cluster, user and context called `name` out of the kubeconfig; return whether any was there.

    Raises: UserError when the file is there and is no kubeconfig.
    """
    existing = _read(path)
    remaining = dict(existing)
    for key in _LISTS:
        remaining[key] = [entry for entry in existing.get(key) or [] if _name_of(entry) != name]
    if remaining.get("current-context") == name:
        remaining["current-context"] = ""
    changed = any(remaining[key] != (existing.get(key) or []) for key in _LISTS)
    if changed:
        _write(path, remaining, None)
    return changed


def _write(path: Path, document: Document, owner: Owner | None) -> None:
    mode = 0o600
    if path.exists():
        status = path.stat()
        mode, owner = status.st_mode & 0o777, (status.st_uid, status.st_gid)
    elif not path.parent.exists():
        path.parent.mkdir(parents=True, mode=0o750)
        if owner is not None:
            os.chown(path.parent, *owner)
    write_private(path, render_kubeconfig(document), mode=mode, owner=owner)


def _read(path: Path) -> Document:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise _unusable(path, error.strerror or str(error)) from error
    try:
        document = yaml.safe_load(content)
    except yaml.YAMLError as error:
        raise _unusable(path, "it is not YAML") from error
    if document is None:
        return {}
    if not isinstance(document, dict) or document.get("kind", "Config") != "Config":
        raise _unusable(path, "it is not a kubeconfig")
    for key in _LISTS:
        entries = document.get(key)
        if entries is not None and not (
            isinstance(entries, list) and all(_name_of(entry) for entry in entries)
        ):
            raise _unusable(path, f"its {key} are not a list of named entries")
    return document


def _unusable(path: Path, why: str) -> UserError:
    return UserError(
        f"{path}: can't add a context: {why}",
        hint="it was left as it is; set KUBECONFIG to use Pinnace's own kubeconfig (pinnace env prints it)",
    )


def _merge_named(existing: list[Any], ours: list[Any]) -> list[Any]:
    replacements = {_name_of(entry): entry for entry in ours}
    merged = [_keep_choices(entry, replacements.pop(_name_of(entry), None)) for entry in existing]
    return merged + list(replacements.values())


def _keep_choices(existing: Any, ours: Any) -> Any:
    """Return our entry, with the namespace that the person has set on our context."""
    if ours is None:
        return existing
    namespace = (existing.get("context") or {}).get("namespace") if "context" in ours else None
    return {**ours, "context": {**ours["context"], "namespace": namespace}} if namespace else ours


def _leads_to(document: Document, cluster: str) -> bool:
    """Return whether the current context is of the cluster."""
    return any(
        (entry.get("context") or {}).get("cluster") == cluster
        for entry in document["contexts"]
        if _name_of(entry) == document["current-context"]
    )


def _name_of(entry: Any) -> str:
    return str(entry.get("name") or "") if isinstance(entry, dict) else ""


def _b64(content: bytes) -> str:
    return base64.b64encode(content).decode()
