"""The verbs about images: `images`, `history`, `tag`, `rmi`, `inspect`."""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

import click

from pinnace.base.errors import ApiError, PinnaceError, Reason, UserError
from pinnace.cli.client import Client
from pinnace.cli.formats import print_rows, render_value
from pinnace.cli.output import print_error
from pinnace.cli.units import render_age, render_size

ID_CHARACTERS = 12
CREATED_BY_CHARACTERS = 45  # Source: docker/cli, cli/command/image/formatter_history.go
IMAGE_COLUMNS = {
    "Repository": "REPOSITORY",
    "Tag": "TAG",
    "Digest": "DIGEST",
    "ID": "IMAGE ID",
    "CreatedSince": "CREATED",
    "CreatedAt": "CREATED AT",
    "Size": "SIZE",
    "VirtualSize": "SIZE",
    "SharedSize": "SHARED SIZE",
    "UniqueSize": "UNIQUE SIZE",
    "Containers": "CONTAINERS",
}
HISTORY_COLUMNS = {
    "ID": "IMAGE",
    "CreatedSince": "CREATED",
    "CreatedAt": "CREATED AT",
    "CreatedBy": "CREATED BY",
    "Size": "SIZE",
    "Comment": "COMMENT",
}
FORM_HELP = "table, json, or a template: '{{.ID}} {{.Size}}'."


def short(image_id: str) -> str:
    """Return an id as tables show it. Example: "sha256:0123456789ab…" → "0123456789ab"."""
    return image_id.removeprefix("sha256:")[:ID_CHARACTERS]


def path_of(name: str, what: str = "") -> str:
    """Return the path of an image's route."""
    return f"/pinnace/v1/images/{quote(name, safe='')}" + (f"/{what}" if what else "")


@click.command("images")
@click.argument("repository", required=False)
@click.option("-a", "--all", "every", is_flag=True, help="The same: there are no images in between.")
@click.option("-q", "--quiet", is_flag=True, help="Only ids.")
@click.option("--no-trunc", is_flag=True, help="Whole ids.")
@click.option("--digests", is_flag=True, help="Digests of manifests too.")
@click.option(
    "-f",
    "--filter",
    "filters",
    multiple=True,
    metavar="KEY=VALUE",
    help="Only some: dangling, label, reference, before, since, until.",
)
@click.option("--format", "form", default="table", metavar="FORM", help=FORM_HELP)
def images_command(
    repository: str | None,
    every: bool,
    quiet: bool,
    no_trunc: bool,
    digests: bool,
    filters: tuple[str, ...],
    form: str,
) -> None:
    """List images."""
    if repository:
        filters = (*filters, f"reference={repository}")
    query = urlencode([("filter", text) for text in filters])
    rows = Client().get("/pinnace/v1/images" + (f"?{query}" if query else ""))["images"]
    cells = [render_row(row, time.time(), whole=no_trunc) for row in rows]
    if quiet and form == "table":
        for row in cells:
            print(row["ID"])
        return
    names = ["Repository", "Tag", *(["Digest"] if digests else []), "ID", "CreatedSince", "Size"]
    print_rows(cells, IMAGE_COLUMNS, names, form)


def render_row(row: dict[str, Any], now: float, *, whole: bool) -> dict[str, str]:
    """Return the cells of one image, by the names that Docker's templates use."""
    size = render_size(row["size"])
    return {
        "Repository": row["repository"],
        "Tag": row["tag"],
        "Digest": row["digest"] or "<none>",
        "ID": row["id"] if whole else short(row["id"]),
        "CreatedSince": f"{render_age(now - row['created'])} ago" if row["created"] else "N/A",
        "CreatedAt": _moment(row["created"]).strftime("%Y-%m-%d %H:%M:%S +0000 UTC"),
        "Size": size,
        "VirtualSize": size,
        "SharedSize": "N/A",
        "UniqueSize": "N/A",
        "Containers": "N/A",
    }


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC)


@click.command("history")
@click.argument("name")
@click.option("-q", "--quiet", is_flag=True, help="Only ids.")
@click.option("--no-trunc", is_flag=True, help="Whole ids and commands.")
@click.option(
    "-H/ ", "--human/--no-human", "human", default=True, help="Sizes and times as people say them (default)."
)
@click.option("--format", "form", default="table", metavar="FORM", help=FORM_HELP)
def history_command(name: str, quiet: bool, no_trunc: bool, human: bool, form: str) -> None:
    """Show the steps of an image, and what each of them weighs."""
    rows = Client().get(path_of(name, "history"))["history"]
    now = time.time()
    cells = [render_step(row, now, whole=no_trunc, human=human) for row in rows]
    if quiet:
        for row in cells:
            print(row["ID"])
        return
    created = "CreatedSince" if human else "CreatedAt"
    print_rows(cells, HISTORY_COLUMNS, ["ID", created, "CreatedBy", "Size", "Comment"], form)


def render_step(row: dict[str, Any], now: float, *, whole: bool, human: bool) -> dict[str, str]:
    """Return the cells of one step, by the names that Docker's templates use."""
    command = row["CreatedBy"].replace("\t", " ")
    if not whole and len(command) > CREATED_BY_CHARACTERS:
        command = command[: CREATED_BY_CHARACTERS - 1] + "…"
    known = row["Created"] != 0
    return {
        "ID": row["Id"] if whole else short(row["Id"]),
        "CreatedSince": f"{render_age(now - row['Created'])} ago" if known else "N/A",
        "CreatedAt": _moment(row["Created"]).strftime("%Y-%m-%dT%H:%M:%SZ") if known else "",
        "CreatedBy": command,
        "Size": render_size(row["Size"]) if human else str(row["Size"]),
        "Comment": row["Comment"],
    }


@click.command("tag")
@click.argument("source")
@click.argument("target")
def tag_command(source: str, target: str) -> None:
    """Give an image one more name."""
    Client().post(path_of(source, "tags"), {"reference": target})


@click.command("rmi")
@click.argument("names", nargs=-1, required=True)
@click.option("-f", "--force", is_flag=True, help="Also when several names or ended containers use it.")
@click.option("--no-prune", is_flag=True, help="The same: there are no unnamed parents to remove.")
def rmi_command(names: tuple[str, ...], force: bool, no_prune: bool) -> int:
    """Remove images."""
    failed = 0
    client = Client()
    for name in names:
        try:
            done = client.delete(path_of(name) + ("?force=1" if force else ""))
        except (ApiError, UserError) as error:
            missing = isinstance(error, ApiError) and error.reason is Reason.NOT_FOUND
            failed |= int(not (force and missing))
            print_error(error.message, hint=error.hint)
            continue
        print_removal(done, ("Untagged", "Deleted"))
    return failed


def print_removal(done: dict[str, Any], words: tuple[str, str]) -> None:
    """Print what went."""
    for reference in done["untagged"]:
        print(f"{words[0]}: {reference}")
    for digest in done["deleted"]:
        print(f"{words[1]}: {digest}")


def confirm(warning: str, *, force: bool) -> bool:
    """Ask before something is removed; without an answer nothing is."""
    if force:
        return True
    print(f"WARNING! {warning}\nAre you sure you want to continue? [y/N] ", end="", flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


@click.command("inspect")
@click.argument("names", nargs=-1, required=True)
@click.option(
    "--type", "kind", type=click.Choice(["container", "image", "volume"]), help="What the names mean."
)
@click.option(
    "-f", "--format", "form", default="", metavar="FORM", help="json, or a template: '{{json .Config}}'."
)
@click.option("-s", "--size", is_flag=True, help="Accepted for Docker's sake.")
def inspect_command(names: tuple[str, ...], kind: str | None, form: str, size: bool) -> int:
    """Show containers, images or volumes as JSON, in Docker's shape."""
    return show_documents(names, (kind,) if kind else ("container", "image", "volume"), form)


def show_documents(names: tuple[str, ...], kinds: tuple[str, ...], form: str) -> int:
    """Print the documents of what there is, then say what there isn't; returns the exit code."""
    client, found, failed = Client(), [], []
    for name in names:
        try:
            found.append(_find(client, name, kinds))
        except PinnaceError as error:
            failed.append(error)
    if form:
        for document in found:
            print(render_value(document, form))
    else:
        print(json.dumps(found, indent=4, ensure_ascii=False))
    for one in failed:
        print_error(one.message, hint=one.hint)
    return int(bool(failed))


def _find(client: Client, name: str, kinds: tuple[str, ...]) -> Any:
    for kind in kinds:
        try:
            return client.get(f"/pinnace/v1/{kind}s/{quote(name, safe='')}")
        except ApiError as error:
            if error.reason is not Reason.NOT_FOUND or len(kinds) == 1:
                raise
        except UserError:
            if len(kinds) == 1:
                raise
    raise UserError(f"No such object: {name}", "pinnace images; pinnace ps -a; pinnace volume ls")


def say_reclaimed(freed: int) -> None:
    """Print how much disk was given back."""
    print(f"Total reclaimed space: {render_size(freed)}")
