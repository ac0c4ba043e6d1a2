"""Serves get and list."""

from aiohttp import web

from pinnace.api.versions import render_stored
from pinnace.kubeapi.answers import answer
from pinnace.kubeapi.calls import Call
from pinnace.kubeapi.list_options import parse_revision, read_list_options
from pinnace.kubeapi.negotiation import LIST_FORMS, PLAIN, SINGLE_FORMS, negotiate
from pinnace.kubeapi.paging import check_reached, read_page
from pinnace.kubeapi.presenting import Presenter
from pinnace.kubeapi.selection import select


async def serve_get(call: Call) -> web.StreamResponse:
    """Answer with one object: the stored bytes as they are, unless another form is wanted."""
    wanted = negotiate(call.accept, SINGLE_FORMS)
    if revision := call.query.text("resourceVersion"):
        check_reached(call.api, parse_revision(revision))
    record = call.api.get_raw(call.kind, call.namespace, call.name)
    if wanted == PLAIN:
        return answer(render_stored(call.kind, record), warnings=call.warnings)
    body = Presenter(call.api.clock, call.kind, wanted, call.query).one(record)
    return answer(body, content_type=wanted.content_type, warnings=call.warnings)


async def serve_list(call: Call) -> web.StreamResponse:
    """Answer with a collection, or one page of it."""
    wanted = negotiate(call.accept, LIST_FORMS)
    presenter = Presenter(call.api.clock, call.kind, wanted, call.query)
    selection = select(call.api, call.kind, call.query)
    options = read_list_options(call.query)
    page = read_page(call.api, call.kind, call.namespace, selection, options)
    body = presenter.many(page.records, page.revision, next_page=page.next_page, remaining=page.remaining)
    return answer(body, content_type=wanted.content_type, warnings=call.warnings)
