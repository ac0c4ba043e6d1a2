"""Outer forms: indented, packed, YAML for errors; HEAD."""

import gzip
import json
from typing import Any

import aiohttp
import pytest
import yaml

from pinnace.kubeapi import polishing
from tests.unit.kubeapi.conftest import PODS, Kube, pod

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"


# Expected: apiserver/pkg/endpoints/handlers/negotiation, isPrettyPrint.
@pytest.mark.parametrize(
    ("path", "agent", "pretty"),
    [
        ("/x", "curl/8.0", True),
        ("/x", "Mozilla/5.0 (X11)", True),
        ("/x", "kubectl/v1.37", False),
        ("/x?pretty=true", "kubectl/v1.37", True),
        ("/x?pretty=false", "curl/8.0", False),
        ("/x?pretty", "curl/8.0", True),
        ("/x?pretty=yes", "curl/8.0", False),
        ("/pretty", "kubectl", False),
    ],
)
def test_people_get_indented_answers(path: str, agent: str, pretty: bool) -> None:
    assert polishing.wants_pretty(path, agent) is pretty


async def test_an_indented_answer_says_the_same(kube: Kube) -> None:
    await kube.call("POST", PODS, pod("a"))
    plain = await kube.get(f"{PODS}/a")
    async with kube.session.get(f"http://kube{PODS}/a?pretty=1") as response:
        text = await response.text()
    assert (json.loads(text), text.startswith('{\n  "apiVersion"')) == (plain, True)
    async with kube.session.get(f"http://kube{PODS}/none", headers={"User-Agent": "curl/8"}) as response:
        assert (await response.text()).startswith('{\n  "kind": "Status"')


async def test_errors_come_in_yaml_where_answers_would(kube: Kube) -> None:
    status, text = await kube.call("GET", f"{PODS}/none", Accept="application/yaml")
    assert (status, kube.headers["Content-Type"]) == (404, "application/yaml")
    assert yaml.safe_load(text)["reason"] == "NotFound"


async def test_a_long_answer_is_packed_for_the_far_away(kube: Kube, monkeypatch: pytest.MonkeyPatch) -> None:
    await kube.call("POST", CONFIG_MAPS, {"metadata": {"name": "a"}, "data": {"k": "x" * 200_000}})
    connector = aiohttp.UnixConnector(str(kube.path))
    async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:

        async def ask(path: str, encoding: str) -> tuple[Any, bytes]:
            async with session.get(f"http://kube{path}", headers={"Accept-Encoding": encoding}) as response:
                return response.headers, await response.read()

        headers, body = await ask(f"{CONFIG_MAPS}/a", "gzip")
        assert "Content-Encoding" not in headers  # a neighbour: packing would cost more than it saves
        monkeypatch.setattr(polishing, "is_far", lambda transport: True)
        headers, packed = await ask(f"{CONFIG_MAPS}/a", "deflate, gzip;q=1.0")
        assert (headers["Content-Encoding"], gzip.decompress(packed)) == ("gzip", body)
        assert len(packed) < 5000
        for path, encoding in (
            (f"{CONFIG_MAPS}/a", "identity"),
            (f"{CONFIG_MAPS}/a", "gzip;q=0"),
            ("/version", "gzip"),
        ):
            assert "Content-Encoding" not in (await ask(path, encoding))[0]


async def test_head_is_a_get_without_a_body(kube: Kube) -> None:
    await kube.call("POST", PODS, pod("a"))
    for path in (PODS, f"{PODS}/a", "/version", "/healthz"):
        async with kube.session.get(f"http://kube{path}") as response:
            size = response.headers["Content-Length"]
        async with kube.session.head(f"http://kube{path}") as response:
            assert (response.status, response.headers["Content-Length"], await response.read()) == (
                200,
                size,
                b"",
            )
    async with kube.session.head(f"http://kube{PODS}/none") as response:
        assert response.status == 404
