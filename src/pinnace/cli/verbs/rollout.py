"""`pinnace rollout`: follows a Deployment's rollout, takes it back, restarts, pauses, shows its history."""

from __future__ import annotations

import time
from typing import Any

import click

from pinnace.base.errors import UserError
from pinnace.base.times import render_time
from pinnace.cli.client import Client
from pinnace.cli.kube.addresses import build_path
from pinnace.cli.kube.naming import Named, parse_named, render_object
from pinnace.cli.kube.options import namespace_option, parse_duration_s, timeout_option
from pinnace.cli.kube.requests import STRATEGIC, fetch, list_objects, send, watch
from pinnace.cli.kube.rollouts import (
    CHANGE_CAUSE,
    RESTARTED_AT,
    build_rollback,
    compute_progress,
    find_history,
    find_target,
    render_template,
)
from pinnace.cli.kube.speech import guarded
from pinnace.cli.kube.table import NONE, Columns
from pinnace.kube.kinds import DEPLOYMENT, REPLICA_SET

JSON_PATCH = "application/json-patch+json"


@click.group("rollout")
def rollout_command() -> None:
    """Follow, restart, pause and take back rollouts."""


def _parse(what: tuple[str, ...]) -> list[Named]:
    """Return Deployments. Raises: UserError for anything else."""
    found = parse_named(what)
    for named in found:
        if named.kind is not DEPLOYMENT:
            raise UserError(
                f"no rollout of {named.kind.group_resource}", hint="only Deployments are rolled out"
            )
        if not named.name:
            raise UserError("required resource not specified", hint="deploy/NAME")
    return found


def _fetch(client: Client, namespace: str, name: str) -> dict[str, Any]:
    return fetch(client, build_path(DEPLOYMENT, namespace, name))


def _history(client: Client, namespace: str, deployment: dict[str, Any]) -> dict[int, dict[str, Any]]:
    return find_history(deployment, list_objects(client, REPLICA_SET, namespace))


@rollout_command.command("status")
@click.argument("what", nargs=-1, required=True)
@namespace_option
@click.option("-w", "--watch/--no-watch", "follow", default=True, help="Go on until it is done.")
@timeout_option
@guarded
def status(what: tuple[str, ...], namespace: str, follow: bool, timeout: str) -> int:
    """Show how far a rollout is, until it is done."""
    client = Client()
    timeout_s = parse_duration_s(timeout)
    for named in _parse(what):
        _follow(client, namespace, named.name, follow, timeout_s)
    return 0


def _follow(client: Client, namespace: str, name: str, follow: bool, timeout_s: float) -> None:
    deployment = _fetch(client, namespace, name)
    progress = compute_progress(deployment)
    print(progress.sentence, flush=True)
    if progress.done or not follow:
        return
    until = time.monotonic() + timeout_s if timeout_s else None
    while until is None or time.monotonic() < until:
        left_s = int(until - time.monotonic() + 0.999) if until is not None else 0
        query = {
            "watch": "true",
            "fieldSelector": f"metadata.name={name}",
            "resourceVersion": deployment["metadata"]["resourceVersion"],
            "timeoutSeconds": str(left_s or ""),
        }
        for event in watch(client, build_path(DEPLOYMENT, namespace, query=query)):
            if event["type"] == "DELETED":
                raise UserError("object has been deleted")
            deployment = event["object"]
            last, progress = progress, compute_progress(deployment)
            if progress != last:
                print(progress.sentence, flush=True)
            if progress.done:
                return
    raise UserError("timed out waiting for the condition")


@rollout_command.command("undo")
@click.argument("what", nargs=-1, required=True)
@namespace_option
@click.option("--to-revision", type=click.IntRange(min=0), default=0, help="The one before the present (0).")
@guarded
def undo(what: tuple[str, ...], namespace: str, to_revision: int) -> int:
    """Go back to an earlier revision."""
    client = Client()
    for named in _parse(what):
        deployment = _fetch(client, namespace, named.name)
        if deployment["spec"].get("paused"):
            raise UserError(
                "you cannot rollback a paused deployment", hint=f"pinnace rollout resume deploy/{named.name}"
            )
        target = find_target(deployment, _history(client, namespace, deployment), to_revision)
        patch = build_rollback(deployment, target)
        shown = render_object(named.kind, named.name)
        if patch is None:
            print(f"{shown} skipped rollback (current template already matches revision {to_revision})")
            continue
        send(client, "PATCH", build_path(DEPLOYMENT, namespace, named.name), patch, content_type=JSON_PATCH)
        print(f"{shown} rolled back")
    return 0


@rollout_command.command("restart")
@click.argument("what", nargs=-1, required=True)
@namespace_option
@guarded
def restart(what: tuple[str, ...], namespace: str) -> int:
    """Replace all pods, as gently as an update does."""
    client = Client()
    for named in _parse(what):
        if _fetch(client, namespace, named.name)["spec"].get("paused"):
            raise UserError(
                f'deployments.apps "{named.name}" can\'t restart paused deployment',
                hint=f"pinnace rollout resume deploy/{named.name}",
            )
        template = {"metadata": {"annotations": {RESTARTED_AT: render_time(time.time())}}}
        _patch(client, namespace, named.name, {"template": template})
        print(f"{render_object(named.kind, named.name)} restarted")
    return 0


@rollout_command.command("pause")
@click.argument("what", nargs=-1, required=True)
@namespace_option
@guarded
def pause(what: tuple[str, ...], namespace: str) -> int:
    """Let changes of the template wait."""
    return _set_paused(what, namespace, True)


@rollout_command.command("resume")
@click.argument("what", nargs=-1, required=True)
@namespace_option
@guarded
def resume(what: tuple[str, ...], namespace: str) -> int:
    """Go on with a rollout that waits."""
    return _set_paused(what, namespace, False)


def _set_paused(what: tuple[str, ...], namespace: str, paused: bool) -> int:
    client = Client()
    word = "paused" if paused else "resumed"
    for named in _parse(what):
        if bool(_fetch(client, namespace, named.name)["spec"].get("paused")) == paused:
            why = "is already paused" if paused else "is not paused"
            raise UserError(f'deployments.apps "{named.name}" {why}')
        _patch(client, namespace, named.name, {"paused": paused})
        print(f"{render_object(named.kind, named.name)} {word}")
    return 0


def _patch(client: Client, namespace: str, name: str, spec: dict[str, Any]) -> None:
    path = build_path(DEPLOYMENT, namespace, name)
    send(client, "PATCH", path, {"spec": spec}, content_type=STRATEGIC)


@rollout_command.command("history")
@click.argument("what", nargs=-1, required=True)
@namespace_option
@click.option("--revision", type=click.IntRange(min=1), help="Show one revision's pod template.")
@guarded
def history(what: tuple[str, ...], namespace: str, revision: int | None) -> int:
    """List revisions, or show one."""
    client = Client()
    for named in _parse(what):
        deployment = _fetch(client, namespace, named.name)
        found = _history(client, namespace, deployment)
        shown = render_object(named.kind, named.name)
        if revision is not None:
            if revision not in found:
                raise UserError(
                    "unable to find the specified revision", hint=f"pinnace rollout history {shown}"
                )
            print(
                f"{shown} with revision #{revision}\n{render_template(found[revision]['spec']['template'])}"
            )
            continue
        rows = [
            (str(number), one["metadata"].get("annotations", {}).get(CHANGE_CAUSE, NONE))
            for number, one in found.items()
        ]
        columns = Columns(min_width=0, padding=2)
        print(f"{shown} \n{columns.render([('REVISION', 'CHANGE-CAUSE'), *rows])}")
    return 0
