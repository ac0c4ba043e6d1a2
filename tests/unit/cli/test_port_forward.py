import socket
from typing import Any

import pytest

from pinnace.base.errors import UserError
from pinnace.cli.kube.forwarding import Pair, choose_pod, find_service_port, parse_pair
from pinnace.cli.websocket import BINARY, Frames, WebSocket, encode_frame


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("8080:80", Pair(8080, "80")),
        ("80", Pair(80, "80")),
        (":http", Pair(0, "http")),
        ("http", Pair(0, "http")),
    ],
)
def test_ports_are_read_as_kubectl_reads_them(text: str, pair: Pair) -> None:
    assert parse_pair(text) == pair


@pytest.mark.parametrize("text", ["99999", "x:80", "80:", ":"])
def test_what_is_no_pair_of_ports_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="invalid port format"):
        parse_pair(text)


def pod(name: str, phase: str = "Running", ready: str = "True", **meta: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, **meta},
        "spec": {"containers": [{"ports": [{"name": "http", "containerPort": 8000}]}]},
        "status": {"phase": phase, "conditions": [{"type": "Ready", "status": ready}]},
    }


def test_a_ready_pod_is_chosen_before_one_that_only_runs_or_leaves() -> None:
    pods = [pod("a", "Pending"), pod("b", ready="False"), pod("c", deletionTimestamp="x"), pod("d")]
    assert choose_pod(pods, "x")["metadata"]["name"] == "d"
    assert choose_pod(pods[:2], "x")["metadata"]["name"] == "b"
    with pytest.raises(UserError, match='service "web" has no running pod'):
        choose_pod(pods[:1], 'service "web"')


def test_a_services_port_is_translated_to_the_pods() -> None:
    ports = [
        {"port": 80, "name": "web", "targetPort": "http"},
        {"port": 81, "targetPort": 9000},
        {"port": 82},
    ]
    service = {"metadata": {"name": "s"}, "spec": {"ports": ports}}
    found = [find_service_port(service, pod("a"), port) for port in ("80", "web", "81", "82")]
    assert found == [8000, 8000, 9000, 82]
    with pytest.raises(UserError, match="Service s does not have a service port 83"):
        find_service_port(service, pod("a"), "83")


# Source: RFC 6455, 5.7: the masked "Hello", as a text message; here the same bytes with the binary opcode.
def test_a_frame_is_masked_as_the_rfc_shows() -> None:
    frame = encode_frame(BINARY, b"Hello", bytes.fromhex("37fa213d"))
    assert frame == bytes.fromhex("8285 37fa213d 7f9f4d5158")


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536])
def test_every_size_has_its_header(size: int) -> None:
    frame = encode_frame(BINARY, b"x" * size, b"\0\0\0\0")
    head = {125: 2, 65535: 4}
    length = next((n for most, n in head.items() if size <= most), 10)
    assert (len(frame), frame[length + 4 :]) == (length + 4 + size, b"x" * size)


def test_frames_are_whole_however_the_bytes_come() -> None:
    wire = bytes((0x82, 126)) + (300).to_bytes(2, "big") + b"a" * 300 + b"\x82\x01b"
    frames = Frames()
    found = [frame for index in range(0, len(wire), 7) for frame in frames.feed(wire[index : index + 7])]
    assert found == [(2, b"a" * 300), (2, b"b")]


def test_a_ping_is_answered_and_a_close_ends_the_messages() -> None:
    here, there = socket.socketpair()
    with there:
        there.sendall(b"\x89\x01p" + b"\x82\x02hi" + b"\x88\x00")
        end = WebSocket(here)
        assert list(end.messages()) == [b"hi"]
        end.close()
        pong = there.recv(100)
    assert pong[:2] == b"\x8a\x81"
