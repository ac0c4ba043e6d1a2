import asyncio
import json
from typing import Any

import aiohttp
import pytest

from pinnace.api.world import LogOptions
from tests.unit.kubeapi.conftest import PODS, FakeSession, Kube, pod

MERGE = "application/merge-patch+json"


async def running(kube: Kube, name: str = "web", **more: Any) -> None:
    """Make a pod whose containers run."""
    await kube.call("POST", PODS, pod(name, **more))
    await kube.call("POST", f"{PODS}/{name}/binding", {"target": {"kind": "Node", "name": "here"}})
    count = more.get("containers", 1)
    statuses = [
        {
            "name": f"c{n}",
            "image": "i",
            "imageID": "",
            "ready": True,
            "restartCount": 0,
            "state": {"running": {}},
        }
        for n in range(count)
    ]
    status, document = await kube.call(
        "PATCH",
        f"{PODS}/{name}/status",
        {"status": {"phase": "Running", "containerStatuses": statuses}},
        content_type=MERGE,
    )
    assert status == 200, document


# ---------------------------------------------------------------------------------------------------- logs


async def test_a_log_is_text(kube: Kube) -> None:
    await running(kube)
    assert await kube.get(f"{PODS}/web/log") == "one\ntwo\n"
    assert kube.headers["Content-Type"] == "text/plain"


async def test_log_options_reach_the_world(kube: Kube) -> None:
    await running(kube)
    query = "timestamps=true&tailLines=3&sinceTime=1970-01-01T00:00:09Z&limitBytes=9"
    await kube.get(f"{PODS}/web/log?{query}")
    assert kube.world.log_options == [
        LogOptions(container="c0", timestamps=True, tail_lines=3, since_time=9.0, limit_bytes=9)
    ]


@pytest.mark.parametrize(
    ("query", "code", "message"),
    [
        ("container=x", 400, "container x is not valid for pod web"),
        ("previous=true", 400, 'previous terminated container "c0" in pod "web" not found'),
        ("tailLines=-1", 422, None),
        ("sinceSeconds=0", 422, None),
        ("sinceSeconds=5&sinceTime=1970-01-01T00:00:09Z", 422, None),
        ("sinceTime=yesterday", 400, None),
    ],
)
async def test_logs_that_cannot_be_read(kube: Kube, query: str, code: int, message: str | None) -> None:
    await running(kube)
    status, document = await kube.call("GET", f"{PODS}/web/log?{query}")
    assert status == code
    assert message is None or document["message"] == message


async def test_the_log_of_a_pod_without_a_node_is_empty(kube: Kube) -> None:
    await kube.call("POST", PODS, pod())
    assert await kube.get(f"{PODS}/web/log") == ""


async def test_following_gives_lines_as_they_come(kube: Kube) -> None:
    await running(kube)
    kube.world.hold_logs = asyncio.Event()
    async with asyncio.timeout(5), kube.session.get(f"http://kube{PODS}/web/log?follow=true") as response:
        assert await response.content.readline() == b"one\n"
        assert await response.content.readline() == b"two\n"
        kube.world.hold_logs.set()
        assert await response.content.read() == b"late\n"


async def test_following_a_silent_container_starts_at_once(kube: Kube) -> None:
    await running(kube)
    kube.world.log_chunks = []
    kube.world.hold_logs = asyncio.Event()
    async with asyncio.timeout(5), kube.session.get(f"http://kube{PODS}/web/log?follow=true") as response:
        assert response.status == 200
        kube.world.hold_logs.set()
        assert await response.content.read() == b"late\n"


# ---------------------------------------------------------------------------------------------------- exec, attach


async def receive_all(socket: aiohttp.ClientWebSocketResponse) -> list[tuple[int, bytes]]:
    messages: list[tuple[int, bytes]] = []
    async with asyncio.timeout(5):
        async for message in socket:
            messages.append((message.data[0], message.data[1:]))
    return messages


async def closed(session: FakeSession) -> None:
    """Return when the server has let go of the session."""
    async with asyncio.timeout(5):
        await session.closed.wait()


async def test_exec_sends_output_and_success(kube: Kube) -> None:
    await running(kube)
    url = f"http://kube{PODS}/web/exec?command=echo&command=hi&stdout=true&stderr=true"
    async with kube.session.ws_connect(url, protocols=["v5.channel.k8s.io"]) as socket:
        assert socket.protocol == "v5.channel.k8s.io"
        messages = await receive_all(socket)
    assert messages[:2] == [(1, b""), (1, b"echo hi")]
    assert messages[2][0] == 3
    assert json.loads(messages[2][1]) == {"metadata": {}, "status": "Success"}
    await closed(kube.world.sessions[0])


@pytest.mark.parametrize("protocol", ["v5.channel.k8s.io", "v4.channel.k8s.io"])
async def test_exec_takes_input_sizes_and_the_end_of_input(kube: Kube, protocol: str) -> None:
    await running(kube)
    url = f"http://kube{PODS}/web/exec?command=cat&stdin=true&stdout=true&stderr=true"
    async with kube.session.ws_connect(url, protocols=[protocol]) as socket:
        await socket.send_bytes(b"\x04" + json.dumps({"Width": 80, "Height": 24}).encode())
        await socket.send_bytes(b"\x00abc")
        await socket.send_bytes(b"\xff\x00")
        messages = await receive_all(socket)
    assert messages[1:3] == [(1, b"cat"), (2, b"ABC")]
    status = json.loads(messages[-1][1])
    assert (status["reason"], status["details"]) == (
        "NonZeroExitCode",
        {"causes": [{"reason": "ExitCode", "message": "3"}]},
    )
    assert kube.world.sessions[0].sizes == [(80, 24)]


async def test_input_may_come_as_text(kube: Kube) -> None:
    await running(kube)
    url = f"http://kube{PODS}/web/exec?command=cat&stdin=true&stdout=true&stderr=true"
    async with kube.session.ws_connect(url, protocols=["v5.channel.k8s.io"]) as socket:
        await socket.send_str("")
        await socket.send_str("\x00abc")
        await socket.send_bytes(b"\xff\x00")
        messages = await receive_all(socket)
    assert messages[1:3] == [(1, b"cat"), (2, b"ABC")]


async def test_a_client_that_leaves_ends_its_session(kube: Kube) -> None:
    await running(kube)
    url = f"http://kube{PODS}/web/exec?command=cat&stdin=true&stdout=true"
    async with kube.session.ws_connect(url, protocols=["v5.channel.k8s.io"]) as socket:
        await socket.receive()
    await closed(kube.world.sessions[0])


async def test_attach_has_no_command(kube: Kube) -> None:
    await running(kube)
    url = f"http://kube{PODS}/web/attach?stdout=true"
    async with kube.session.ws_connect(url, protocols=["v4.channel.k8s.io"]) as socket:
        messages = await receive_all(socket)
    assert kube.world.sessions[0].options.command == ()
    assert messages[-1][0] == 3


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("stdout=true", "you must specify at least 1 command for the container"),
        ("command=a", "you must specify at least 1 of stdin, stdout, stderr"),
        ("command=a&stdout=true&container=x", "container x is not valid for pod web"),
    ],
)
async def test_exec_that_cannot_be_is_refused_before_the_upgrade(
    kube: Kube, query: str, message: str
) -> None:
    await running(kube)
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket"}
    status, document = await kube.call("GET", f"{PODS}/web/exec?{query}", **upgrade)
    assert (status, document["message"]) == (400, message)


async def test_exec_without_websocket_is_a_bad_request(kube: Kube) -> None:
    await running(kube)
    status, document = await kube.call("POST", f"{PODS}/web/exec?command=a&stdout=true")
    assert (status, document["reason"]) == (400, "BadRequest")
    assert kube.world.sessions == []


# ---------------------------------------------------------------------------------------------------- older protocols


@pytest.mark.parametrize("protocols", [[], ["channel.k8s.io"]])
async def test_clients_without_a_version_get_the_end_as_text(kube: Kube, protocols: list[str]) -> None:
    await running(kube)
    url = f"http://kube{PODS}/web/exec?command=cat&stdin=true&stdout=true"
    async with kube.session.ws_connect(url, protocols=protocols) as socket:
        await socket.receive()
        await kube.world.sessions[0].close_stdin()
        messages = await receive_all(socket)
    assert messages == [(1, b"cat"), (3, b"command terminated with non-zero exit code: exit status 3")]


async def test_channels_may_be_text(kube: Kube) -> None:
    await running(kube)
    url = f"http://kube{PODS}/web/exec?command=echo&command=hi&stdout=true"
    async with (
        asyncio.timeout(5),
        kube.session.ws_connect(url, protocols=["v4.base64.channel.k8s.io"]) as socket,
    ):
        texts = [message.data async for message in socket]
    assert texts[:2] == ["1", "1ZWNobyBoaQ=="]
    assert texts[2].startswith("3")


async def test_output_that_nobody_asked_for_is_not_sent(kube: Kube) -> None:
    await running(kube)
    url = f"http://kube{PODS}/web/exec?command=echo&stderr=true"
    async with kube.session.ws_connect(url, protocols=["v5.channel.k8s.io"]) as socket:
        messages = await receive_all(socket)
    assert [channel for channel, _ in messages] == [2, 3]


async def test_a_policy_may_forbid_to_connect(kube: Kube) -> None:
    await running(kube)
    policies = "/apis/admissionregistration.k8s.io/v1"
    rule = {
        "apiGroups": [""],
        "apiVersions": ["v1"],
        "operations": ["CONNECT"],
        "resources": ["pods/exec", "pods/proxy"],
    }
    spec = {
        "matchConstraints": {"resourceRules": [rule]},
        "validations": [{"expression": "object.command[0] != 'a'", "message": "no exec here"}],
    }
    made, _ = await kube.call(
        "POST", f"{policies}/validatingadmissionpolicies", {"metadata": {"name": "no-exec"}, "spec": spec}
    )
    bound, _ = await kube.call(
        "POST",
        f"{policies}/validatingadmissionpolicybindings",
        {"metadata": {"name": "no-exec"}, "spec": {"policyName": "no-exec", "validationActions": ["Deny"]}},
    )
    assert (made, bound) == (201, 201)
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket"}
    status, document = await kube.call("GET", f"{PODS}/web/exec?command=a&stdout=true", **upgrade)
    assert "no exec here" in document["message"], document
    assert status in (403, 422)
    assert kube.world.sessions == []
