"""The verbs about images: `images`, `import`, `tag`, `rmi`, `inspect`."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from typing import IO, Any
from urllib.parse import quote, urlencode

import click

from pinnace.base.errors import ApiError, Reason, UserError
from pinnace.cli.client import Client
from pinnace.cli.output import print_table, say
from pinnace.cli.units import render_age, render_size

CHUNK_BYTES = 256 * 1024


def short(image_id: str) -> str:
    """Return an id as tables show it. Example: "sha256:0123456789ab…" → "0123456789ab"."""
    return image_id.removeprefix("sha256:")[:12]


@click.command("images")
@click.argument("repository", required=False)
@click.option("-q", "--quiet", is_flag=True, help="Only ids.")
@click.option("--no-trunc", is_flag=True, help="Whole ids.")
@click.option(
    "--format", "form", type=click.Choice(["table", "json"]), default="table", help="Form of the output."
)
def images_command(repository: str | None, quiet: bool, no_trunc: bool, form: str) -> None:
    """List images."""
    rows = Client().get("/pinnace/v1/images")["images"]
    if repository:
        name, _, tag = repository.partition(":")
        rows = [row for row in rows if row["repository"] == name and (not tag or row["tag"] == tag)]
    if form == "json":
        for row in rows:
            print(json.dumps(row))
        return
    if quiet:
        for image_id in dict.fromkeys(row["id"] for row in rows):
            print(image_id if no_trunc else short(image_id))
        return
    now = time.time()
    print_table(
        ("REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"),
        (
            (
                row["repository"],
                row["tag"],
                row["id"] if no_trunc else short(row["id"]),
                render_age(now - row["created"]) + " ago" if row["created"] else "N/A",
                render_size(row["size"]),
            )
            for row in rows
        ),
    )


@click.command("import")
@click.argument("file")
@click.argument("reference", required=False)
@click.option(
    "-c", "--change", "changes", multiple=True, metavar="INSTRUCTION", help="Apply a Dockerfile instruction."
)
@click.option("-m", "--message", default="", help="Message for the image's history.")
def import_command(file: str, reference: str | None, changes: tuple[str, ...], message: str) -> None:
    """Make an image of a root filesystem's tar ("-" for standard input)."""
    query = [("reference", reference or ""), ("message", message or f"Imported from {file}")]
    query += [("change", change) for change in changes]
    stream = sys.stdin.buffer if file == "-" else _open(file)
    with stream:
        answer = Client().open(
            "POST",
            f"/pinnace/v1/images?{urlencode(query)}",
            _chunks(stream),
            content_type="application/x-tar",
        )
        print(json.loads(answer.read())["id"])


def _open(path: str) -> IO[bytes]:
    try:
        return open(path, "rb")
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error


def _chunks(stream: IO[bytes]) -> Iterator[bytes]:
    while chunk := stream.read(CHUNK_BYTES):
        yield chunk


@click.command("tag")
@click.argument("source")
@click.argument("target")
def tag_command(source: str, target: str) -> None:
    """Give an image one more name."""
    Client().post(f"/pinnace/v1/images/{quote(source, safe='')}/tags", {"reference": target})


@click.command("rmi")
@click.argument("names", nargs=-1, required=True)
@click.option("-f", "--force", is_flag=True, help="Also when several names or ended containers use it.")
def rmi_command(names: tuple[str, ...], force: bool) -> int:
    """Remove images."""
    failed = 0
    client = Client()
    for name in names:
        try:
            done = client.delete(f"/pinnace/v1/images/{quote(name, safe='')}" + ("?force=1" if force else ""))
        except ApiError as error:
            failed = 1
            say(f"error: {error.message}")
            continue
        for reference in done["untagged"]:
            print(f"Untagged: {reference}")
        for digest in done["deleted"]:
            print(f"Deleted: {digest}")
    return failed


@click.command("inspect")
@click.argument("names", nargs=-1, required=True)
@click.option("--type", "kind", type=click.Choice(["container", "image"]), help="What the names mean.")
def inspect_command(names: tuple[str, ...], kind: str | None) -> None:
    """Show containers or images as JSON, in Docker's shape."""
    found: list[Any] = []
    client = Client()
    for name in names:
        found.append(_find(client, name, kind))
    print(json.dumps(found, indent=4))


def _find(client: Client, name: str, kind: str | None) -> Any:
    for what in ("containers", "images"):
        if kind is not None and what != f"{kind}s":
            continue
        try:
            return client.get(f"/pinnace/v1/{what}/{quote(name, safe='')}")
        except ApiError as error:
            if error.reason is not Reason.NOT_FOUND:
                raise
    raise UserError(f"No such {kind or 'object'}: {name}", "pinnace images; pinnace ps -a")
