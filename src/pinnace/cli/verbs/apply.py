"""`pinnace apply`: server-side apply of manifests, told in kubectl's words."""

from __future__ import annotations

from typing import Any

import click

from pinnace.base.errors import ApiError, Reason, UserError
from pinnace.cli.client import Client
from pinnace.cli.kube.addresses import build_path
from pinnace.cli.kube.files import Item, read_items
from pinnace.cli.kube.lines import find_fields, render_places
from pinnace.cli.kube.naming import render_object
from pinnace.cli.kube.options import files_option, recursive_option
from pinnace.cli.kube.requests import APPLY, PARTIAL, fetch, send
from pinnace.cli.kube.speech import guarded, report

MANAGER = "pinnace"


@click.command("apply")
@files_option
@recursive_option
@click.option("-n", "--namespace", metavar="NAME", help="The namespace of objects that name none (default).")
@click.option("--dry-run", type=click.Choice(("none", "server")), default="none", help="Only check.")
@guarded
def apply_command(files: tuple[str, ...], recursive: bool, namespace: str | None, dry_run: str) -> int:
    """Make objects what manifests say: create them, or change what differs."""
    if not files:
        raise UserError("must specify -f", hint="pinnace apply -f FILE")
    client = Client()
    count = failed = 0
    for item in read_items(files, recursive=recursive):
        count += 1
        doing = "creating"
        try:
            target = build_path(item.kind, item.namespace(namespace), _name_of(item))
            before = _find_revision(client, target)
            doing = "patching" if before else "creating"
            after = _apply(client, target, item, dry_run)
        except ApiError as error:
            failed = 1
            places = render_places(item.source, item.text, item.line, item.name, find_fields(error))
            report(error, where=places, doing=f'error when {doing} "{item.source}"')
            continue
        outcome = "created" if not before else "unchanged" if after == before else "configured"
        suffix = " (server dry run)" if dry_run == "server" else ""
        print(f"{render_object(item.kind, item.name)} {outcome}{suffix}")
    if not count:
        raise UserError("no objects passed to apply")
    return failed


def _name_of(item: Item) -> str:
    if not item.name:
        generated = item.value.get("metadata", {}).get("generateName")
        why = "cannot use generate name with apply" if generated else "resource name may not be empty"
        raise UserError(why, hint="give it a metadata.name", where=item.where)
    return item.name


def _find_revision(client: Client, target: str) -> str:
    """Return the object's revision, "" when there is none such."""
    try:
        return str(fetch(client, target, PARTIAL)["metadata"]["resourceVersion"])
    except ApiError as error:
        if error.reason is Reason.NOT_FOUND:
            return ""
        raise


def _apply(client: Client, target: str, item: Item, dry_run: str) -> str:
    query = f"?fieldManager={MANAGER}&force=true&fieldValidation=Strict"
    query += "&dryRun=All" if dry_run == "server" else ""
    done: dict[str, Any] = send(client, "PATCH", target + query, item.value, content_type=APPLY)
    return str(done["metadata"].get("resourceVersion", ""))
