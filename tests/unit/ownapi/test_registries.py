"""The routes of pulls and pushes over a real socket, with a pretended image store."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from aiohttp import ClientSession, web

from pinnace.base.errors import ApiError, Reason
from pinnace.image.registry.news import LayerNews, OnNews, Pulled, Pushed
from pinnace.image.store import ImageStore
from pinnace.image.views import Image
from pinnace.oci.config import ImageConfig, RootFs
from pinnace.oci.credentials import Credential, Keyring
from pinnace.oci.digest import Digest
from pinnace.oci.reference import parse_reference
from pinnace.ownapi.registries import NewsQueue, registry_routes
from pinnace.ownapi.router import PREFIX, Router

ID, DIGEST = Digest("sha256:" + "1" * 64), Digest("sha256:" + "2" * 64)
ADA, OWNER = Credential("ada", "s3cret"), Credential("owner", "0wner")
IMAGE = Image(
    id=ID,
    config=ImageConfig(architecture="amd64", os="linux", rootfs=RootFs()),
    references=(parse_reference("ghcr.io/a:v1"), parse_reference("ghcr.io/a:v2"), parse_reference("b")),
    size=1,
)
BODY = {"reference": "ghcr.io/a:v1", "credentials": {"ghcr.io": {"username": "ada", "password": "s3cret"}}}


class Store:
    """Remembers who asked; `work` is what a pull or push does."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.cancelled = asyncio.Event()
        self.work: Callable[[OnNews | None], Awaitable[None]] | None = None

    async def pull(
        self, reference: str, *, keyring: Keyring, platform: str, on_news: OnNews | None
    ) -> Pulled:
        self.asked.append((reference, await keyring("ghcr.io"), await keyring("mirror.lan"), platform))
        try:
            if self.work is not None:
                await self.work(on_news)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return Pulled(image=IMAGE, digest=DIGEST, is_new=True, received=1, seconds=1)

    async def push(self, reference: str, *, keyring: Keyring, on_news: OnNews | None) -> Pushed:
        self.asked.append(reference)
        return Pushed(digest=DIGEST, size=405, sent=1, seconds=1)

    async def remote_tags(self, reference: str, *, keyring: Keyring) -> tuple[str, ...]:
        return ("v1", "v2")

    async def check_login(self, domain: str, credential: Credential) -> str:
        self.asked.append((domain, credential))
        return "t0ken"

    def resolve(self, text: str) -> Image | None:
        return IMAGE if text == "ghcr.io/a:v1" else None

    def list(self) -> tuple[Image, ...]:
        return (IMAGE,)


async def owner(domain: str) -> Credential | None:
    return OWNER


@asynccontextmanager
async def served(store: Store) -> AsyncIterator[Callable[..., Any]]:
    """Serve the routes; gives a call that posts and returns (status, lines)."""
    router = Router(registry_routes(cast(ImageStore, store), owner))
    runner = web.ServerRunner(web.Server(router, handler_cancellation=True))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        async with ClientSession() as session:

            async def post(path: str, body: Any) -> tuple[int, list[dict[str, Any]]]:
                async with session.post(f"http://127.0.0.1:{port}{PREFIX}{path}", json=body) as answer:
                    text = await answer.text()
                    return answer.status, [json.loads(line) for line in text.splitlines()]

            yield post
    finally:
        await runner.cleanup()


async def test_a_pull_tells_its_news_and_then_what_came_of_it() -> None:
    store = Store()

    async def work(on_news: OnNews | None) -> None:
        assert on_news is not None
        on_news(LayerNews(digest=DIGEST, state="downloading", current=1, total=2))
        on_news(LayerNews(digest=DIGEST, state="pulled"))

    store.work = work
    async with served(store) as post:
        status, lines = await post("/pull", {**BODY, "platform": "linux/arm64"})
    assert status == 200
    assert [line["type"] for line in lines] == ["begin", "layer", "layer", "pulled", "done"]
    assert lines[0] == {"type": "begin", "reference": "ghcr.io/a:v1", "path": "a", "tag": "v1"}
    assert lines[3]["digest"] == DIGEST and lines[3]["is_new"]
    assert store.asked == [("ghcr.io/a:v1", ADA, OWNER, "linux/arm64")]


async def test_the_owners_credentials_stand_in_for_nobody_at_the_registry_itself() -> None:
    store = Store()
    async with served(store) as post:
        await post("/pull", {"reference": "ghcr.io/a:v1"})
    assert store.asked == [("ghcr.io/a:v1", None, OWNER, "")]


async def test_all_tags_are_those_of_the_registry_for_a_pull_and_ours_for_a_push() -> None:
    store = Store()
    async with served(store) as post:
        _, lines = await post("/pull", {"reference": "ghcr.io/a", "all_tags": True})
        assert [line["reference"] for line in lines if line["type"] == "pulled"] == [
            "ghcr.io/a:v1",
            "ghcr.io/a:v2",
        ]
        store.asked.clear()
        await post("/push", {"reference": "ghcr.io/a", "all_tags": True})
    assert store.asked == ["ghcr.io/a:v1", "ghcr.io/a:v2"]


async def test_errors_end_the_lines_and_bad_requests_are_refused_before() -> None:
    store = Store()

    async def refuse(on_news: OnNews | None) -> None:
        raise ApiError(Reason.NOT_FOUND, "manifest unknown", kind="images", hint="look again")

    async def break_down(on_news: OnNews | None) -> None:
        raise ZeroDivisionError

    async with served(store) as post:
        store.work = refuse
        assert (await post("/pull", BODY))[1][-1] == {
            "type": "error",
            "reason": "NotFound",
            "message": "manifest unknown",
            "hint": "look again",
            "details": {"kind": "images", "name": ""},
        }
        store.work = break_down
        assert (await post("/pull", BODY))[1][-1]["reason"] == "Bug"
        assert (await post("/pull", {"reference": "BAD"}))[0] == 400
        assert (await post("/push", {"reference": "nobody/has:it"}))[0] == 404
        status, lines = await post("/pull", {**BODY, "credentials": {"ghcr.io": "s3cret"}})
        assert status == 400 and "s3cret" not in str(lines)


async def test_a_client_that_goes_away_ends_the_pull() -> None:
    store = Store()
    begun = asyncio.Event()

    async def work(on_news: OnNews | None) -> None:
        begun.set()
        await asyncio.Event().wait()

    store.work = work
    async with served(store) as post:
        asking = asyncio.ensure_future(post("/pull", BODY))
        await begun.wait()
        asking.cancel()
        await asyncio.wait_for(store.cancelled.wait(), 5)
        with pytest.raises(asyncio.CancelledError):
            await asking


async def test_a_login_gives_back_the_registrys_token() -> None:
    store = Store()
    async with served(store) as post:
        credential = {"username": "ada", "password": "s3cret"}
        _, lines = await post("/login", {"domain": "ghcr.io", "credential": credential})
    assert lines == [{"identity_token": "t0ken"}]
    assert store.asked == [("ghcr.io", ADA)]


async def test_of_a_layers_progress_only_the_newest_waits() -> None:
    queue = NewsQueue()
    for state, current in (("downloading", 1), ("downloading", 2), ("retrying", 2), ("downloading", 3)):
        queue.put({"type": "layer", "digest": "a", "state": state, "current": current})
    queue.put({"type": "begin"})
    queue.put({"type": "begin"})
    taken = await queue.take()
    assert [(line.get("state"), line.get("current")) for line in taken] == [
        ("retrying", 2),
        ("downloading", 3),
        (None, None),
        (None, None),
    ]
