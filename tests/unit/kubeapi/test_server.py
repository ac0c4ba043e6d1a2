import socket
import stat
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from pinnace.api.facade import Api
from pinnace.base.chance import Chance
from pinnace.base.clock import SystemClock
from pinnace.base.errors import HostError
from pinnace.kubeapi.pki import ensure
from pinnace.kubeapi.server import KubeServer
from pinnace.kubeapi.settings import World
from pinnace.store.memory import MemoryStore
from tests.unit.kubeapi.conftest import PODS, Kube, pod


def server() -> KubeServer:
    return KubeServer(Api(MemoryStore(), SystemClock(), Chance(1)), World())


async def test_only_the_owner_can_open_the_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "run" / "kube.sock"
    serving = server()
    await serving.serve_unix(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    await serving.close()
    assert list(path.parent.iterdir()) == []


async def test_the_socket_of_a_server_that_died_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "kube.sock"
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path))
    left.close()
    serving = server()
    await serving.serve_unix(path)
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as session,
        session.get("http://kube/healthz") as response,
    ):
        assert await response.text() == "ok"
    await serving.close()


async def test_a_taken_port_is_told_with_what_to_do(tmp_path: Path) -> None:
    context = ensure(tmp_path, SystemClock()).server_context()
    serving = server()
    port = await serving.serve_tls("127.0.0.1", 0, context)
    with pytest.raises(HostError, match=f"can't listen on 127.0.0.1:{port}") as caught:
        other = server()
        try:
            await other.serve_tls("127.0.0.1", port, context)
        finally:
            await other.close()
    assert f":{port}" in caught.value.hint
    await serving.close()


async def test_other_rooms_are_mounted_for_the_administrator(tmp_path: Path) -> None:
    async def hello(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text="hello")

    context = ensure(tmp_path / "pki", SystemClock())
    serving = KubeServer(
        Api(MemoryStore(), SystemClock(), Chance(1)), World(), mounts={"/pinnace/v1/": hello}
    )
    path = tmp_path / "kube.sock"
    await serving.serve_unix(path)
    port = await serving.serve_tls("127.0.0.1", 0, context.server_context())
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as session:
        async with session.get("http://kube/pinnace/v1/x") as response:
            assert await response.text() == "hello"
        url = f"https://127.0.0.1:{port}/pinnace/v1/x"
    async with aiohttp.ClientSession() as session, session.get(url, ssl=False) as response:
        assert response.status == 403
    await serving.close()


async def test_version_is_that_of_the_api_that_is_spoken(kube: Kube) -> None:
    document = await kube.get("/version")
    assert (document["major"], document["minor"], document["gitVersion"]) == ("1", "36", "v1.36.0+pinnace")


async def test_requests_are_counted(kube: Kube) -> None:
    await kube.call("POST", PODS, pod())
    text = await kube.get("/metrics")
    labels = 'verb="POST",group="",version="v1",resource="pods",subresource="",scope="namespace",component="apiserver"'
    assert f'apiserver_request_total{{{labels},dry_run="",code="201"}} 1\n' in text


async def test_openapi_is_served_with_a_tag(kube: Kube) -> None:
    index = await kube.get("/openapi/v3")
    path = index["paths"]["apis/apps/v1"]["serverRelativeURL"]
    document = await kube.get(path)
    assert document["openapi"].startswith("3.")
    status, _ = await kube.call("GET", path, If_None_Match=kube.headers["ETag"])
    assert status == 304
    assert (await kube.call("GET", "/openapi/v3/apis/unknown/v1"))[0] == 404


async def test_a_client_that_waits_for_continue_is_told_to(kube: Kube) -> None:
    async with kube.session.post(f"http://kube{PODS}", json=pod(), expect100=True) as response:
        assert response.status == 201


async def test_a_client_that_goes_away_before_its_answer_begins_is_no_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def begin(request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        response = web.StreamResponse()
        await response.prepare(request)
        return response

    serving = KubeServer(
        Api(MemoryStore(), SystemClock(), Chance(1)), World(), mounts={"/pinnace/v1/": begin}
    )
    await serving.serve_unix(tmp_path / "kube.sock")
    connector = aiohttp.UnixConnector(str(tmp_path / "kube.sock"))
    async with aiohttp.ClientSession(connector=connector) as session:
        with pytest.raises(aiohttp.ClientError):
            await session.get("http://kube/pinnace/v1/build")
    await serving.close()
    assert [one.message for one in caplog.records if one.levelname == "ERROR"] == []
