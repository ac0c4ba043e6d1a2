"""`pinnace builder`: what the build cache keeps, and forgetting it. Words and output are those of Docker's `builder`."""

from __future__ import annotations

import json
import time
from typing import Any

import click

from pinnace.base.amounts import parse_amount, parse_span
from pinnace.base.errors import UserError
from pinnace.cli.client import Client
from pinnace.cli.output import print_table
from pinnace.cli.units import render_age, render_size
from pinnace.cli.verbs.images import confirm, say_reclaimed, short

TEXT_CHARACTERS = 60
AGES = ("until", "unused-for")
FILTER_HINT = "until=24h, type=regular or type=exec.cachemount, id=ID"


@click.group("builder")
def builder_command() -> None:
    """Look after the build cache."""


@builder_command.command("prune")
@click.option("-a", "--all", "every", is_flag=True, help="Also steps whose layers images have.")
@click.option(
    "--filter", "filters", multiple=True, metavar="KEY=VALUE", help="Only some: until=24h, type=TYPE, id=ID."
)
@click.option("--max-used-space", default="", metavar="SIZE", help="Keep what was used last, up to so much.")
@click.option("--keep-storage", default="", metavar="SIZE", hidden=True)
@click.option("-f", "--force", is_flag=True, help="Do not ask.")
@click.option("--verbose", is_flag=True, help="Show each thing that goes.")
def prune_command(
    every: bool, filters: tuple[str, ...], max_used_space: str, keep_storage: str, force: bool, verbose: bool
) -> None:
    """Forget cached steps and cache mounts, and remove the layers that no image needs."""
    bounds = read_bounds(filters, max_used_space or keep_storage)
    what = "all build cache" if every else "all build cache that no image has too"
    if not confirm(f"This will remove {what}.", force=force):
        return
    done = Client().post("/pinnace/v1/build/prune", {**bounds, "every": every})
    if verbose:
        _print_records(done["records"])
    print(f"Forgot {done['forgotten']} cached steps and mounts")
    say_reclaimed(done["freed"])


@builder_command.command("du")
@click.option("--filter", "filters", multiple=True, metavar="KEY=VALUE", help="Only some, as with prune.")
@click.option("--verbose", is_flag=True, help="All that is known of each.")
@click.option("--format", "form", default="table", metavar="FORM", help="table or json.")
def usage_command(filters: tuple[str, ...], verbose: bool, form: str) -> None:
    """Show what the build cache keeps, and what it weighs."""
    records = select(
        Client().get("/pinnace/v1/build/cache")["records"], read_bounds(filters, ""), time.time()
    )
    if form == "json":
        for record in records:
            print(json.dumps(record))
        return
    if form != "table":
        raise UserError(f"--format {form!r} is unknown", "table or json")
    if verbose:
        _print_records(records)
    else:
        now = time.time()
        print_table(
            ("ID", "RECLAIMABLE", "SIZE", "LAST ACCESSED", "DESCRIPTION"),
            [
                (
                    short(one["id"]),
                    "false" if one["shared"] or one["in_use"] else "true",
                    render_size(one["size"]),
                    f"{render_age(now - one['used'])} ago",
                    _shorten(one["text"]),
                )
                for one in records
            ],
        )
    for name, size in summarize(records):
        print(f"{name}:\t{render_size(size)}")


def read_bounds(filters: tuple[str, ...], most: str) -> dict[str, Any]:
    """Return what the daemon is told. Raises: UserError."""
    bounds: dict[str, Any] = {"ids": [], "types": []}
    for text in filters:
        name, equals, value = text.partition("=")
        if not equals or not value:
            raise UserError(f"invalid filter {text!r}", FILTER_HINT)
        if name in AGES:
            bounds["older_than_s"] = parse_span(value)
        elif name in ("id", "type"):
            bounds[name + "s"].append(value)
        else:
            raise UserError(f"invalid filter {name!r}", FILTER_HINT)
    if most:
        bounds["max_bytes"] = parse_amount(most)
    return bounds


def select(records: list[dict[str, Any]], bounds: dict[str, Any], now: float) -> list[dict[str, Any]]:
    """Return the records that filters leave."""
    return [
        one
        for one in records
        if one["used"] <= now - bounds.get("older_than_s", 0.0)
        and (not bounds["ids"] or any(one["id"].startswith(start) for start in bounds["ids"]))
        and (not bounds["types"] or one["type"] in bounds["types"])
    ]


def summarize(records: list[dict[str, Any]]) -> list[tuple[str, int]]:
    """Return the four sums below the table; a layer of several steps counts once."""
    sizes = {one["group"]: one for one in records}.values()
    shared = sum(one["size"] for one in sizes if one["shared"])
    private = sum(one["size"] for one in sizes if not one["shared"])
    busy = sum(one["size"] for one in sizes if one["in_use"])
    return [
        ("Shared", shared),
        ("Private", private),
        ("Reclaimable", private - busy),
        ("Total", shared + private),
    ]


def _print_records(records: list[dict[str, Any]]) -> None:
    now = time.time()
    for one in records:
        print(f"ID:\t\t{one['id']}")
        print(f"Created:\t{render_age(now - one['created'])} ago")
        print(f"Last used:\t{render_age(now - one['used'])} ago")
        print(f"Size:\t\t{render_size(one['size'])}")
        print(f"Shared:\t\t{'true' if one['shared'] else 'false'}")
        print(f"In use:\t\t{'true' if one['in_use'] else 'false'}")
        print(f"Type:\t\t{one['type']}")
        print(f"Description:\t{' '.join(one['text'].split())}\n")


def _shorten(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= TEXT_CHARACTERS else line[: TEXT_CHARACTERS - 1] + "…"
