"""Rows in the forms that Docker's `--format` knows: a table, a table of a template, JSON lines, a template."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pinnace.base.errors import UserError
from pinnace.cli.output import print_table
from pinnace.cli.template_values import render_json
from pinnace.cli.templates import parse_template

Columns = Mapping[str, str]  # field → heading


def print_rows(
    rows: Sequence[Mapping[str, str]], columns: Columns, shown: Sequence[str], form: str = "table"
) -> None:
    """Print rows. `columns` are all fields with their headings; `shown` those of the plain table.

    Raises: UserError for a template that can't be read or a field that there isn't.
    """
    if form in ("table", ""):
        print_table([columns[one] for one in shown], [[row[one] for one in shown] for row in rows])
    elif form == "json":
        for row in rows:
            print(render_json(dict(sorted(row.items()))))
    elif form.startswith("table "):
        text = unescape(form.removeprefix("table ").strip())
        template = parse_template(text)
        lines = [template.render(one) for one in (columns, *rows)]
        head, *cells = [line.split("\t") for line in lines]
        width = max(len(line) for line in (head, *cells))
        print_table(head + [""] * (width - len(head)), [one + [""] * (width - len(one)) for one in cells])
    elif "{{" in form:
        template = parse_template(unescape(form))
        for row in rows:
            print(template.render(row))
    else:
        raise UserError(
            f"--format {form!r} is unknown", "table, json, 'table {{.ID}}\\t{{.Size}}', or '{{.ID}}'"
        )


def unescape(text: str) -> str:
    """Return a template with \\t and \\n as a person writes them on a command line made real."""
    return re.sub(r"\\([tn])", lambda match: {"t": "\t", "n": "\n"}[match[1]], text)


def render_value(value: Any, form: str) -> str:
    """Return one document in the form of `inspect --format`: "json", or a template."""
    return render_json(value) if form == "json" else parse_template(form).render(value)
