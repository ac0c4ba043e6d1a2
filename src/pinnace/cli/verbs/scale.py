"""`pinnace scale`: sets how many replicas there should be."""

from __future__ import annotations

import click

from pinnace.base.errors import UserError
from pinnace.cli.client import Client
from pinnace.cli.kube.addresses import build_path
from pinnace.cli.kube.naming import parse_named, render_object
from pinnace.cli.kube.options import namespace_option
from pinnace.cli.kube.requests import MERGE, fetch, send
from pinnace.cli.kube.speech import guarded


@click.command("scale")
@click.argument("what", nargs=-1, required=True)
@click.option("--replicas", type=click.IntRange(min=0), required=True, help="How many there should be.")
@click.option("--current-replicas", type=int, help="Only when there are meant to be so many now.")
@namespace_option
@guarded
def scale_command(what: tuple[str, ...], replicas: int, current_replicas: int | None, namespace: str) -> int:
    """Set the number of replicas: pinnace scale deploy/web --replicas=3."""
    client = Client()
    for named in parse_named(what):
        if not named.name:
            raise UserError("resource(s) were provided, but no name was specified", hint="deploy/NAME")
        if named.kind.subresource("scale") is None:
            raise UserError(
                f"{named.kind.group_resource} can't be scaled", hint="a Deployment or a ReplicaSet can"
            )
        path = build_path(named.kind, namespace, named.name, "scale")
        patch: dict[str, object] = {"spec": {"replicas": replicas}}
        if current_replicas is not None:
            scale = fetch(client, path)
            found = scale["spec"].get("replicas", 0)
            if found != current_replicas:
                raise UserError(f"Expected replicas to be {current_replicas}, was {found}")
            patch["metadata"] = {"resourceVersion": scale["metadata"]["resourceVersion"]}
        send(client, "PATCH", path, patch, content_type=MERGE)
        print(f"{render_object(named.kind, named.name)} scaled")
    return 0
