"""`pinnace top`: what pods and nodes use, as metrics.k8s.io says it. Source: kubectl v1.37, pkg/metricsutil."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import click

from pinnace.base.errors import UserError
from pinnace.cli.client import Client
from pinnace.cli.kube.addresses import build_path
from pinnace.cli.kube.options import (
    Decorator,
    all_namespaces_option,
    namespace_option,
    no_headers_option,
    selector_option,
)
from pinnace.cli.kube.requests import fetch
from pinnace.cli.kube.speech import guarded
from pinnace.cli.kube.table import Columns
from pinnace.cli.output import say
from pinnace.kube.kinds import NODE, NODE_METRICS, POD, POD_METRICS, Kind
from pinnace.kube.quantity import parse_quantity

MIB = 1024 * 1024

Usage = tuple[int, int]  # cpu_milli, memory_bytes


@click.group("top")
def top_command() -> None:
    """Show what pods or nodes use."""


sort_option: Decorator = click.option(
    "--sort-by", type=click.Choice(("cpu", "memory")), help="The largest first."
)


@top_command.command("pods")
@click.argument("name", required=False)
@namespace_option
@all_namespaces_option
@selector_option
@click.option("--containers", is_flag=True, help="Each container by itself.")
@sort_option
@no_headers_option
@guarded
def pods(
    name: str | None, namespace: str, all_namespaces: bool, selector: str,
    containers: bool, sort_by: str | None, no_headers: bool,
) -> int:  # fmt: skip
    """Show what pods use."""
    scope = "" if all_namespaces else namespace
    client = Client()
    items = _fetch(client, POD_METRICS, scope, name or "", selector)
    if not items:
        return _say_nothing(client, POD, scope, selector)
    rows = [
        ([*([item["metadata"]["namespace"]] if all_namespaces else []), *names], usage)
        for item in items
        for names, usage in _pod_rows(item, containers)
    ]
    header = [*(["NAMESPACE"] if all_namespaces else []), *(["POD", "NAME"] if containers else ["NAME"])]
    table = [[*names, *_cells(usage)] for names, usage in _sorted(rows, sort_by)]
    _print([*header, "CPU(cores)", "MEMORY(bytes)"], table, no_headers)
    return 0


def _pod_rows(item: dict[str, Any], containers: bool) -> list[tuple[list[str], Usage]]:
    name = item["metadata"]["name"]
    parts = [(part["name"], _read(part["usage"])) for part in item["containers"]]
    if containers:
        return [([name, part], usage) for part, usage in parts]
    return [([name], (sum(cpu for _, (cpu, _) in parts), sum(memory for _, (_, memory) in parts)))]


@top_command.command("nodes")
@click.argument("name", required=False)
@selector_option
@sort_option
@no_headers_option
@guarded
def nodes(name: str | None, selector: str, sort_by: str | None, no_headers: bool) -> int:
    """Show what nodes use, and how much of what pods may have that is."""
    client = Client()
    items = _fetch(client, NODE_METRICS, "", name or "", selector)
    if not items:
        return _say_nothing(client, NODE, "", selector)
    table = []
    for [node], usage in _sorted(
        [([item["metadata"]["name"]], _read(item["usage"])) for item in items], sort_by
    ):
        allocatable = _read(fetch(client, build_path(NODE, name=node))["status"]["allocatable"])
        cpu, memory = _cells(usage)
        percent = [
            f"{used * 100 // whole}%" if whole else "<unknown>"
            for used, whole in zip(usage, allocatable, strict=True)
        ]
        table.append([node, cpu, percent[0], memory, percent[1]])
    _print(["NAME", "CPU(cores)", "CPU(%)", "MEMORY(bytes)", "MEMORY(%)"], table, no_headers)
    return 0


# kubectl takes both words.
top_command.add_command(pods, "pod")
top_command.add_command(nodes, "node")


def _fetch(client: Client, kind: Kind[Any], namespace: str, name: str, selector: str) -> list[dict[str, Any]]:
    if name and not (namespace or not kind.namespaced):
        raise UserError("a resource cannot be retrieved by name across all namespaces")
    found = fetch(client, build_path(kind, namespace, name, query={"labelSelector": selector}))
    return [found] if name else list(found["items"])


def _say_nothing(client: Client, kind: Kind[Any], namespace: str, selector: str) -> int:
    """Say whether there is nothing, or nothing was measured yet."""
    there = fetch(client, build_path(kind, namespace, query={"labelSelector": selector, "limit": "1"}))[
        "items"
    ]
    if there:
        raise UserError(
            "metrics not available yet", hint="a pod is measured within seconds after it has started"
        )
    say(f"No resources found in {namespace} namespace." if namespace else "No resources found")
    return 0


def _read(usage: dict[str, Any]) -> Usage:
    return parse_quantity(usage["cpu"]).milli(), parse_quantity(usage["memory"]).value()


def _cells(usage: Usage) -> tuple[str, str]:
    return f"{usage[0]}m", f"{usage[1] // MIB}Mi"


def _sorted(rows: list[tuple[list[str], Usage]], sort_by: str | None) -> list[tuple[list[str], Usage]]:
    if sort_by is None:
        return sorted(rows)
    column = 0 if sort_by == "cpu" else 1
    return sorted(rows, key=lambda row: -row[1][column])


def _print(header: list[str], rows: Iterable[list[str]], no_headers: bool) -> None:
    print(Columns().render(rows if no_headers else [header, *rows]), end="")
