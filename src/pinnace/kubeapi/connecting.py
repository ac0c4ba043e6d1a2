"""Asks admission before somebody connects to a pod, a Service or a node: policies may speak of exec and its kin, too.

Wrapped around those subresources in `subresources.py`, so that nothing is opened before. Source: Kubernetes v1.36,
apiserver/pkg/endpoints/handlers/rest.go, ConnectResource: the options are the object of the review.
"""

from typing import Any

from pinnace.kube.objects.custom import CustomObject
from pinnace.kubeapi.calls import Call
from pinnace.kubeapi.query import Query

_FLAGS = ("stdin", "stdout", "stderr", "tty")


def admit_connection(call: Call) -> None:
    """Return if the connection may be. Raises: ApiError of the first row of admission that says no."""
    subresource = call.target.subresource
    kind, options = describe_connection(call.kind.kind, subresource, call.target.rest, call.query)
    shown = CustomObject(api_version="v1", kind=kind, body=options)
    call.api.admit_connect(
        call.kind, call.namespace, call.name, subresource, options=shown, context=call.context
    )


def describe_connection(kind: str, subresource: str, rest: str, query: Query) -> tuple[str, dict[str, Any]]:
    """Return the kind of the options, and the options as policies read them. Source: Kubernetes v1, PodExecOptions and its kin."""
    match subresource:
        case "exec" | "attach":
            flags = {name: True for name in _FLAGS if query.flag(name)}
            named = {"container": query.text("container")} if query.text("container") else {}
            command = {"command": list(query.all("command"))} if subresource == "exec" else {}
            return f"Pod{subresource.capitalize()}Options", {**flags, **named, **command}
        case "portforward":
            ports = [
                int(text)
                for text in ",".join(query.all("ports")).split(",")
                if text.isascii() and text.isdigit() and len(text) < 6
            ]
            return "PodPortForwardOptions", {"ports": ports} if ports else {}
    return f"{kind}ProxyOptions", {"path": f"/{rest}"} if rest else {}
