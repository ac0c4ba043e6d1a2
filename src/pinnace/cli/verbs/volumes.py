"""`pinnace volume`: named volumes."""

from __future__ import annotations

import json
from urllib.parse import quote

import click

from pinnace.base.errors import ApiError, HostError
from pinnace.cli.client import Client
from pinnace.cli.output import print_error, print_table

PATH = "/pinnace/v1/volumes"


@click.group("volume")
def volume_command() -> None:
    """List, make, show and remove volumes."""


@volume_command.command("ls")
@click.option("-q", "--quiet", is_flag=True, help="Only names.")
def list_command(quiet: bool) -> None:
    """List volumes."""
    rows = Client().get(PATH)["volumes"]
    if quiet:
        for row in rows:
            print(row["Name"])
        return
    print_table(("DRIVER", "VOLUME NAME"), ((row["Driver"], row["Name"]) for row in rows))


@volume_command.command("create")
@click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", help="Label of the volume.")
@click.argument("name", required=False)
def create_command(labels: tuple[str, ...], name: str | None) -> None:
    """Make a volume; without a name it gets one."""
    pairs = dict(label.partition("=")[::2] for label in labels)
    print(Client().post(PATH, {"name": name or "", "labels": pairs})["Name"])


@volume_command.command("inspect")
@click.argument("names", nargs=-1, required=True)
def inspect_command(names: tuple[str, ...]) -> None:
    """Show volumes as JSON."""
    client = Client()
    print(json.dumps([client.get(f"{PATH}/{quote(name, safe='')}") for name in names], indent=4))


@volume_command.command("rm")
@click.argument("names", nargs=-1, required=True)
def remove_command(names: tuple[str, ...]) -> int:
    """Remove volumes with all that is in them."""
    client, code = Client(), 0
    for name in names:
        try:
            client.delete(f"{PATH}/{quote(name, safe='')}")
        except (ApiError, HostError) as error:
            print_error(error.message, hint=error.hint)
            code = 1
            continue
        print(name)
    return code
