"""Serves the subresource `proxy`: finds where a request goes, and passes it on or lets the node answer it itself. A doer.

Source: Kubernetes v1.36, apimachinery/pkg/util/proxy/upgradeaware.go (what an empty path is answered with) and
pkg/registry/core/pod/rest/subresources.go, pkg/registry/core/{service,node}/proxy.
"""

from aiohttp import web
from multidict import CIMultiDict

from pinnace.api.world import NodeAnswer, NodeRequest
from pinnace.base.errors import ApiError, Reason
from pinnace.kube import kinds
from pinnace.kube.selectors import parse_labels
from pinnace.kubeapi.calls import Call
from pinnace.kubeapi.pipes import wants_upgrade
from pinnace.kubeapi.proxying.locations import (
    Location,
    Wish,
    locate_node,
    locate_pod,
    locate_service,
    parse_wish,
)
from pinnace.kubeapi.proxying.passing import Passing
from pinnace.kubeapi.proxying.rewriting import compute_request_headers


async def serve_proxy(call: Call) -> web.StreamResponse:
    """Pass a request on to a pod, a Service's endpoint or a node, or answer it for the node."""
    prefix, rest = split_path(call.request.raw_path.partition("?")[0], namespaced=call.kind.namespaced)
    wish = parse_wish(call.name)
    if wish is None:
        word = call.kind.kind.lower()
        raise ApiError(Reason.BAD_REQUEST, f'invalid {word} request "{call.name}"')
    location = _locate(call, wish)
    query = call.request.raw_path.partition("?")[2]
    upgrade = wants_upgrade(call.request)
    if not rest and not upgrade and call.request.method in ("GET", "HEAD"):
        place = f"{prefix}/" + (f"?{query}" if query else "")
        return web.Response(status=301, headers={"Location": place})
    if location is None:
        return await _ask_node(call, wish.name, rest or "/")
    if call.means.world.dialer is None:
        raise ApiError(Reason.SERVICE_UNAVAILABLE, "nobody here can reach into the cluster's network")
    headers = compute_request_headers(
        call.request.headers.items(), location, uri=prefix + rest, client=_client_of(call.request)
    )
    target = (rest or "/") + (f"?{query}" if query else "")
    return await Passing(call.means.world.dialer, location, call.request, prefix, call.api.clock).serve(
        target, headers, upgrade
    )


def split_path(path: str, *, namespaced: bool) -> tuple[str, str]:
    """Return the path up to `/proxy`, and what follows it, still percent-encoded ("" when nothing does).

    Example: "/api/v1/nodes/here/proxy/logs/" is ("/api/v1/nodes/here/proxy", "/logs/").
    """
    parts = path.split("/")
    at = 8 if namespaced else 6
    rest = "/".join(parts[at:])
    return "/".join(parts[:at]), f"/{rest}" if len(parts) > at else ""


def _locate(call: Call, wish: Wish) -> Location | None:
    """Raises: ApiError NotFound, BadRequest, ServiceUnavailable."""
    match call.kind:
        case kinds.POD:
            return locate_pod(call.api.get(kinds.POD, call.namespace, wish.name), wish)
        case kinds.SERVICE:
            service = call.api.get(kinds.SERVICE, call.namespace, wish.name)
            labels = parse_labels(f"kubernetes.io/service-name={wish.name}")
            slices = call.api.list(kinds.ENDPOINT_SLICE, call.namespace, labels=labels)
            return locate_service(service, slices, wish, call.api.chance.choice)
        case kinds.NODE:
            return locate_node(call.api.get(kinds.NODE, "", wish.name), wish)
    raise ApiError(Reason.NOT_FOUND, "the server could not find the requested resource")


def _client_of(request: web.BaseRequest) -> str:
    peer = request.transport.get_extra_info("peername") if request.transport is not None else None
    return str(peer[0]) if isinstance(peer, tuple) else ""


async def _ask_node(call: Call, name: str, path: str) -> web.StreamResponse:
    node = call.means.world.node
    if node is None:
        raise ApiError(Reason.SERVICE_UNAVAILABLE, "nobody here answers for a node")
    request = NodeRequest(method=call.request.method, path=path, query=call.query.pairs())
    answer = await node.answer(name, request)
    return await _show(call.request, answer)


async def _show(request: web.BaseRequest, answer: NodeAnswer) -> web.StreamResponse:
    headers = CIMultiDict({"Content-Type": answer.content_type, **answer.headers})
    if isinstance(answer.body, bytes):
        return web.Response(body=answer.body, status=answer.status, headers=headers)
    response = web.StreamResponse(status=answer.status, headers=headers)
    response.enable_chunked_encoding()
    chunks = answer.body
    try:
        await response.prepare(request)
        async for chunk in chunks:
            await response.write(chunk)
        await response.write_eof()
    except ConnectionError:
        pass
    finally:
        close = getattr(chunks, "aclose", None)
        if close is not None:
            await close()
    return response
