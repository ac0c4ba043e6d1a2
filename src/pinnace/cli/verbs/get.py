"""`pinnace get`: asks the API for tables or objects, and prints them as kubectl does."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import click

from pinnace.base.errors import ApiError, Reason, UserError
from pinnace.cli.client import Client
from pinnace.cli.kube.addresses import build_path
from pinnace.cli.kube.documents import render_document
from pinnace.cli.kube.naming import Named, has_several_kinds, parse_named, render_kind, render_object
from pinnace.cli.kube.options import (
    all_namespaces_option,
    namespace_option,
    no_headers_option,
    selector_option,
)
from pinnace.cli.kube.requests import TABLE, fetch, list_objects, watch
from pinnace.cli.kube.speech import guarded, report
from pinnace.cli.kube.table import Columns, TableView
from pinnace.cli.output import say

FORMS = ("wide", "yaml", "json", "name")


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person wants to see, and how. `namespace` "" means all."""

    named: list[Named]
    namespace: str
    selector: str = ""
    fields: str = ""
    output: str = ""
    with_kind: bool = False
    show_labels: bool = False
    label_columns: tuple[str, ...] = ()
    headers: bool = True
    ignore_missing: bool = False

    def view(self, named: Named) -> TableView:
        return TableView(
            wide=self.output == "wide",
            with_namespace=not self.namespace and named.kind.namespaced,
            with_labels=self.show_labels,
            label_columns=self.label_columns,
            prefix=f"{render_kind(named.kind)}/" if self.with_kind else "",
        )

    def path(self, named: Named, **query: str) -> str:
        selection = {"labelSelector": self.selector, "fieldSelector": self.fields}
        return build_path(named.kind, self.namespace, named.name, query={**selection, **query})


@click.command("get")
@click.argument("what", nargs=-1)
@namespace_option
@all_namespaces_option
@selector_option
@click.option("--field-selector", "fields", default="", metavar="FIELDS", help="Like status.phase=Running.")
@click.option("-o", "--output", type=click.Choice(FORMS), help="Form of the output.")
@click.option("-w", "--watch", "follow", is_flag=True, help="Go on with every change.")
@click.option("--show-labels", is_flag=True, help="Labels in the last column.")
@click.option("-L", "--label-columns", multiple=True, metavar="LABEL", help="A label as a column.")
@click.option("--ignore-not-found", is_flag=True, help="What isn't there is no error.")
@no_headers_option
@guarded
def get_command(
    what: tuple[str, ...],
    namespace: str,
    all_namespaces: bool,
    selector: str,
    fields: str,
    output: str | None,
    follow: bool,
    show_labels: bool,
    label_columns: tuple[str, ...],
    ignore_not_found: bool,
    no_headers: bool,
) -> int:
    """Show objects: pinnace get pods; get pods,svc; get deploy/web -o yaml."""
    if not what:
        raise UserError(
            "You must specify the type of resource to get.", hint="pinnace get pods; see docs/kinds.md"
        )
    named = parse_named(what)
    if all_namespaces and any(item.name for item in named):
        raise UserError("a resource cannot be retrieved by name across all namespaces")
    wish = Wish(
        named=named,
        namespace="" if all_namespaces else namespace,
        selector=selector,
        fields=fields,
        output=output or "",
        with_kind=has_several_kinds(what),
        show_labels=show_labels,
        label_columns=label_columns,
        headers=not no_headers,
        ignore_missing=ignore_not_found,
    )
    client = Client()
    if follow:
        return _follow(client, wish)
    if wish.output in ("", "wide"):
        return _show_tables(client, wish)
    return _show_objects(client, wish)


def _each(client: Client, wish: Wish, headers: dict[str, str] | None) -> Iterator[tuple[Named, Any]]:
    """Yield what was found for each name or kind; None for what could not be had, after saying so."""
    for named in wish.named:
        try:
            yield named, fetch(client, wish.path(named), headers)
        except ApiError as error:
            if error.reason is Reason.NOT_FOUND and wish.ignore_missing:
                continue
            report(error)
            yield named, None


def _show_tables(client: Client, wish: Wish) -> int:
    """Print a table for each kind; kinds are a blank line apart."""
    failed = printed = 0
    tables: dict[str, tuple[Named, list[Any]]] = {}
    for named, table in _each(client, wish, TABLE):
        if table is None:
            failed = 1
            continue
        tables.setdefault(named.kind.group_resource, (named, []))[1].append(table)
    for named, found in tables.values():
        view = wish.view(named)
        header = view.header(found[0])
        rows = [row for table in found for row in view.rows(table)]
        if not rows:
            continue
        if printed:
            print()
        print(Columns().render([header, *rows] if wish.headers else rows), end="")
        printed += len(rows)
    if not printed and not failed and not wish.ignore_missing:
        say(_say_nothing(wish))
    return failed


def _say_nothing(wish: Wish) -> str:
    some = any(named.kind.namespaced for named in wish.named)
    return (
        f"No resources found in {wish.namespace} namespace."
        if wish.namespace and some
        else "No resources found"
    )


def _show_objects(client: Client, wish: Wish) -> int:
    """Print objects whole, or their names only."""
    failed = 0
    objects: list[Any] = []
    for named in wish.named:
        try:
            if named.name:
                objects.append(fetch(client, wish.path(named)))
            else:
                objects += list_objects(
                    client, named.kind, wish.namespace, labels=wish.selector, fields=wish.fields
                )
        except ApiError as error:
            if error.reason is not Reason.NOT_FOUND or not wish.ignore_missing:
                report(error)
                failed = 1
    for one in objects:
        one.get("metadata", {}).pop("managedFields", None)
    if wish.output == "name":
        _print_names(wish, objects)
    elif len(wish.named) == 1 and wish.named[0].name:
        if objects:
            print(render_document(objects[0], wish.output), end="")
    elif objects or not failed:
        whole = {"apiVersion": "v1", "items": objects, "kind": "List", "metadata": {"resourceVersion": ""}}
        print(render_document(whole, wish.output), end="")
    return failed


def _print_names(wish: Wish, objects: Iterable[Any]) -> None:
    by_kind = {(named.kind.api_version, named.kind.kind): named.kind for named in wish.named}
    for one in objects:
        kind = by_kind[one["apiVersion"], one["kind"]]
        print(render_object(kind, one["metadata"]["name"]))


def _follow(client: Client, wish: Wish) -> int:
    """Print what is there and then every change, until the person has seen enough."""
    if len(wish.named) != 1:
        raise UserError("you may only specify a single resource type or name with --watch")
    [named] = wish.named
    if named.name:
        fetch(client, wish.path(named))  # a missing name is an error, not an empty stream
        own = f"metadata.name={named.name}"
        fields = ",".join(filter(None, (wish.fields, own)))
        path = build_path(named.kind, wish.namespace, query={"watch": "true", "fieldSelector": fields})
    else:
        path = wish.path(named, watch="true")
    if wish.output in ("", "wide"):
        _follow_table(client, wish, named, path)
    else:
        _follow_objects(client, wish, named, path)
    return 0


def _follow_table(client: Client, wish: Wish, named: Named, path: str) -> None:
    view, columns = wish.view(named), Columns()
    header: Any = None
    pending: list[Any] = []
    for event in watch(client, path, TABLE):
        table = event["object"]
        if header is None:
            header = view.header(table)
            pending = [header] if wish.headers else []
        print(columns.render([*pending, *view.rows(table)]), end="")
        sys.stdout.flush()
        pending = []


def _follow_objects(client: Client, wish: Wish, named: Named, path: str) -> None:
    first = True
    for event in watch(client, path):
        one = event["object"]
        one.get("metadata", {}).pop("managedFields", None)
        if wish.output == "name":
            print(render_object(named.kind, one["metadata"]["name"]))
        else:
            if wish.output == "yaml" and not first:
                print("---")
            print(render_document(one, wish.output), end="")
        first = False
        sys.stdout.flush()
