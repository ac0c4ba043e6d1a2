"""Applies a patch of any of the four content types to an object's JSON value.

Called by the write path. Pure: never looks at a store. Invariant: the given document is not changed.
"""

from dataclasses import dataclass
from enum import Enum


class PatchType(Enum):
    """The patch dialects, by content type. Source: Kubernetes v1.36, apimachinery/pkg/types, PatchType."""

    JSON = "application/json-patch+json"
    MERGE = "application/merge-patch+json"
    STRATEGIC = "application/strategic-merge-patch+json"
    APPLY = "application/apply-patch+yaml"


@dataclass(frozen=True, slots=True)
class Patch:
    """One patch as it came: its content type (parameters are ignored) and its body."""

    content_type: str
    body: bytes
