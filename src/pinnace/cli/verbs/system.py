"""`pinnace system`: what uses the disk, and giving back what nobody uses."""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.parse import quote, urlencode

import click

from pinnace.base.errors import ApiError, HostError, UserError
from pinnace.base.times import parse_time
from pinnace.cli.client import Client
from pinnace.cli.formats import print_rows
from pinnace.cli.output import print_error, print_table
from pinnace.cli.units import render_age, render_size
from pinnace.cli.verbs.image_group import prune_images
from pinnace.cli.verbs.images import FORM_HELP, confirm, say_reclaimed, short

COLUMNS = {
    "Type": "TYPE",
    "TotalCount": "TOTAL",
    "Active": "ACTIVE",
    "Size": "SIZE",
    "Reclaimable": "RECLAIMABLE",
}
ENDED = ("created", "exited")
CACHE_TEXT_CHARACTERS = 45


@click.group("system")
def system_command() -> None:
    """Show what uses the disk; give back what nobody uses."""


@system_command.command("df")
@click.option("-v", "--verbose", is_flag=True, help="Each image, container, volume and cached step.")
@click.option("--format", "form", default="table", metavar="FORM", help=FORM_HELP)
def df_command(verbose: bool, form: str) -> None:
    """Show how much disk images, containers, volumes and the build cache use."""
    usage = Client().get("/pinnace/v1/disk-usage")
    if not verbose:
        print_rows(summarize(usage), COLUMNS, list(COLUMNS), form)
    elif form == "json":
        print(json.dumps(usage))
    else:
        _print_all(usage, time.time())


def summarize(usage: dict[str, Any]) -> list[dict[str, str]]:
    """Return the four lines of `df`."""
    images, containers, volumes, cache = (usage[key] for key in ("images", "containers", "volumes", "cache"))
    ended = [row for row in containers if row["state"] in ENDED]
    unused = [row for row in volumes if not row["links"]]
    own = [row for row in cache if not row["shared"]]
    return [
        _line("Images", images["total"], images["active"], images["size"], images["reclaimable"]),
        _line(
            "Containers",
            len(containers),
            len(containers) - len(ended),
            _weigh(containers),
            _weigh(ended),
        ),
        _line("Local Volumes", len(volumes), len(volumes) - len(unused), _weigh(volumes), _weigh(unused)),
        _line("Build Cache", len(cache), 0, _weigh(own), _weigh(own), percent=False),
    ]


def _weigh(rows: list[dict[str, Any]]) -> int:
    return sum(row["size"] for row in rows)


def _line(
    what: str, total: int, active: int, size: int, reclaimable: int, *, percent: bool = True
) -> dict[str, str]:
    share = f" ({reclaimable * 100 // size}%)" if percent and size else ""
    return {
        "Type": what,
        "TotalCount": str(total),
        "Active": str(active),
        "Size": render_size(size),
        "Reclaimable": render_size(reclaimable) + share,
    }


def _print_all(usage: dict[str, Any], now: float) -> None:
    print("Images space usage:\n")
    print_table(
        (
            *("REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE", "SHARED SIZE", "UNIQUE SIZE"),
            "CONTAINERS",
        ),
        [
            (
                row["repository"],
                row["tag"],
                short(row["id"]),
                f"{render_age(now - row['created'])} ago" if row["created"] else "N/A",
                render_size(row["size"]),
                render_size(row["shared"]),
                render_size(row["unique"]),
                str(row["containers"]),
            )
            for row in usage["images"]["rows"]
        ],
    )
    print("\nContainers space usage:\n")
    from pinnace.cli.verbs.ps import render_row

    cells = [(row, render_row(row, now, whole=False)) for row in usage["containers"]]
    print_table(
        ("CONTAINER ID", "IMAGE", "COMMAND", "LOCAL VOLUMES", "SIZE", "CREATED", "STATUS", "NAMES"),
        [
            (
                cell["ID"],
                cell["Image"],
                cell["Command"],
                str(sum(1 for mount in row["mounts"] if not mount.startswith("/"))),
                render_size(row["size"]),
                cell["RunningFor"],
                cell["Status"],
                cell["Names"],
            )
            for row, cell in cells
        ],
    )
    print("\nLocal Volumes space usage:\n")
    print_table(
        ("VOLUME NAME", "LINKS", "SIZE"),
        [(row["name"], str(row["links"]), render_size(row["size"])) for row in usage["volumes"]],
    )
    own = sum(row["size"] for row in usage["cache"] if not row["shared"])
    print(f"\nBuild cache usage: {render_size(own)}\n")
    print_table(
        ("CACHE ID", "STEP", "SIZE", "CREATED", "LAST USED", "SHARED"),
        [
            (
                short(row["id"]),
                _shorten(row["text"]),
                render_size(row["size"]),
                f"{render_age(now - row['created'])} ago",
                f"{render_age(now - row['used'])} ago",
                "true" if row["shared"] else "false",
            )
            for row in usage["cache"]
        ],
    )


def _shorten(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= CACHE_TEXT_CHARACTERS else line[: CACHE_TEXT_CHARACTERS - 1] + "…"


@system_command.command("prune")
@click.option("-a", "--all", "every", is_flag=True, help="All unused images, not only unnamed ones.")
@click.option("--volumes", is_flag=True, help="Unused anonymous volumes too.")
@click.option("-f", "--force", is_flag=True, help="Do not ask.")
@click.option(
    "--filter", "filters", multiple=True, metavar="KEY=VALUE", help="Only some: until=24h, label=KEY[=VALUE]."
)
def prune_command(every: bool, volumes: bool, force: bool, filters: tuple[str, ...]) -> None:
    """Remove ended containers, unused images and the build cache."""
    what = ["all stopped containers"]
    what += ["all anonymous volumes not used by at least one container"] if volumes else []
    what += [
        "all images without at least one container associated to them" if every else "all dangling images",
        "unused build cache",
    ]
    text = "This will remove:\n" + "".join(f"  - {one}\n" for one in what)
    if not confirm(text, force=force):
        return
    client = Client()
    freed = _prune_containers(client, filters)
    if volumes:
        freed += _prune_volumes(client)
    freed += prune_images(client, every=every, filters=filters, total=False)
    if not filters:
        freed += client.post("/pinnace/v1/build/prune")["freed"]
    say_reclaimed(freed)


def _prune_containers(client: Client, filters: tuple[str, ...]) -> int:
    from pinnace.cli.verbs.containers import parse_moment

    until = [parse_moment(text[6:]) for text in filters if text.startswith("until=")]
    labels = [("filter", text) for text in filters if text.startswith("label=")]
    sizes = {row["id"]: row["size"] for row in client.get("/pinnace/v1/disk-usage")["containers"]}
    rows = client.get(f"/pinnace/v1/containers?{urlencode([('all', '1'), *labels])}")["containers"]
    gone = []
    for row in rows:
        if row["state"] not in ENDED or any(parse_time(row["created"]) >= limit for limit in until):
            continue
        try:
            client.delete(f"/pinnace/v1/containers/{row['id']}")
            gone.append(row["id"])
        except (ApiError, HostError, UserError) as error:
            print_error(error.message, hint=error.hint)
    if gone:
        print("Deleted Containers:", *gone, "", sep="\n")
    return sum(sizes.get(one, 0) for one in gone)


def _prune_volumes(client: Client) -> int:
    gone, freed = [], 0
    for row in client.get("/pinnace/v1/disk-usage")["volumes"]:
        anonymous = len(row["name"]) == 64 and not row["name"].strip("0123456789abcdef")
        if row["links"] or not anonymous:
            continue
        try:
            client.delete(f"/pinnace/v1/volumes/{quote(row['name'], safe='')}")
            gone.append(row["name"])
            freed += row["size"]
        except (ApiError, HostError, UserError) as error:
            print_error(error.message, hint=error.hint)
    if gone:
        print("Deleted Volumes:", *gone, "", sep="\n")
    return freed
