"""Builders of the manifests that tests apply: what a test is about stands in the test, the rest here."""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]

# Ends at once when it is told to: a shell as process 1 ignores SIGTERM unless it has a trap.
WAIT = "trap 'exit 0' TERM; while :; do sleep 1 & wait $!; done"


def container(name: str = "main", command: str | list[str] = WAIT, **fields: Any) -> Object:
    """Return a container; a text is a shell's."""
    words = ["sh", "-c", command] if isinstance(command, str) else command
    return {"name": name, "image": "tiny:v1", "command": words, **fields}


def pod(name: str, *containers: Object, labels: dict[str, str] | None = None, **spec: Any) -> Object:
    """Return a pod; without containers, one that waits to be ended."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels or {"app": name}},
        "spec": {
            "terminationGracePeriodSeconds": 5,
            "containers": list(containers) or [container()],
            **spec,
        },
    }


def server(image: str = "my-model:v1", **fields: Any) -> Object:
    """Return a container that serves on port 8000 and is ready when it does."""
    return {
        "name": "server",
        "image": image,
        "ports": [{"containerPort": 8000, "name": "http"}],
        "readinessProbe": {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 1},
        **fields,
    }


def deployment(name: str, *containers: Object, replicas: int = 1, grace_s: int = 4, **spec: Any) -> Object:
    """Return a Deployment; without containers, one of the web server."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {
                    "terminationGracePeriodSeconds": grace_s,
                    "containers": list(containers) or [server()],
                },
            },
            **spec,
        },
    }


def service(name: str, app: str, port: int = 80, target: int | str = 8000, **spec: Any) -> Object:
    """Return a Service of the pods of `app`."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": app}, "ports": [{"port": port, "targetPort": target}], **spec},
    }


def config_map(name: str, **data: str) -> Object:
    """Return a ConfigMap."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def secret(name: str, **data: str) -> Object:
    """Return a Secret, its values as plain text."""
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}
