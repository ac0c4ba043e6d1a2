"""Serves port-forward. (Filled in below.)"""

from aiohttp import web

from pinnace.base.errors import ApiError, Reason
from pinnace.kubeapi.calls import Call


async def serve_port_forward(call: Call) -> web.StreamResponse:
    """Carry connections to ports inside a pod."""
    raise ApiError(Reason.SERVICE_UNAVAILABLE, "port-forward is not served yet")
