"""Options that several Kubernetes verbs have."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import click

from pinnace.base.errors import UserError

Decorator = Callable[[Any], Any]

namespace_option: Decorator = click.option(
    "-n", "--namespace", default="default", metavar="NAME", help="The namespace (default)."
)
all_namespaces_option: Decorator = click.option(
    "-A", "--all-namespaces", is_flag=True, help="All namespaces."
)
selector_option: Decorator = click.option(
    "-l", "--selector", default="", metavar="LABELS", help="Only objects with these labels: a=b,c!=d."
)
files_option: Decorator = click.option(
    "-f",
    "--filename",
    "files",
    multiple=True,
    metavar="FILE",
    help="A file, a folder, or - for standard input.",
)
recursive_option: Decorator = click.option(
    "-R", "--recursive", is_flag=True, help="Folders within folders too."
)
no_headers_option: Decorator = click.option("--no-headers", is_flag=True, help="Rows only.")
timeout_option: Decorator = click.option(
    "--timeout", default="0s", metavar="TIME", help="How long to wait: 30s, 5m, 1h; 0 waits for ever."
)

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse_duration_s(text: str) -> float:
    """Return the seconds that a duration means, as Go writes them.

    Raises: UserError.
    Example: "1m30s" → 90, "500ms" → 0.5, "0" → 0.
    """
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h)", text)
    if "".join(number + unit for number, unit in parts) != text or not parts:
        if text == "0":
            return 0.0
        raise UserError(f"{text!r} is no duration", hint="like 30s, 5m or 1h")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)
