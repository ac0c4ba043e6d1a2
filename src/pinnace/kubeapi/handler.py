"""Answers every request: who asks, what for, may they, and who serves it. One place turns errors into answers.

The callable that `server.py` puts behind its sockets. It must never let an exception out, but for a client that has gone.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from pinnace.api.access.attributes import refusal
from pinnace.api.access.users import User
from pinnace.base.errors import ApiError
from pinnace.kube.kinds import ENDPOINTS
from pinnace.kubeapi.answers import answer_error
from pinnace.kubeapi.audit import AuditLog, is_refused
from pinnace.kubeapi.calls import Call, Means
from pinnace.kubeapi.deleting import serve_delete, serve_delete_collection
from pinnace.kubeapi.documents import Documents, not_found
from pinnace.kubeapi.errors import to_api_error
from pinnace.kubeapi.figures import Counted
from pinnace.kubeapi.gate import Gate, Passage
from pinnace.kubeapi.health import Health
from pinnace.kubeapi.metrics_api import serve_metrics
from pinnace.kubeapi.openid import OpenId
from pinnace.kubeapi.paths import Target, parse_target
from pinnace.kubeapi.polishing import polish
from pinnace.kubeapi.query import EMPTY, parse_query
from pinnace.kubeapi.reading import serve_get, serve_list
from pinnace.kubeapi.request_info import read_attributes
from pinnace.kubeapi.reviews import REVIEWS
from pinnace.kubeapi.subresources import SUBRESOURCES, Serve, serve_binding
from pinnace.kubeapi.watching import serve_watch
from pinnace.kubeapi.writing import (
    method_not_allowed,
    serve_create,
    serve_patch,
    serve_update,
)

Mount = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

METRICS_GROUP = "metrics.k8s.io"

# Source: Kubernetes v1.36, core/v1, the life cycle of Endpoints.
ENDPOINTS_WARNING = "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"
CLIENT_GONE = 499  # Source: nginx, ngx_http_request.h, NGX_HTTP_CLIENT_CLOSED_REQUEST

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

    def __init__(
        self, means: Means, mounts: Mapping[str, Mount] | None = None, audit: AuditLog | None = None
    ) -> None:
        self._means = means
        self._mounts = tuple((mounts or {}).items())
        self._audit = audit
        self._gate = Gate(means.api.access, means.tokens)
        self._open_id = OpenId(means.tokens) if means.tokens is not None else None
        self.health = Health(means.api)
        self._documents = Documents(means, self.health)
        self._figures = means.figures

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        warnings: list[str] = []
        passage = Passage()
        figures, counted = self._figures, Counted(request.method)
        figures.began(counted)
        try:
            response = await self._serve(request, warnings, passage, counted)
            if passage.notes:
                self._record(request, passage, None, response)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - the edge: whatever it is becomes a Status
            if isinstance(error, ConnectionError) and _is_gone(request):
                response = web.Response(status=CLIENT_GONE)  # which nobody gets
            else:
                response = self._refuse(request, passage, to_api_error(error), warnings)
        finally:
            figures.ended(counted)
        await polish(request, response)
        figures.answered(counted, response.status)
        return response

    def _refuse(
        self, request: web.BaseRequest, passage: Passage, error: ApiError, warnings: list[str]
    ) -> web.Response:
        response = answer_error(error, warnings)
        if passage.notes or is_refused(error):
            self._record(request, passage, error, response)
        return response

    def _record(
        self,
        request: web.BaseRequest,
        passage: Passage,
        error: ApiError | None,
        response: web.StreamResponse,
    ) -> None:
        """Write a request's line, and let its answer say which one, if it is not on its way already."""
        if self._audit is None:
            return
        received = self._means.api.clock.now()
        audit_id = self._audit.record(request, passage, error, received, status=response.status)
        if not response.prepared:
            response.headers["Audit-Id"] = audit_id

    async def _serve(
        self, request: web.BaseRequest, warnings: list[str], passage: Passage, counted: Counted
    ) -> web.StreamResponse:
        path, _, query_text = request.raw_path.partition("?")
        user = self._gate.admit(request, path, query_text, passage)
        target = parse_target(path, self._means.api.kinds)
        if target is None:
            return await self._serve_other(request, path, query_text, user)
        if target.kind.custom is not None and target.kind.custom.warning:
            warnings.append(target.kind.custom.warning)
        elif target.kind is ENDPOINTS:
            warnings.append(ENDPOINTS_WARNING)
        query = parse_query(query_text) if query_text else EMPTY
        call = Call(request, target, query, user, self._means, warnings, passage.notes)
        serve = find_server(call)
        self._figures.found(counted, target, serve is serve_watch)
        return await serve(call)

    async def _serve_other(
        self, request: web.BaseRequest, path: str, query_text: str, user: User
    ) -> web.StreamResponse:
        for prefix, mount in self._mounts:
            if path.startswith(prefix):
                if not user.is_admin:  # whatever the rules say: behind it is the machine
                    raise refusal(user, read_attributes(request.method, path, ""))
                return await mount(request)
        if self._open_id is not None and (found := self._open_id.serve(path, request.host)) is not None:
            return found
        response = None
        if request.method in ("GET", "HEAD"):
            response = self._documents.serve(request, path, parse_query(query_text))
        if response is None:
            raise not_found()
        return response


def _is_gone(request: web.BaseRequest) -> bool:
    return request.transport is None or request.transport.is_closing()


def find_server(call: Call) -> Serve:
    """Return who serves the call. Raises: ApiError MethodNotAllowed, NotFound."""
    target, method = call.target, call.request.method
    if target.watch:  # who may watch may do nothing else under such a path
        if target.subresource:
            raise not_found()
        if method not in ("GET", "HEAD"):
            raise method_not_allowed()
    if target.kind.group == METRICS_GROUP:
        return serve_metrics
    if target.subresource:
        return _find_subresource(target, method)
    if target.kind.verbs == ("create",):
        return _find_create_only(target, method)
    row = _VERBS.get((method, bool(target.name)))
    if row is None:
        raise method_not_allowed()
    verb, serve = row
    if target.watch or (verb == "list" and call.query.flag("watch")):
        verb, serve = "watch", serve_watch
    if verb not in target.kind.verbs:
        raise method_not_allowed()
    return serve


def _find_subresource(target: Target, method: str) -> Serve:
    if target.kind.subresource(target.subresource) is None or (target.rest and target.subresource != "proxy"):
        raise not_found()
    serve = SUBRESOURCES.get((target.subresource, method))
    if serve is None:
        raise method_not_allowed()
    return serve


def _find_create_only(target: Target, method: str) -> Serve:
    """What can only be made: reviews, which are answers, and bindings: each makes its pod known to a node."""
    if method != "POST" or target.name:
        raise method_not_allowed()
    return REVIEWS.get(target.kind.resource, serve_binding)
