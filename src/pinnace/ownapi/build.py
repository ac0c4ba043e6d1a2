"""The route of builds: one request, and news as JSON lines until the image is built or the error is told."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from pinnace.base.errors import Bug, PinnaceError, UserError
from pinnace.build.builder import Builder
from pinnace.build.cache_places import read_places, with_inline
from pinnace.build.inputs import BuildRequest
from pinnace.build.outputs import read_wanted
from pinnace.build.plan import BuildOptions
from pinnace.build.platforms import parse_build_platform
from pinnace.build.progress import News
from pinnace.build.pruning import Bounds
from pinnace.image.platforms import host_architecture
from pinnace.oci.credentials import Keyring, chain, nobody
from pinnace.ownapi.build_commands import read_command_rules, read_run_options
from pinnace.ownapi.contexts import context_routes, read_contexts, read_main_context
from pinnace.ownapi.registries import read_keyring
from pinnace.ownapi.router import JsonLines, Route, describe_error, read_json, render_json

log = logging.getLogger("pinnace.ownapi")


def build_routes(builder: Builder, owner: Keyring = nobody) -> list[Route]:
    """Return the rows. `owner` is asked for credentials that a request does not carry."""

    async def build(request: web.BaseRequest, values: dict[str, str]) -> web.StreamResponse:
        body = await read_json(request)
        check_text(body)
        wanted = replace(_read_request(body), keyring=chain(read_keyring(body), owner))
        lines = JsonLines(request)
        await lines.start()
        news: asyncio.Queue[News | None] = asyncio.Queue()

        async def send() -> None:
            while (one := await news.get()) is not None:
                await lines.write(msgspec.to_builtins(one))

        sending = asyncio.get_running_loop().create_task(send(), name="ownapi/build-news")
        try:
            try:
                built = await builder.build(wanted, news.put_nowait)
                last: dict[str, Any] = msgspec.to_builtins(built)
            except PinnaceError as error:
                last = {"type": "error", **describe_error(error)}
            except Exception as error:  # the answer has begun: what was not foreseen is told as its last line
                log.exception("build")
                last = {"type": "error", **describe_error(Bug(f"{type(error).__name__}: {error}"))}
            news.put_nowait(None)
            await sending
            await lines.write(last)
        finally:
            sending.cancel()
        return await lines.end()

    async def prune(request: web.BaseRequest, values: dict[str, str]) -> web.StreamResponse:
        pruned = await builder.prune(_read_bounds(await read_json(request)))
        gone = [msgspec.to_builtins(record) for record in pruned.records]
        return render_json({"forgotten": len(gone), "freed": pruned.freed, "records": gone})

    async def usage(request: web.BaseRequest, values: dict[str, str]) -> web.StreamResponse:
        records = await builder.cache_records()
        return render_json({"records": [msgspec.to_builtins(record) for record in records]})

    async def take_result(request: web.BaseRequest, values: dict[str, str]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/x-tar"})
        try:
            async with aclosing(builder.exports.take(values["token"])) as pieces:
                async for piece in pieces:
                    if not response.prepared:
                        await response.prepare(request)  # not before: what fails at once is told as an error
                    await response.write(piece)
        except PinnaceError as error:
            if not response.prepared:
                raise
            if request.transport is not None:
                request.transport.abort()  # the build's own answer says why
            raise ConnectionResetError(error.message) from error
        await response.write_eof()
        return response

    return [
        Route("POST", "/build", build),
        Route("POST", "/build/prune", prune),
        *context_routes(builder),
        Route("GET", "/build/cache", usage),
        Route("GET", "/build/results/{token}", take_result),
    ]


def _read_bounds(body: dict[str, Any]) -> Bounds:
    """Return what a person wants forgotten: all that images don't have too, if nothing else is said. Raises: UserError."""
    try:
        return msgspec.convert(body, Bounds)
    except msgspec.ValidationError as error:
        raise UserError(f"what is to be forgotten can't be understood: {error}") from error


def check_text(value: object, where: str = "") -> None:
    """Refuse what no text can hold: bytes of a command line that are not UTF-8. Raises: UserError, with no value in it."""
    if isinstance(value, dict):
        for name, one in value.items():
            check_text(name, where)
            check_text(one, f"{where} {name}".lstrip())
    elif isinstance(value, list):
        for one in value:
            check_text(one, where)
    elif isinstance(value, str) and not _is_utf8(value):
        raise UserError(
            f"{where}: this is not UTF-8", "write it in UTF-8; give a file or folder another name"
        )


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _read_request(body: dict[str, Any]) -> BuildRequest:
    context, dockerfile = body.get("context"), body.get("dockerfile")
    if not isinstance(context, str) or not isinstance(dockerfile, str):
        raise UserError("a build needs a context and a Dockerfile")
    source = read_main_context(body)
    dockerfile = dockerfile or ("" if source.is_folder else "Dockerfile")
    here = host_architecture()
    return BuildRequest(
        Path(context),
        Path(dockerfile),
        names=tuple(body.get("names", ())),
        options=BuildOptions(
            target=body.get("target", ""),
            build_args=dict(body.get("build_args", {})),
            labels=dict(body.get("labels", {})),
            architecture=here,
            commands=read_command_rules(body),
            platform=str(parse_build_platform(body.get("platforms", ()), here)),
        ),
        no_cache=bool(body.get("no_cache")),
        no_cache_stages=tuple(body.get("no_cache_stages", ())),
        annotations=dict(body.get("annotations", {})),
        host_ca=bool(body.get("host_ca")),
        run=read_run_options(body),
        explain=bool(body.get("explain")),
        pull=bool(body.get("pull")),
        outputs=read_wanted(body.get("outputs", [])),
        cache_from=read_places(body.get("cache_from", []), is_source=True),
        cache_to=with_inline(
            read_places(body.get("cache_to", []), is_source=False), body.get("build_args", {})
        ),
        source=source,
        contexts=read_contexts(body),
    )
