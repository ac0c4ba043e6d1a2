"""Routes about registries: pull, push, log in. Pulls and pushes tell what happens as JSON lines; the last is the end of it.

Credentials come with the request as values, stay in it, and are never logged. A client that goes away ends what it asked for.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web

from pinnace.base.errors import ApiError, Bug, PinnaceError, Reason, UserError
from pinnace.image.registry.news import LayerNews, Pulled, Pushed
from pinnace.image.store import ImageStore
from pinnace.oci.credentials import Credential, Keyring, chain, keyring_of, nobody
from pinnace.oci.reference import Reference, parse_reference
from pinnace.ownapi.router import JsonLines, Route, describe_error, read_json, render_json

log = logging.getLogger("pinnace.ownapi")

NEWS_EVERY_S = (
    0.05  # what is overtaken within this time isn't told: only how far a layer is, never what becomes of it
)

Say = Callable[[dict[str, Any]], None]


def registry_routes(images: ImageStore, owner: Keyring = nobody) -> list[Route]:
    """Return the rows. `owner` is asked for the credentials of mirrors, which are the instance's and not the request's."""

    async def pull(request: web.BaseRequest, values: dict[str, str]) -> web.StreamResponse:
        body = await read_json(request)
        reference = _read_reference(body)
        keyring = chain(read_keyring(body), _for_mirrors(owner, reference))
        platform, whole = str(body.get("platform") or ""), bool(body.get("all_tags"))

        async def work(say: Say) -> None:
            if whole:
                tags = await images.remote_tags(str(reference), keyring=keyring)
                wanted = [reference.with_tag(tag) for tag in tags]
            else:
                wanted = [reference]
            for one in wanted:
                shown = _decisive(one)
                say({"type": "begin", "reference": shown.familiar, "path": shown.path, "tag": shown.tag})
                pulled = await images.pull(
                    str(one), keyring=keyring, platform=platform, on_news=lambda news: say(_line(news))
                )
                say(_describe_pulled(one, pulled))

        return await stream_news(request, work)

    async def push(request: web.BaseRequest, values: dict[str, str]) -> web.StreamResponse:
        body = await read_json(request)
        reference, keyring = _read_reference(body), read_keyring(body)
        wanted = find_named(images, reference, whole=bool(body.get("all_tags")))

        async def work(say: Say) -> None:
            for one in wanted:
                say({"type": "begin", "reference": one.familiar, "path": one.path, "tag": one.tag})
                pushed = await images.push(str(one), keyring=keyring, on_news=lambda news: say(_line(news)))
                say(_describe_pushed(one, pushed))

        return await stream_news(request, work)

    async def log_in(request: web.BaseRequest, values: dict[str, str]) -> web.StreamResponse:
        body = await read_json(request)
        domain = body.get("domain")
        if not isinstance(domain, str) or not domain:
            raise UserError("the registry's address is missing", "pinnace login SERVER")
        token = await images.check_login(domain, _read_credential(body.get("credential")))
        return render_json({"identity_token": token})

    return [
        Route("POST", "/pull", pull),
        Route("POST", "/push", push),
        Route("POST", "/login", log_in),
    ]


def find_named(images: ImageStore, reference: Reference, *, whole: bool) -> tuple[Reference, ...]:
    """Return what a push is about: the name, or all tags of its repository. Raises: ApiError (NotFound).

    Source: moby, daemon/images, push (its words).
    """
    if not whole:
        image = images.resolve(str(reference))
        found: tuple[Reference, ...] = (reference,) if image is not None else ()
    else:
        names = {one for image in images.list() for one in image.references}
        found = tuple(sorted((one for one in names if one.name == reference.name), key=str))
    if not found:
        raise ApiError(
            Reason.NOT_FOUND,
            f"An image does not exist locally with the tag: {reference.familiar_name if whole else reference.familiar}",
            kind="images",
            name=reference.familiar,
            hint="pinnace images lists what is here; pinnace tag SOURCE TARGET gives an image its registry's name",
        )
    return found


def _for_mirrors(owner: Keyring, reference: Reference) -> Keyring:
    """Return a keyring for all but the image's own registry: there the person who asks has credentials, or none."""

    async def find(domain: str) -> Credential | None:
        return None if domain == reference.domain else await owner(domain)

    return find


def read_keyring(body: dict[str, Any]) -> Keyring:
    """Return the keyring of a request's `credentials`: an object of credentials by domain. Raises: UserError."""
    given = body.get("credentials") or {}
    if not isinstance(given, dict):
        raise UserError("credentials is not an object of domains")
    return keyring_of({str(domain): _read_credential(one) for domain, one in given.items()})


def _read_credential(value: Any) -> Credential:
    if not isinstance(value, dict):
        raise UserError("a credential is not an object")  # without its value: it may be a secret
    return Credential(**{field: str(value.get(field) or "") for field in Credential._fields})


def _read_reference(body: dict[str, Any]) -> Reference:
    text = body.get("reference")
    if not isinstance(text, str):
        raise UserError("the image's name is missing")
    return parse_reference(text)


def _decisive(reference: Reference) -> Reference:
    """Return a reference without the tag that a digest beside it makes meaningless."""
    return reference.with_digest(reference.digest) if reference.digest else reference


def _line(news: LayerNews) -> dict[str, Any]:
    line: dict[str, Any] = msgspec.to_builtins(news)
    return line


def _describe_pulled(reference: Reference, pulled: Pulled) -> dict[str, Any]:
    return {
        "type": "pulled",
        "reference": _decisive(reference).familiar,
        "name": str(reference),
        "image": pulled.image.id,
        "digest": pulled.digest,
        "is_new": pulled.is_new,
        "received": pulled.received,
        "seconds": pulled.seconds,
    }


def _describe_pushed(reference: Reference, pushed: Pushed) -> dict[str, Any]:
    return {
        "type": "pushed",
        "reference": reference.familiar,
        "name": str(reference),
        "tag": reference.tag,
        "digest": pushed.digest,
        "size": pushed.size,
        "sent": pushed.sent,
        "seconds": pushed.seconds,
    }


class NewsQueue:
    """Lines on their way to a client; of one layer's progress only the newest waits, so that a slow client holds up nothing."""

    def __init__(self) -> None:
        self._lines: dict[Any, dict[str, Any]] = {}
        self._count = 0
        self._more = asyncio.Event()

    def put(self, line: dict[str, Any]) -> None:
        """Add a line."""
        self._count += 1
        key: Any = (line["digest"], line["state"]) if line["type"] == "layer" else self._count
        self._lines.pop(key, None)  # a state that comes again comes after what was between
        self._lines[key] = line
        self._more.set()

    async def take(self) -> list[dict[str, Any]]:
        """Wait for lines and return all that are there."""
        await self._more.wait()
        lines = list(self._lines.values())
        self._lines.clear()
        self._more.clear()
        return lines


async def stream_news(request: web.BaseRequest, work: Callable[[Say], Awaitable[None]]) -> web.StreamResponse:
    """Answer with the lines that `work` says; the last one is "done", or the error that ended it."""
    lines = JsonLines(request)
    await lines.start()
    news = NewsQueue()

    async def send() -> None:
        while True:
            for line in await news.take():
                await lines.write(line)
                if line["type"] in ("done", "error"):
                    return
            await asyncio.sleep(NEWS_EVERY_S)

    sending = asyncio.get_running_loop().create_task(send(), name="ownapi/registry-news")
    working = asyncio.ensure_future(work(news.put))
    try:
        # A client that has gone is noticed by whoever writes to it; then nobody wants the rest of the work.
        await asyncio.wait((working, sending), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            news.put(_ending(working))
        await sending
    finally:
        for task in (working, sending):
            task.cancel()
        await asyncio.gather(working, sending, return_exceptions=True)
    return await lines.end()


def _ending(working: asyncio.Future[None]) -> dict[str, Any]:
    error = working.exception()
    if error is None:
        return {"type": "done"}
    if not isinstance(error, PinnaceError):
        log.error("a registry's request", exc_info=error)
        error = Bug(f"{type(error).__name__}: {error}")
    return {"type": "error", **describe_error(error)}
