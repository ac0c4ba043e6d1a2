"""`pinnace port-forward`: carries connections to local ports into a pod, over WebSocket, one for each connection."""

from __future__ import annotations

import os
import socket
import threading

import click

from pinnace.base.errors import HostError, PinnaceError, UserError
from pinnace.cli.client import Client
from pinnace.cli.kube.addresses import build_path
from pinnace.cli.kube.forwarding import (
    Pair,
    choose_pod,
    find_pod_port,
    find_service_port,
    parse_pair,
    render_selector,
)
from pinnace.cli.kube.naming import Named, find_kind, parse_named
from pinnace.cli.kube.options import namespace_option
from pinnace.cli.kube.requests import fetch, list_objects
from pinnace.cli.kube.speech import guarded
from pinnace.cli.output import say
from pinnace.cli.websocket import WebSocket, connect
from pinnace.kube.kinds import POD, SERVICE

PROTOCOL = "v4.channel.k8s.io"
DATA, ERROR = 0, 1  # channels of the only port
LINGER_S = 5.0  # how long the pod may still answer after the local side has ended its half
_CHUNK_BYTES = 32 * 1024


@click.command("port-forward")
@click.argument("what")
@click.argument("ports", nargs=-1, required=True)
@namespace_option
@click.option("--address", default="127.0.0.1", help="Where to listen.")
@guarded
def port_forward_command(what: str, ports: tuple[str, ...], namespace: str, address: str) -> int:
    """Reach a pod's port locally: pinnace port-forward svc/web 8080:80."""
    pairs = [parse_pair(port) for port in ports]
    client = Client()
    [named] = parse_named([what]) if "/" in what else [Named(find_kind("pod"), what)]
    pod, remotes = _resolve(client, namespace, named, pairs)
    listeners = []
    for pair, remote in zip(pairs, remotes, strict=True):
        listener = _listen(address, pair.local)
        host, port = listener.getsockname()[:2]
        print(f"Forwarding from {host}:{port} -> {remote}", flush=True)
        path = build_path(POD, namespace, pod, "portforward", {"ports": str(remote)})
        listeners.append(threading.Thread(target=_accept, args=(client, listener, port, path), daemon=True))
    for thread in listeners:
        thread.start()
    for thread in listeners:
        thread.join()
    return 0


def _resolve(client: Client, namespace: str, named: Named, pairs: list[Pair]) -> tuple[str, list[int]]:
    """Return the pod, and its port for each pair. Raises: UserError, ApiError."""
    found = fetch(client, build_path(named.kind, namespace, named.name))
    if named.kind is POD:
        return named.name, [find_pod_port(found, pair.remote) for pair in pairs]
    spec = found.get("spec", {})
    labels = (
        spec.get("selector", {}) if named.kind is SERVICE else spec.get("selector", {}).get("matchLabels", {})
    )
    whose = f'{named.kind.singular} "{named.name}"'
    if not labels:
        raise UserError(f"{whose} selects no pods")
    pod = choose_pod(list_objects(client, POD, namespace, labels=render_selector(labels)), whose)
    if named.kind is SERVICE:
        return pod["metadata"]["name"], [find_service_port(found, pod, pair.remote) for pair in pairs]
    return pod["metadata"]["name"], [find_pod_port(pod, pair.remote) for pair in pairs]


def _listen(address: str, port: int) -> socket.socket:
    try:
        return socket.create_server(
            (address, port), family=socket.AF_INET6 if ":" in address else socket.AF_INET
        )
    except OSError as error:
        raise HostError(
            f"unable to listen on {address}:{port}: {os.strerror(error.errno or 0)}",
            hint=f"see who has it: ss -ltnp 'sport = :{port}'",
        ) from error


def _accept(client: Client, listener: socket.socket, port: int, path: str) -> None:
    while True:
        local, _ = listener.accept()
        print(f"Handling connection for {port}", flush=True)
        threading.Thread(target=_serve, args=(client, local, path), daemon=True).start()


def _serve(client: Client, local: socket.socket, path: str) -> None:
    """Carry one connection, both ways, until both sides are done."""
    with local:
        try:
            remote = connect(client, path, PROTOCOL)
        except PinnaceError as error:
            say(f"error: {error.message}")
            return
        inward = threading.Thread(target=_pump_in, args=(local, remote), daemon=True)
        inward.start()
        try:
            _pump_out(remote, local)
        finally:
            remote.close()


def _pump_in(local: socket.socket, remote: WebSocket) -> None:
    try:
        while data := local.recv(_CHUNK_BYTES):
            remote.send(bytes((DATA,)) + data)
        # These channels can't say that a half has ended; what the pod still answers has a little time to come.
        threading.Timer(LINGER_S, remote.close).start()
    except OSError:
        remote.close()


def _pump_out(remote: WebSocket, local: socket.socket) -> None:
    opened: set[int] = set()
    for message in remote.messages():
        channel, data = message[0], message[1:]
        if channel not in opened:  # each channel begins with its port
            opened.add(channel)
            data = data[2:]
        if channel == ERROR and data:
            say(f"error: {data.decode(errors='replace')}")
        elif channel == DATA and data:
            try:
                local.sendall(data)
            except OSError:
                return
