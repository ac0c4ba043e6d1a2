"""Renders the lists of what is stored and not acted on, for docs/compatibility.md. Called by generate_docs.py."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from pinnace.api.unacted import ROWS
from pinnace.api.unacted_pods import POD_SPEC
from pinnace.api.unacted_row import Unacted
from pinnace.kube import kinds

BEGIN = "<!-- What follows is written by tools/generate_docs.py from src/pinnace/api/unacted.py. -->"
END = "<!-- What precedes is written by tools/generate_docs.py. -->"

Render = Callable[[Sequence[str], Iterable[Sequence[str]]], str]


def render_unacted(render_table: Render) -> str:
    """Return the section: kinds first, then fields kind by kind, those of a pod's spec once."""
    whole = [(_name(row), row.why) for row in ROWS if not row.path]
    hidden = {row.resource for row in ROWS if not row.path}
    in_pods = {
        (f"{prefix}.{row.path}", row.why) for row in POD_SPEC for prefix in ("spec", "spec.template.spec")
    }
    fields = [
        (_name(row), _field(row), row.why)
        for row in ROWS
        if row.path and row.resource not in hidden and (row.path, row.why) not in in_pods
    ]
    return f"""{BEGIN}

Kinds of which only the object is there:

{render_table(("kind", "why"), sorted(whole))}
Fields of a pod's `spec`, in a Pod and in the template of a workload:

{render_table(("field", "why"), _merge_containers(POD_SPEC))}
Fields of other kinds:

{render_table(("kind", "field", "why"), sorted(fields))}
{END}"""


def replace_unacted(page: str, section: str) -> str:
    """Return the page with this section between the marks. Raises: ValueError when there are none."""
    before, found, rest = page.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not found or not ended:
        raise ValueError("the page has no marks to write between")
    return before + section + after


def _name(row: Unacted) -> str:
    kind: Any = kinds.by_resource(row.resource)
    return f"{kind.kind} ({kind.api_version})"


def _field(row: Unacted) -> str:
    values = " or ".join(
        f"`{str(value).lower() if isinstance(value, bool) else value}`" for value in row.only
    )
    return f"`{row.path}`" + (f" when it is {values}" if values else "")


def _merge_containers(rows: Sequence[Unacted]) -> list[tuple[str, str]]:
    """Name once what concerns all sorts of containers alike, and volumes' types in one row."""
    reasons: dict[str, str] = {}
    volumes: dict[str, list[str]] = {}
    shared = {(row.path, row.why) for row in rows}
    for row in rows:
        field = _field(row)
        owner, _, rest = row.path.partition("[].")
        if owner in ("initContainers", "ephemeralContainers") and (f"containers[].{rest}", row.why) in shared:
            continue
        if row.path.startswith("volumes[].") and row.path.count(".") == 1:
            volumes.setdefault(row.why, []).append(field.replace("volumes[].", ""))
            continue
        reasons[field] = row.why
    merged = list(reasons.items())
    merged += [(f"`volumes[]`: {', '.join(names)}", why) for why, names in volumes.items()]
    return sorted(merged)
