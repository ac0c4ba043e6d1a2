"""Says whom an apply conflicts with, in Kubernetes' words. Pure.

Source: Kubernetes v1.37, apimachinery/pkg/util/managedfields/internal/conflict.go; structured-merge-diff v6, merge/conflict.go
"""

from __future__ import annotations

from collections.abc import Mapping

from pinnace.api.apply.managed import UPDATE, Owner
from pinnace.api.apply.sets import Fields, paths, render_path
from pinnace.base.errors import ApiError, Cause, Reason


def name_owner(owner: Owner) -> str:
    """Return an owner as errors show it. Example: "kubectl-edit" with subresource "status" using apps/v1"""
    shown = f'"{owner.manager}"'
    if owner.subresource:
        shown += f' with subresource "{owner.subresource}"'
    return f"{shown} using {owner.api_version}" if owner.operation == UPDATE else shown


def conflict_error(conflicts: Mapping[Owner, Fields]) -> ApiError:
    """Return the refusal of an apply that others' fields stand against."""
    found = [
        (name_owner(owner), render_path(path))
        for owner in sorted(conflicts)
        for path in paths(conflicts[owner])
    ]
    causes = [Cause("FieldManagerConflict", f"conflict with {owner}", path) for owner, path in found]
    if len(found) == 1:
        ((owner, path),) = found
        return ApiError(
            Reason.CONFLICT, f"Apply failed with 1 conflict: conflict with {owner}: {path}", causes=causes
        )
    lines: list[str] = []
    named = ""
    for owner, path in found:
        if owner != named:
            lines.append(f"conflicts with {owner}:")
            named = owner
        lines.append(f"- {path}")
    listed = "\n".join(lines)
    return ApiError(Reason.CONFLICT, f"Apply failed with {len(found)} conflicts: {listed}", causes=causes)
