"""Answers every request: who asks, what for, may they, and who serves it. One place turns errors into answers.

The callable that `server.py` puts behind its sockets. It must never let an exception out, but for a client that has gone.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from pinnace.kubeapi.answers import answer_error
from pinnace.kubeapi.auth import authorize, identify
from pinnace.kubeapi.calls import Call, Means
from pinnace.kubeapi.documents import Documents, not_found
from pinnace.kubeapi.errors import to_api_error
from pinnace.kubeapi.metrics_api import serve_metrics
from pinnace.kubeapi.paths import Target, parse_target
from pinnace.kubeapi.query import EMPTY, parse_query
from pinnace.kubeapi.reading import serve_get, serve_list
from pinnace.kubeapi.subresources import SUBRESOURCES, Serve, serve_binding
from pinnace.kubeapi.watching import serve_watch
from pinnace.kubeapi.writing import (
    method_not_allowed,
    serve_create,
    serve_delete,
    serve_delete_collection,
    serve_patch,
    serve_update,
)

Mount = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

METRICS_GROUP = "metrics.k8s.io"

CLIENT_GONE = 499  # Source: nginx, ngx_http_request.h, NGX_HTTP_CLIENT_CLOSED_REQUEST

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

# (method, names one object) → the verb and who serves it.
_VERBS: Mapping[tuple[str, bool], tuple[str, Serve]] = {
    ("GET", True): ("get", serve_get),
    ("GET", False): ("list", serve_list),
    ("HEAD", True): ("get", serve_get),
    ("HEAD", False): ("list", serve_list),
    ("POST", False): ("create", serve_create),
    ("PUT", True): ("update", serve_update),
    ("PATCH", True): ("patch", serve_patch),
    ("DELETE", True): ("delete", serve_delete),
    ("DELETE", False): ("deletecollection", serve_delete_collection),
}


class Handler:
    """Answers requests. `mounts` maps path prefixes to callables of other rooms; only the administrator reaches them."""

    def __init__(self, means: Means, mounts: Mapping[str, Mount] | None = None) -> None:
        self._means = means
        self._mounts = tuple((mounts or {}).items())
        self._counts: Counter[tuple[str, int]] = Counter()
        self._documents = Documents(means, lambda: self._counts)

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        warnings: list[str] = []
        try:
            response = await self._serve(request, warnings)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - the edge: whatever it is becomes a Status
            if isinstance(error, ConnectionError) and _is_gone(request):
                response = web.Response(status=CLIENT_GONE)  # which nobody gets
            else:
                response = answer_error(to_api_error(error), warnings)
        method = request.method if request.method in _METHODS else "OTHER"
        self._counts[method, response.status] += 1
        return response

    async def _serve(self, request: web.BaseRequest, warnings: list[str]) -> web.StreamResponse:
        path, _, query_text = request.raw_path.partition("?")
        user = identify(request)
        target = parse_target(path, self._means.api.kinds)
        authorize(user, request.method, path, target)
        if target is None:
            return await self._serve_other(request, path)
        query = parse_query(query_text) if query_text else EMPTY
        call = Call(request, target, query, user, self._means, warnings)
        return await find_server(call)(call)

    async def _serve_other(self, request: web.BaseRequest, path: str) -> web.StreamResponse:
        for prefix, mount in self._mounts:
            if path.startswith(prefix):
                return await mount(request)
        response = self._documents.serve(request, path) if request.method in ("GET", "HEAD") else None
        if response is None:
            raise not_found()
        return response


def _is_gone(request: web.BaseRequest) -> bool:
    return request.transport is None or request.transport.is_closing()


def find_server(call: Call) -> Serve:
    """Return who serves the call. Raises: ApiError MethodNotAllowed, NotFound."""
    target, method = call.target, call.request.method
    if target.kind.group == METRICS_GROUP:
        return serve_metrics
    if target.subresource:
        return _find_subresource(target, method)
    if target.kind.verbs == ("create",):
        return _find_create_only(method)
    row = _VERBS.get((method, bool(target.name)))
    if row is None:
        raise method_not_allowed()
    verb, serve = row
    if verb in ("get", "list") and (target.watch or ("watch" in call.query and call.query.flag("watch"))):
        verb, serve = "watch", serve_watch
    if verb not in target.kind.verbs:
        raise method_not_allowed()
    return serve


def _find_subresource(target: Target, method: str) -> Serve:
    if target.rest or target.kind.subresource(target.subresource) is None:
        raise not_found()
    serve = SUBRESOURCES.get((target.subresource, method))
    if serve is None:
        raise method_not_allowed()
    return serve


def _find_create_only(method: str) -> Serve:
    """Bindings can only be made: each makes its pod known to a node."""
    if method != "POST":
        raise method_not_allowed()
    return serve_binding
