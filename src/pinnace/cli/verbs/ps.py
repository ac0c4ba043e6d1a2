"""`pinnace ps`: containers, in Docker's columns."""

from __future__ import annotations

import json
import re
import time
from typing import Any
from urllib.parse import urlencode

import click

from pinnace.base.errors import UserError
from pinnace.base.times import parse_time
from pinnace.cli.client import Client
from pinnace.cli.output import print_table
from pinnace.cli.units import render_age

HEALTH = {"starting": " (health: starting)", "healthy": " (healthy)", "unhealthy": " (unhealthy)"}
COMMAND_CHARACTERS = 20  # Source: docker/cli, cli/command/formatter/container.go
ID_CHARACTERS = 12
HEADER = ("CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES")


@click.command("ps")
@click.option("-a", "--all", "every", is_flag=True, help="Those that have ended too.")
@click.option("-q", "--quiet", is_flag=True, help="Only ids.")
@click.option("-n", "--last", type=int, default=0, metavar="N", help="The last ones that were created.")
@click.option("-l", "--latest", is_flag=True, help="The last one that was created.")
@click.option("--no-trunc", is_flag=True, help="Whole ids and commands.")
@click.option(
    "-f", "--filter", "filters", multiple=True, metavar="KEY=VALUE", help="Only some: name, status, label, …"
)
@click.option(
    "--format", "form", default="table", metavar="FORM", help="table, json, or a template: '{{.Names}}'."
)
def ps_command(
    every: bool, quiet: bool, last: int, latest: bool, no_trunc: bool, filters: tuple[str, ...], form: str
) -> None:
    """List containers."""
    last = 1 if latest else last
    query = [*((("all", "1"),) if every or last else ()), *(("filter", text) for text in filters)]
    rows = Client().get(f"/pinnace/v1/containers?{urlencode(query)}")["containers"]
    cells = [render_row(row, time.time(), whole=no_trunc) for row in (rows[:last] if last else rows)]
    if quiet:
        for row in cells:
            print(row["ID"])
    elif form == "json":
        for row in cells:
            print(json.dumps(row))
    elif "{{" in form:
        for row in cells:
            print(render_template(form, row))
    elif form == "table":
        print_table(
            HEADER,
            (
                [r["ID"], r["Image"], r["Command"], r["RunningFor"], r["Status"], r["Ports"], r["Names"]]
                for r in cells
            ),
        )
    else:
        raise UserError(f"--format {form!r} is unknown", "table, json, or a template: '{{.ID}} {{.Names}}'")


def render_row(row: dict[str, Any], now: float, *, whole: bool) -> dict[str, str]:
    """Return the cells of one container, by the names that Docker's templates use."""
    text = " ".join(row["command"])
    if not whole and len(text) > COMMAND_CHARACTERS:
        text = text[: COMMAND_CHARACTERS - 1] + "…"
    return {
        "ID": row["id"] if whole else row["id"][:ID_CHARACTERS],
        "Image": row["image"],
        "Command": json.dumps(text, ensure_ascii=False),
        "CreatedAt": row["created"],
        "RunningFor": f"{render_age(now - parse_time(row['created']))} ago",
        "Status": render_status(row, now),
        "State": row["state"],
        "Ports": row["ports"],
        "Names": row["name"],
        "Labels": ",".join(f"{key}={value}" for key, value in row["labels"].items()),
        "Mounts": ",".join(row["mounts"]),
        "Networks": row["networks"],
    }


def render_status(row: dict[str, Any], now: float) -> str:
    """Return the STATUS cell. Example: "Up 3 seconds", "Exited (0) 2 minutes ago". Source: moby, container/state.go, String."""
    state, code = row["state"], row["exit_code"]
    if state == "running":
        health = HEALTH.get(row.get("health", ""), "")
        return f"Up {render_age(now - parse_time(row['started_at']))}{health}"
    if state == "created":
        return "Created"
    if state == "removing":
        return "Removal In Progress"
    word = "Restarting" if state == "restarting" else "Exited"
    ago = f" {render_age(now - parse_time(row['finished_at']))} ago" if row["finished_at"] else ""
    return f"{word} ({code}){ago}"


def render_template(form: str, row: dict[str, str]) -> str:
    """Fill a template of {{.Field}}s. Raises: UserError for a field that there isn't."""

    def fill(match: re.Match[str]) -> str:
        if match[1] not in row:
            raise UserError(f"--format: there is no field {match[1]!r}", f"one of {', '.join(row)}")
        return row[match[1]]

    text = form.removeprefix("table ")
    return re.sub(r"\{\{\s*\.(\w+)\s*\}\}", fill, text.replace("\\t", "\t").replace("\\n", "\n"))
