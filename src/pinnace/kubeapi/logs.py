"""Serves a pod's log: checks the request, then passes on what the world reads."""

import asyncio
from collections.abc import AsyncIterator

from aiohttp import web

from pinnace.api.world import LogOptions
from pinnace.base.errors import ApiError, Cause, Reason
from pinnace.base.times import parse_time
from pinnace.kube import kinds
from pinnace.kubeapi.calls import Call
from pinnace.kubeapi.containers import check_log_readable, choose_container
from pinnace.kubeapi.query import Query

# A follower of a silent container gets its headers after this long; until then an error can still be told properly.
_FIRST_CHUNK_S = 0.2


def read_log_options(query: Query, container: str) -> LogOptions:
    """Return what is asked for. Source: Kubernetes v1, PodLogOptions and its validation.

    Raises: ApiError Invalid, BadRequest.
    """
    since_time = query.text("sinceTime")
    options = LogOptions(
        container=container,
        follow=query.flag("follow"),
        previous=query.flag("previous"),
        timestamps=query.flag("timestamps"),
        since_s=query.number("sinceSeconds"),
        since_time=_parse_since(since_time) if since_time else None,
        tail_lines=query.number("tailLines"),
        limit_bytes=query.number("limitBytes"),
    )
    if options.tail_lines is not None and options.tail_lines < 0:
        raise _invalid("tailLines", options.tail_lines, "must be greater than or equal to 0")
    if options.limit_bytes is not None and options.limit_bytes < 1:
        raise _invalid("limitBytes", options.limit_bytes, "must be greater than 0")
    if options.since_s is not None and options.since_s < 1:
        raise _invalid("sinceSeconds", options.since_s, "must be greater than 0")
    if options.since_s is not None and options.since_time is not None:
        raise ApiError(
            Reason.INVALID,
            'PodLogOptions "" is invalid: Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified',
        )
    return options


def _parse_since(text: str) -> float:
    try:
        return parse_time(text)
    except ValueError as error:
        raise ApiError(Reason.BAD_REQUEST, f"sinceTime: {error}") from None


def _invalid(field: str, value: int, why: str) -> ApiError:
    message = f"Invalid value: {value}: {why}"
    return ApiError(
        Reason.INVALID,
        f'PodLogOptions "" is invalid: {field}: {message}',
        kind="PodLogOptions",
        causes=(Cause("FieldValueInvalid", message, field),),
    )


async def serve_log(call: Call) -> web.StreamResponse:
    """Stream a container's log as text."""
    pod = call.api.get(kinds.POD, call.namespace, call.name)
    options = read_log_options(call.query, choose_container(pod, call.query.text("container")))
    if not pod.spec.node_name:  # nobody has it yet: an empty log, as a cluster answers
        return web.Response(body=b"", headers={"Content-Type": "text/plain"})
    check_log_readable(pod, options.container, previous=options.previous)
    logs = call.means.world.logs
    if logs is None:
        raise ApiError(Reason.SERVICE_UNAVAILABLE, "nobody here can read logs")
    return await _stream(call.request, logs.read_logs(pod, options))


async def _stream(request: web.BaseRequest, chunks: AsyncIterator[bytes]) -> web.StreamResponse:
    first: asyncio.Future[bytes | None] = asyncio.ensure_future(_next(chunks))
    try:
        await asyncio.wait((first,), timeout=_FIRST_CHUNK_S)
        if first.done():
            first.result()  # an error is an answer of its own
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        chunk = await first
        while chunk is not None:
            await response.write(chunk)
            chunk = await _next(chunks)
    except ConnectionError:
        return web.Response()
    finally:
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)  # who still reads can't be closed
        close = getattr(chunks, "aclose", None)
        if close is not None:
            await close()
    await response.write_eof()
    return response


async def _next(chunks: AsyncIterator[bytes]) -> bytes | None:
    return await anext(chunks, None)
