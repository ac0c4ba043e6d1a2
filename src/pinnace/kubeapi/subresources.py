"""Serves the parts of an object that have an address of their own: one row each.

`status` and `finalize` are an object's own reads and writes; the streaming ones live in `logs.py`, `sessions.py` and
`forwarding.py`.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from pinnace.base.errors import ApiError, Reason
from pinnace.kube import kinds
from pinnace.kube.objects.meta_v1 import DeleteOptions
from pinnace.kubeapi.answers import answer, answer_json
from pinnace.kubeapi.calls import Call
from pinnace.kubeapi.connecting import admit_connection
from pinnace.kubeapi.deleting import check_options
from pinnace.kubeapi.errors import build_success
from pinnace.kubeapi.forwarding import serve_port_forward
from pinnace.kubeapi.logs import serve_log
from pinnace.kubeapi.negotiation import SINGLE_FORMS, negotiate
from pinnace.kubeapi.presenting import Presenter
from pinnace.kubeapi.proxying.serving import serve_proxy
from pinnace.kubeapi.reading import serve_get
from pinnace.kubeapi.reviews import serve_token_request
from pinnace.kubeapi.sessions import serve_attach, serve_exec
from pinnace.kubeapi.writing import complete, read_object, read_patch, serve_patch, serve_update

Serve = Callable[[Call], Awaitable[web.StreamResponse]]


async def serve_get_scale(call: Call) -> web.StreamResponse:
    """Answer with how many replicas there should be and are."""
    return _show_scale(call, call.api.get_scale(call.kind, call.namespace, call.name))


async def serve_update_scale(call: Call) -> web.StreamResponse:
    """Set how many replicas there should be."""
    scale = await read_object(call, kinds.SCALE)
    if scale.metadata.name and scale.metadata.name != call.name:
        raise ApiError(
            Reason.BAD_REQUEST,
            f"the name of the object ({scale.metadata.name}) does not match the name on the URL ({call.name})",
        )
    return _show_scale(
        call, await complete(call, call.api.update_scale(call.kind, scale, context=call.context))
    )


async def serve_patch_scale(call: Call) -> web.StreamResponse:
    """Change how many replicas there should be."""
    patch = await read_patch(call, kinds.SCALE)
    write = call.api.patch_scale(call.kind, call.namespace, call.name, patch, context=call.context)
    return _show_scale(call, await complete(call, write))


def _show_scale(call: Call, scale: Any) -> web.Response:
    wanted = negotiate(call.accept, SINGLE_FORMS)
    body = Presenter(call.api.clock, kinds.SCALE, wanted, call.query).view(scale)
    return answer(body, content_type=wanted.content_type, warnings=call.warnings)


async def serve_binding(call: Call) -> web.StreamResponse:
    """Bind a pod to a node, as a scheduler does."""
    binding = await read_object(call, kinds.BINDING)
    name = call.name or binding.metadata.name
    if not binding.target.name:
        raise ApiError(Reason.BAD_REQUEST, "binding.target.name is required")
    uid = binding.metadata.uid
    await complete(
        call, call.api.bind(call.namespace, name, binding.target.name, uid=uid, context=call.context)
    )
    return answer_json({**build_success(), "code": 201}, status=201, warnings=call.warnings)


async def serve_eviction(call: Call) -> web.StreamResponse:
    """Delete a pod for somebody who drains its node, if its disruption budget allows it."""
    eviction = await read_object(call, kinds.EVICTION, older=kinds.EVICTION_V1BETA1)
    if eviction.metadata.name != call.name:
        raise ApiError(Reason.BAD_REQUEST, "name in URL does not match name in Eviction object")
    wishes = check_options(call, eviction.delete_options or DeleteOptions())
    write = call.api.evict(
        call.namespace,
        call.name,
        grace_s=wishes.grace_s,
        uid=wishes.uid or None,
        resource_version=wishes.resource_version or None,
        propagation=wishes.propagation or None,
        context=call.context,
    )
    await complete(call, write)
    return answer_json({**build_success(), "code": 201}, status=201, warnings=call.warnings)


def _admitted(serve: Serve) -> Serve:
    """Return who serves a connection into something that runs, after admission has let it through."""

    async def admitted(call: Call) -> web.StreamResponse:
        admit_connection(call)
        return await serve(call)

    return admitted


# (subresource, method) → who serves it. "status" and the like are reads and writes of the object itself.
SUBRESOURCES: Mapping[tuple[str, str], Serve] = {
    ("status", "GET"): serve_get,
    ("status", "PUT"): serve_update,
    ("status", "PATCH"): serve_patch,
    ("finalize", "PUT"): serve_update,
    ("scale", "GET"): serve_get_scale,
    ("scale", "PUT"): serve_update_scale,
    ("scale", "PATCH"): serve_patch_scale,
    ("binding", "POST"): serve_binding,
    ("eviction", "POST"): serve_eviction,
    ("token", "POST"): serve_token_request,
    ("log", "GET"): serve_log,
    ("exec", "GET"): _admitted(serve_exec),
    ("exec", "POST"): _admitted(serve_exec),
    ("attach", "GET"): _admitted(serve_attach),
    ("attach", "POST"): _admitted(serve_attach),
    ("portforward", "GET"): _admitted(serve_port_forward),
    ("portforward", "POST"): _admitted(serve_port_forward),
    **{
        ("proxy", method): _admitted(serve_proxy)
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
    },
    ("ephemeralcontainers", "GET"): serve_get,
    ("ephemeralcontainers", "PUT"): serve_update,
    ("ephemeralcontainers", "PATCH"): serve_patch,
    ("resize", "GET"): serve_get,
    ("resize", "PUT"): serve_update,
    ("resize", "PATCH"): serve_patch,
}
