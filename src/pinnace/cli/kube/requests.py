"""Requests of the Kubernetes verbs: in which form answers come, and lists and watches of objects."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pinnace.cli.client import Client
from pinnace.cli.kube.addresses import build_path
from pinnace.cli.output import say
from pinnace.kube.kinds import Kind

TABLE = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
PARTIAL = {"Accept": "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"}
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"


def fetch(client: Client, path: str, headers: dict[str, str] | None = None) -> dict[str, Any]:
    """GET a path and return the document."""
    document: dict[str, Any] = json.loads(client.open("GET", path, headers=headers).read())
    return document


def send(
    client: Client, method: str, path: str, body: Any, *, content_type: str = "application/json"
) -> dict[str, Any]:
    """Send a document, tell the server's warnings, and return the answer."""
    answer = client.open(method, path, body, content_type=content_type)
    for warning in answer.warnings:
        say(f"Warning: {warning}")
    document: dict[str, Any] = json.loads(answer.read())
    return document


def list_objects(
    client: Client, kind: Kind[Any], namespace: str, *, labels: str = "", fields: str = ""
) -> list[dict[str, Any]]:
    """Return the objects of a kind, each with its apiVersion and kind; `namespace` "" means all."""
    query = {"labelSelector": labels, "fieldSelector": fields}
    items = fetch(client, build_path(kind, namespace, query=query))["items"]
    return [{"apiVersion": kind.api_version, "kind": kind.kind, **item} for item in items]


def watch(client: Client, path: str, headers: dict[str, str] | None = None) -> Iterator[dict[str, Any]]:
    """Yield a watch's events until it ends. `path` carries the query. Raises: ApiError of an ERROR event."""
    for event in client.open("GET", path, headers=headers).lines():
        if event["type"] == "ERROR":
            from pinnace.cli.client import parse_error_document

            raise parse_error_document(event["object"], int(event["object"].get("code", 500)))
        if event["type"] != "BOOKMARK":
            yield event
