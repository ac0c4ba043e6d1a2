"""Prints tables as kubectl does: the server's columns, padded; a watch adds rows and keeps the widths.

Source: Kubernetes v1.36, k8s.io/cli-runtime/pkg/printers/tabwriter.go and tableprinter.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

MIN_WIDTH = 6
PADDING = 3
NONE = "<none>"

Row = Sequence[str]


class Columns:
    """Lays rows out below each other; a column gets wider when it must, never narrower."""

    def __init__(self, *, min_width: int = MIN_WIDTH, padding: int = PADDING) -> None:
        self._min_width = min_width
        self._padding = padding
        self._widths: list[int] = []

    def render(self, rows: Iterable[Row]) -> str:
        """Return the rows as lines, "" when there are none."""
        rows = [[_flat(cell) for cell in row] for row in rows]
        for row in rows:
            self._widths += [self._min_width] * (len(row) - len(self._widths))
            for index, cell in enumerate(row[:-1]):
                self._widths[index] = max(self._widths[index], len(cell) + self._padding)
        return "".join(self._line(row) for row in rows)

    def _line(self, row: Row) -> str:
        cells = [cell.ljust(width) for cell, width in zip(row[:-1], self._widths, strict=False)]
        return "".join((*cells, *row[-1:])) + "\n"


def _flat(cell: str) -> str:
    """Return a cell that stays on its line. Source: kubectl, tableprinter.go: the first line, and a mark of more."""
    first, newline, _ = cell.partition("\n")
    return f"{first}..." if newline else first


class TableView:
    """Turns `Table` documents of one kind into rows: which columns, which extra ones, how names are shown."""

    def __init__(
        self,
        *,
        wide: bool = False,
        with_namespace: bool = False,
        with_labels: bool = False,
        label_columns: Sequence[str] = (),
        prefix: str = "",
    ) -> None:
        self._wide = wide
        self._with_namespace = with_namespace
        self._with_labels = with_labels
        self._label_columns = label_columns
        self._prefix = prefix
        self._shown: list[int] = []
        self._name_at = 0

    def header(self, table: dict[str, Any]) -> Row:
        """Take over the columns of a table, and return the header."""
        columns = table["columnDefinitions"]
        self._shown = [index for index, column in enumerate(columns) if self._wide or not column["priority"]]
        self._name_at = next((i for i, column in enumerate(columns) if column["name"] == "Name"), -1)
        names = [columns[index]["name"].upper() for index in self._shown]
        last = ["LABELS"] if self._with_labels else []
        extra = [label.rpartition("/")[2].upper() for label in self._label_columns]
        return [*(["NAMESPACE"] if self._with_namespace else []), *names, *extra, *last]

    def rows(self, table: dict[str, Any]) -> list[Row]:
        """Return the rows of a table whose columns are those of the last header."""
        return [self._row(row) for row in table["rows"]]

    def _row(self, row: dict[str, Any]) -> Row:
        meta = (row.get("object") or {}).get("metadata", {})
        labels = meta.get("labels", {})
        cells = [self._cell(index, row["cells"][index]) for index in self._shown]
        if self._with_namespace:
            cells.insert(0, meta.get("namespace", ""))
        cells += [labels.get(label, "") for label in self._label_columns]
        if self._with_labels:
            cells.append(",".join(f"{key}={value}" for key, value in sorted(labels.items())) or NONE)
        return cells

    def _cell(self, index: int, value: Any) -> str:
        text = NONE if value is None else str(value).lower() if isinstance(value, bool) else str(value)
        return self._prefix + text if index == self._name_at else text
