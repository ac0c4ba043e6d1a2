"""What a table is: its columns and the function that makes one object's cells. Pure.

Each kind's table is one file beside this one, called `TABLE` there and listed in `__init__.py`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pinnace.base.times import parse_time
from pinnace.kube.objects.core_v1 import Container
from pinnace.kube.objects.meta_v1 import LabelSelector
from pinnace.kubeapi.durations import render_duration

T = TypeVar("T")

Cell = str | int | bool | None

NONE = "<none>"
UNKNOWN = "<unknown>"
UNSET = "<unset>"


@dataclass(frozen=True, slots=True)
class Column:
    """One column. Shape: `priority` 0 is always shown, 1 with `-o wide`; `format` "name" marks the object's name."""

    name: str
    description: str = ""
    type: str = "string"
    format: str = ""
    priority: int = 0

    def definition(self) -> dict[str, Any]:
        """Return the column as it is sent. Source: Kubernetes, meta/v1, TableColumnDefinition."""
        return {
            "name": self.name,
            "type": self.type,
            "format": self.format,
            "description": self.description,
            "priority": self.priority,
        }


@dataclass(frozen=True, slots=True)
class Table(Generic[T]):
    """The columns of one kind, and `cells(object, now)`, which gives one cell for each.

    `conditions` gives the row's own conditions, as for a pod that has ended.
    """

    columns: tuple[Column, ...]
    cells: Callable[[T, float], tuple[Cell, ...]]
    conditions: Callable[[T], list[dict[str, Any]]] | None = None


NAME = Column("Name", "The object's name, unique in its namespace.", format="name")
AGE = Column("Age", "How long ago the object was created.")
CONTAINERS = Column("Containers", "The template's containers.", priority=1)
IMAGES = Column("Images", "The images of the template's containers.", priority=1)
SELECTOR = Column("Selector", "Which pods belong to the object.", priority=1)


def render_since(timestamp: str, now: float) -> str:
    """Return how long ago `timestamp` was, "<unknown>" when there is none."""
    if not timestamp:
        return UNKNOWN
    try:
        return render_duration(now - parse_time(timestamp))
    except ValueError:
        return UNKNOWN


def render_labels(labels: Mapping[str, str]) -> str:
    """Return "a=1,b=2", or "<none>"."""
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items())) or NONE


def render_selector(selector: LabelSelector | None) -> str:
    """Return a label selector in the form that `kubectl -l` takes, or "<none>"."""
    if selector is None:
        return NONE
    terms = [(key, f"{key}={value}") for key, value in selector.match_labels.items()]
    terms += [
        (term.key, _render_term(term.key, term.operator, term.values)) for term in selector.match_expressions
    ]
    return ",".join(text for _, text in sorted(terms)) or NONE


def _render_term(key: str, operator: str, values: Iterable[str]) -> str:
    listed = ",".join(sorted(values))
    match operator:
        case "In":
            return f"{key} in ({listed})"
        case "NotIn":
            return f"{key} notin ({listed})"
        case "Exists":
            return key
        case "DoesNotExist":
            return f"!{key}"
        case _:
            return f"{key} {operator} ({listed})"


def render_containers(containers: Iterable[Container]) -> tuple[str, str]:
    """Return the names and the images, each joined by commas."""
    listed = tuple(containers)
    return ",".join(c.name for c in listed), ",".join(c.image for c in listed)


def render_some(items: list[str], most: int = 3, *, empty: str = NONE) -> str:
    """Return the first items, and how many more there are. Example: "a,b,c + 2 more..."."""
    if not items:
        return empty
    shown = ",".join(items[:most])
    return f"{shown} + {len(items) - most} more..." if len(items) > most else shown
