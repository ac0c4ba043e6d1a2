"""What a CustomResourceDefinition says of one version of a kind, in the form in which everybody else asks it.

A `Kind` row of a custom kind carries one. Built by `api/definitions`; read by the codec, discovery, OpenAPI, tables,
selectors, patches. Invariant: frozen, and replaced as a whole when the definition changes.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pinnace.kube.schema import Shape

if TYPE_CHECKING:
    from pinnace.kube.kinds import Kind
    from pinnace.kube.structural import Structural


@dataclass(frozen=True, slots=True)
class PrinterColumn:
    """One column of the kind's table. `type` and `format` are OpenAPI's, and "date" for a time shown as an age."""

    name: str
    type: str
    path: str
    description: str = ""
    format: str = ""
    priority: int = 0


@dataclass(frozen=True, slots=True)
class ScalePaths:
    """Where the `scale` view finds its numbers, as paths of field names; `selector` is () where there is none."""

    spec_replicas: tuple[str, ...]
    status_replicas: tuple[str, ...]
    selector: tuple[str, ...] = ()


@dataclass(eq=False)
class Family:
    """All versions of one definition. `clean` notes, by the store's key, the hash of stored bytes that can be served as they are.

    `uid` and `name` are the definition's; `stored` is the version in which objects are kept, whether it is served or not.
    `memory` keeps what others derive from the versions. Filled in once, by its builder.
    """

    uid: str
    name: str
    rows: dict[str, Kind[Any]] = field(default_factory=dict)
    served: list[str] = field(default_factory=list)
    clean: dict[Hashable, int] = field(default_factory=dict)
    memory: dict[Hashable, Any] = field(default_factory=dict)
    storage_version: str = ""
    terminating: bool = False

    @property
    def stored(self) -> Kind[Any]:
        return self.rows[self.storage_version]


@dataclass(frozen=True, eq=False)
class CustomVersion:
    """One version. `schema` is the definition's openAPIV3Schema as it was written; `structural` the same, compiled.

    `selectable` maps the name of a field in selectors to its path. `warning` is what a deprecated version tells, "" for
    one that is none.
    """

    family: Family
    schema: Mapping[str, Any]
    structural: Structural
    shape: Shape
    columns: tuple[PrinterColumn, ...] = ()
    selectable: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    scale: ScalePaths | None = None
    warning: str = ""
