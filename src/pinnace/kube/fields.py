"""Paths of fields, as validation causes name them.

Pure text. A path is built from the outside in and rendered once a cause needs it.
Source: Kubernetes v1.36, apimachinery/pkg/util/validation/field/path.go
"""

from __future__ import annotations


class Path:
    """Where a field stands in an object.

    Example: str(Path("spec").child("containers").index(0).child("name")) == "spec.containers[0].name", and
    str(Path("metadata").child("labels").key("app")) == "metadata.labels[app]".
    """

    __slots__ = ("_text",)

    def __init__(self, *names: str) -> None:
        self._text = ".".join(names)

    def child(self, *names: str) -> Path:
        """Return the path of a field, or of a field of a field."""
        return Path(self._text, *names) if self._text else Path(*names)

    def index(self, position: int) -> Path:
        """Return the path of a list's item."""
        return Path(f"{self._text}[{position}]")

    def key(self, key: str) -> Path:
        """Return the path of a map's value."""
        return Path(f"{self._text}[{key}]")

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"Path({self._text})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Path) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)
