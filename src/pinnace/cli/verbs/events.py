"""`pinnace events`: what happened, the oldest first, as `kubectl events` shows it."""

from __future__ import annotations

import sys
from typing import Any

import click

from pinnace.base.errors import UserError
from pinnace.cli.client import Client
from pinnace.cli.kube.addresses import build_path
from pinnace.cli.kube.naming import parse_named
from pinnace.cli.kube.options import all_namespaces_option, namespace_option, no_headers_option
from pinnace.cli.kube.requests import TABLE, fetch, watch
from pinnace.cli.kube.speech import guarded
from pinnace.cli.kube.table import Columns, TableView
from pinnace.cli.output import say
from pinnace.kube.kinds import EVENT


@click.command("events")
@namespace_option
@all_namespaces_option
@click.option("--for", "about", metavar="KIND/NAME", help="Only of one object.")
@click.option("--types", default="", metavar="TYPES", help="Normal, Warning or both with a comma.")
@click.option("-w", "--watch", "follow", is_flag=True, help="Go on with every new one.")
@no_headers_option
@guarded
def events_command(
    namespace: str, all_namespaces: bool, about: str | None, types: str, follow: bool, no_headers: bool
) -> int:
    """Show what happened: pinnace events --for pod/web."""
    scope = "" if all_namespaces else namespace
    wanted = _parse_types(types)
    query = {"fieldSelector": _fields(about), "includeObject": "Object"}
    client = Client()
    table = fetch(client, build_path(EVENT, scope, query=query), TABLE)
    view, columns = TableView(with_namespace=all_namespaces), Columns()
    header = view.header(table)
    table["rows"] = sorted((row for row in table["rows"] if _is_wanted(row, wanted)), key=_when)
    if table["rows"] or follow:
        print(columns.render([*([] if no_headers else [header]), *view.rows(table)]), end="", flush=True)
    else:
        say(f"No events found in {namespace} namespace." if scope else "No events found.")
    if follow:
        query |= {"watch": "true", "resourceVersion": table["metadata"]["resourceVersion"]}
        for event in watch(client, build_path(EVENT, scope, query=query), TABLE):
            found = event["object"]
            found["rows"] = [row for row in found["rows"] if _is_wanted(row, wanted)]
            if event["type"] != "DELETED":
                print(columns.render(view.rows(found)), end="")
                sys.stdout.flush()
    return 0


def _parse_types(text: str) -> frozenset[str]:
    types = frozenset(word.strip().capitalize() for word in text.split(",") if word.strip())
    for word in sorted(types - {"Normal", "Warning"}):
        raise UserError(f"valid --types are Normal or Warning, not {word}")
    return types


def _fields(about: str | None) -> str:
    if not about:
        return ""
    [named] = parse_named([about])
    if not named.name:
        raise UserError("--for must be in resource/name form", hint="pinnace events --for pod/web")
    return f"involvedObject.kind={named.kind.kind},involvedObject.name={named.name}"


def _is_wanted(row: dict[str, Any], types: frozenset[str]) -> bool:
    return not types or row["object"].get("type") in types


def _when(row: dict[str, Any]) -> str:
    """Return when an event happened last; the wire's times sort as texts."""
    event = row["object"]
    series = (event.get("series") or {}).get("lastObservedTime")
    return str(series or event.get("lastTimestamp") or event.get("eventTime") or "")
