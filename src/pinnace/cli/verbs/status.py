"""`pinnace status`: what runs, and what was chosen for this host."""

from __future__ import annotations

import json

import click

from pinnace.cli.client import Client


@click.command("status")
@click.option("-o", "output", type=click.Choice(["text", "json"]), default="text", help="Form of the output.")
def status_command(output: str) -> None:
    """Show what runs, and what was chosen for this host."""
    status = Client().get("/pinnace/v1/status")
    if output == "json":
        print(json.dumps(status, indent=2))
        return
    width = max(len(row["name"]) for row in status["rows"])
    for row in status["rows"]:
        print(f"{row['name']:<{width}}  {row['value']}")
