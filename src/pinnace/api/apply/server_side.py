"""Decides what an apply makes of an object, and who owns which field afterwards.

Pure: the live document, the applied one, the manager and `now` in; the next document, its managedFields included, out.
Only appliers are kept as owners: a field that somebody changed by an ordinary update conflicts with nobody, and the next
apply that names it sets it again. What a manager applied before, and names no more, goes, unless another one names it.
Source: Kubernetes v1.36, sigs.k8s.io/structured-merge-diff/v6/merge/update.go; managedfields in apimachinery.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pinnace.api.apply.fieldsets import Path, collect_paths, from_tree, render_path, to_tree
from pinnace.api.apply.merging import ABSENT, merge_applied, remove_paths, value_at
from pinnace.base.errors import ApiError, Cause, Reason
from pinnace.base.times import render_time
from pinnace.kube.kinds import Kind
from pinnace.kube.quantity import canonical


@dataclass(frozen=True, slots=True)
class Applied:
    """One apply: who wants what, and whether it takes fields away from others."""

    manager: str
    document: Mapping[str, Any]
    subresource: str = ""
    force: bool = False


def apply_document(kind: Kind[Any], live: Mapping[str, Any], applied: Applied, now: float) -> dict[str, Any]:
    """Return the document after the apply.

    Raises: ApiError Conflict when another applier owns a field and wants another value.
    """
    entries = [dict(entry) for entry in live.get("metadata", {}).get("managedFields", ())]
    mine = next((entry for entry in entries if _is_mine(entry, applied)), None)
    paths = collect_paths(kind, applied.document)
    others = [entry for entry in entries if entry is not mine]
    _take_over(kind, live, applied, paths, others)
    held = frozenset[Path]().union(*(from_tree(entry.get("fieldsV1", {})) for entry in others))
    before = from_tree(mine.get("fieldsV1", {})) if mine else frozenset()
    merged = merge_applied(kind, live, applied.document)
    merged = remove_paths(kind, merged, before - paths - held)
    entry = mine if mine is not None and before == paths else _make_entry(kind, applied, paths, now)
    kept = [other for other in others if other.get("fieldsV1")]
    return {**merged, "metadata": {**merged.get("metadata", {}), "managedFields": [*kept, entry]}}


def _is_mine(entry: Mapping[str, Any], applied: Applied) -> bool:
    return (
        entry.get("manager") == applied.manager
        and entry.get("operation") == "Apply"
        and entry.get("subresource", "") == applied.subresource
    )


def _make_entry(kind: Kind[Any], applied: Applied, paths: frozenset[Path], now: float) -> dict[str, Any]:
    entry = {
        "manager": applied.manager,
        "operation": "Apply",
        "apiVersion": kind.api_version,
        "time": render_time(now),
        "fieldsType": "FieldsV1",
        "fieldsV1": to_tree(paths),
    }
    return {**entry, "subresource": applied.subresource} if applied.subresource else entry


def _take_over(
    kind: Kind[Any],
    live: Mapping[str, Any],
    applied: Applied,
    paths: frozenset[Path],
    others: list[dict[str, Any]],
) -> None:
    """Find what others own and the applied document wants otherwise; with force, take it out of their entries."""
    conflicts: list[tuple[str, Path]] = []
    for entry in others:
        theirs = from_tree(entry.get("fieldsV1", {}))
        lost = {path for path in theirs & paths if _differs(kind, live, applied.document, path)}
        conflicts.extend((str(entry.get("manager", "")), path) for path in sorted(lost))
        if lost and applied.force:
            entry["fieldsV1"] = to_tree(theirs - lost)
    if conflicts and not applied.force:
        raise _conflict(conflicts)


def _differs(kind: Kind[Any], live: Mapping[str, Any], document: Mapping[str, Any], path: Path) -> bool:
    if path[-1].startswith(("k:", "v:")):
        return False  # the item is there on both sides; its fields are compared one by one
    held, wanted = value_at(kind, live, path), value_at(kind, document, path)
    return held is not ABSENT and held != wanted and not _same_quantity(held, wanted)


def _same_quantity(one: Any, other: Any) -> bool:
    try:
        return canonical(one) == canonical(other)
    except (ValueError, TypeError):
        return False


def _conflict(conflicts: list[tuple[str, Path]]) -> ApiError:
    causes = [
        Cause("FieldManagerConflict", f'conflict with "{manager}"', render_path(path))
        for manager, path in conflicts
    ]
    managers = sorted({manager for manager, _ in conflicts})
    count = "1 conflict" if len(conflicts) == 1 else f"{len(conflicts)} conflicts"
    if len(managers) == 1:
        fields = [render_path(path) for _, path in conflicts]
        listed = f": {fields[0]}" if len(fields) == 1 else ":\n" + "\n".join(f"- {field}" for field in fields)
        message = f'Apply failed with {count}: conflict{"s" if len(fields) > 1 else ""} with "{managers[0]}"{listed}'
    else:
        parts = [
            f'conflicts with "{manager}":\n'
            + "\n".join(f"- {render_path(path)}" for owner, path in conflicts if owner == manager)
            for manager in managers
        ]
        message = f"Apply failed with {count}: " + "\n".join(parts)
    return ApiError(Reason.CONFLICT, message, causes=causes)
