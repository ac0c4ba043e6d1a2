"""What each kind and field is for, in a sentence of our own: `kubectl explain` and `describe` of schemas print them.

One text file per module of `kube.objects`: "[Struct] sentence", then "field: sentence" lines. A section "[*]" holds the
sentences that a module's structs share; `shared.txt` those of all modules. Read once, on demand; only OpenAPI uses it.
Invariant: a struct's own sentence comes before its module's, and that before the one of all modules.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources

_SHARED = "*"


def describe_struct(module: str, struct: str) -> str:
    """Return what a struct is, "" if nobody has said so. Example: ("core_v1", "Pod")."""
    return _read(module).get(struct, {}).get("", "")


def describe_field(module: str, struct: str, field: str) -> str:
    """Return what a field, by its name on the wire, is for; "" if nobody has said so."""
    sections = _read(module)
    for table in (sections.get(struct, {}), sections.get(_SHARED, {}), _shared()):
        if field in table:
            return table[field]
    return ""


def describe_everywhere(field: str) -> str:
    """Return what a field of this name is for in whatever struct; "" if that differs."""
    return _shared().get(field, "")


def structs_of(module: str) -> Mapping[str, Mapping[str, str]]:
    """Return all that a module's file says: struct -> field -> sentence; the struct's own is under ""."""
    return {name: table for name, table in _read(module).items() if name != _SHARED}


@cache
def _read(module: str) -> dict[str, dict[str, str]]:
    file = resources.files(__name__) / f"{module}.txt"
    return parse_descriptions(file.read_text("utf-8")) if file.is_file() else {}


@cache
def _shared() -> dict[str, str]:
    file = resources.files(__name__) / "shared.txt"
    return parse_descriptions(f"[{_SHARED}]\n{file.read_text('utf-8')}")[_SHARED]


def parse_descriptions(text: str) -> dict[str, dict[str, str]]:
    """Return section -> name -> sentence. Raises: ValueError for a line that is neither."""
    sections: dict[str, dict[str, str]] = {}
    table: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if line.startswith("["):
            name, _, sentence = line[1:].partition("]")
            table = sections.setdefault(name, {})
            if sentence.strip():
                table[""] = sentence.strip()
            continue
        name, colon, sentence = line.partition(": ")
        if not colon or name in table:
            raise ValueError(f"line {number} is no new field: {line!r}")
        table[name] = sentence.strip()
    return sections
