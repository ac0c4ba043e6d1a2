"""Decides which pod and which port inside it a port-forward means. Pure.

Source: Kubernetes v1.36, k8s.io/kubectl/pkg/cmd/portforward/portforward.go and pkg/util/service_port.go.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from pinnace.base.errors import UserError

Object = dict[str, Any]


class Pair(NamedTuple):
    """A local port (0: a free one) and what is asked for on the other side: a number or a name."""

    local: int
    remote: str


def parse_pair(text: str) -> Pair:
    """Return a pair of ports. Raises: UserError. Example: "8080:http" → 8080, "http"; ":80" → 0, "80"; "80" → 80, "80"."""
    local, colon, remote = text.partition(":")
    remote = remote if colon else local
    if (local and not local.isdigit()) or not remote or (local.isdigit() and int(local) > 65535):
        if colon or not remote or remote.isdigit():
            raise UserError(f"invalid port format '{text}'", hint="LOCAL:REMOTE, like 8080:80")
        local = "0"
    return Pair(int(local or 0), remote)


def find_pod_port(pod: Object, port: str) -> int:
    """Return the port of a pod by number or name. Raises: UserError."""
    if port.isdigit():
        return int(port)
    for container in pod["spec"]["containers"]:
        for entry in container.get("ports", ()):
            if entry.get("name") == port:
                return int(entry["containerPort"])
    raise UserError(f'Pod "{pod["metadata"]["name"]}" does not have a named port "{port}"')


def find_service_port(service: Object, pod: Object, port: str) -> int:
    """Return the pod's port behind a Service's port. Raises: UserError."""
    name = service["metadata"]["name"]
    for entry in service["spec"].get("ports", ()):
        if port in (str(entry["port"]), entry.get("name", "")):
            return find_pod_port(pod, str(entry.get("targetPort", entry["port"])))
    raise UserError(f"Service {name} does not have a service port {port}")


def choose_pod(pods: list[Object], whose: str) -> Object:
    """Return the pod that is most likely to answer: a ready one, else one that runs. Raises: UserError."""
    running = [pod for pod in pods if pod.get("status", {}).get("phase") == "Running"]
    ready = [pod for pod in running if _is_ready(pod) and not pod["metadata"].get("deletionTimestamp")]
    for pod in (*ready, *running):
        return pod
    raise UserError(f"{whose} has no running pod", hint="pinnace get pods")


def _is_ready(pod: Object) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", ()))


def render_selector(labels: dict[str, str]) -> str:
    """Return labels as a selector's text."""
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
