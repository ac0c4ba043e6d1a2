"""`pinnace delete`: deletes objects by name, selector or file, and waits until they are gone."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import click

from pinnace.base.errors import ApiError, Reason, UserError
from pinnace.cli.client import Client
from pinnace.cli.kube.addresses import build_path
from pinnace.cli.kube.naming import parse_named, render_kind
from pinnace.cli.kube.options import (
    all_namespaces_option,
    files_option,
    parse_duration_s,
    recursive_option,
    selector_option,
    timeout_option,
)
from pinnace.cli.kube.requests import fetch, list_objects, send, watch
from pinnace.cli.kube.speech import guarded, report
from pinnace.cli.output import say
from pinnace.kube.kinds import Kind

FORCE_WARNING = (
    "Warning: Immediate deletion does not wait for confirmation that the running resource has been terminated. "
    "The resource may continue to run on the cluster indefinitely."
)


@dataclass(frozen=True, slots=True)
class Target:
    """One object that shall go. `doing` is what an error says before its own words."""

    kind: Kind[Any]
    namespace: str
    name: str
    doing: str = ""

    @property
    def path(self) -> str:
        return build_path(self.kind, self.namespace, self.name)


@click.command("delete")
@click.argument("what", nargs=-1)
@files_option
@recursive_option
@click.option("-n", "--namespace", metavar="NAME", help="The namespace (default).")
@all_namespaces_option
@selector_option
@click.option("--all", "everything", is_flag=True, help="All objects of the kind in the namespace.")
@click.option(
    "--grace-period", type=int, metavar="SECONDS", help="Time to end; the object's own when not given."
)
@click.option("--now", is_flag=True, help="The same as --grace-period=1.")
@click.option("--force", is_flag=True, help="Forget pods at once, with --grace-period=0.")
@click.option(
    "--cascade", type=click.Choice(("background", "foreground", "orphan")), default="background",
    help="What happens to what the object owns.",
)  # fmt: skip
@click.option("--wait/--no-wait", default=True, help="Wait until the objects are gone.")
@timeout_option
@click.option("--ignore-not-found", is_flag=True, help="What isn't there is no error.")
@guarded
def delete_command(
    what: tuple[str, ...],
    files: tuple[str, ...],
    recursive: bool,
    namespace: str | None,
    all_namespaces: bool,
    selector: str,
    everything: bool,
    grace_period: int | None,
    now: bool,
    force: bool,
    cascade: str,
    wait: bool,
    timeout: str,
    ignore_not_found: bool,
) -> int:
    """Delete objects: pinnace delete pod web; delete -f FILE; delete pods -l app=web."""
    timeout_s = parse_duration_s(timeout)
    client = Client()
    if files:
        targets = _targets_of_files(files, recursive, namespace)
    else:
        scope = "" if all_namespaces else namespace or "default"
        targets = _targets_of_words(client, what, scope, selector, everything)
        if not targets and (selector or everything):
            say("No resources found")
            return 0
    options: dict[str, Any] = {"propagationPolicy": cascade.capitalize()}
    grace = 0 if force and grace_period is None else 1 if now else grace_period
    if grace is not None:
        options["gracePeriodSeconds"] = grace
    if force:
        say(FORCE_WARNING)
    failed, left = _delete(client, targets, options, force=force, ignore_missing=ignore_not_found)
    if wait and not force:
        failed |= _wait(client, left, timeout_s)
    return failed


def _targets_of_files(files: tuple[str, ...], recursive: bool, namespace: str | None) -> list[Target]:
    from pinnace.cli.kube.files import read_items

    return [
        Target(item.kind, item.namespace(namespace), item.name,
               f'error when deleting "{item.source}"')
        for item in read_items(files, recursive=recursive)
    ]  # fmt: skip


def _targets_of_words(
    client: Client, what: tuple[str, ...], namespace: str, selector: str, everything: bool
) -> list[Target]:
    if not what:
        raise UserError(
            "You must provide one or more resources by argument or filename.", hint="pinnace delete pod NAME"
        )
    targets: list[Target] = []
    for named in parse_named(what):
        if named.name:
            if selector or everything:
                raise UserError("name cannot be provided when a selector is specified")
            targets.append(Target(named.kind, namespace, named.name))
        elif selector or everything:
            found = list_objects(client, named.kind, namespace, labels=selector)
            metas = [one["metadata"] for one in found]
            targets += [Target(named.kind, meta.get("namespace", ""), meta["name"]) for meta in metas]
        else:
            raise UserError(
                "resource(s) were provided, but no name was specified", hint="a name, -l LABELS or --all"
            )
    return targets


def _delete(
    client: Client, targets: list[Target], options: dict[str, Any], *, force: bool, ignore_missing: bool
) -> tuple[int, list[tuple[Target, str]]]:
    """Ask for each deletion; return whether one failed, and what may still be there, with its uid."""
    failed = 0
    left: list[tuple[Target, str]] = []
    for target in targets:
        try:
            answer = send(client, "DELETE", target.path, options)
        except ApiError as error:
            if error.reason is not Reason.NOT_FOUND or not ignore_missing:
                report(error, doing=target.doing)
                failed = 1
            continue
        scope = f" from {target.namespace} namespace" if target.kind.namespaced else ""
        print(
            f'{render_kind(target.kind)} "{target.name}" {"force " if force else ""}deleted{scope}',
            flush=True,
        )
        if answer.get("kind") != "Status":
            left.append((target, answer["metadata"].get("uid", "")))
    return failed, left


def _wait(client: Client, left: list[tuple[Target, str]], timeout_s: float) -> int:
    """Wait until all are gone; 1 if the time is over before."""
    until = time.monotonic() + timeout_s if timeout_s else None
    failed = 0
    for target, uid in left:
        if not _wait_for_one(client, target, uid, until):
            say(f"error: timed out waiting for the condition on {target.kind.plural}/{target.name}")
            failed = 1
    return failed


def _wait_for_one(client: Client, target: Target, uid: str, until: float | None) -> bool:
    while True:
        try:
            found = fetch(client, target.path)["metadata"]
        except ApiError as error:
            if error.reason is Reason.NOT_FOUND:
                return True
            raise
        if uid and found["uid"] != uid:
            return True
        left_s = int(until - time.monotonic() + 0.999) if until is not None else 0
        if until is not None and left_s <= 0:
            return False
        query = {
            "watch": "true",
            "fieldSelector": f"metadata.name={target.name}",
            "resourceVersion": found["resourceVersion"],
            "timeoutSeconds": str(left_s or ""),
        }
        for event in watch(client, build_path(target.kind, target.namespace, query=query)):
            if event["type"] == "DELETED" or (uid and event["object"]["metadata"].get("uid") != uid):
                return True
