"""Serves delete and deletecollection: reads how to delete, calls the write path, shows what is left.

Source: Kubernetes v1.37, apiserver/pkg/endpoints/handlers/delete.go; generic/registry/store.go, DeleteCollection.
"""

from dataclasses import dataclass
from typing import Any

import msgspec
from aiohttp import web

from pinnace.api.validation.problems import Problems
from pinnace.base.errors import ApiError, Reason
from pinnace.kube.codec import decode
from pinnace.kube.kinds import Kind
from pinnace.kube.objects.meta_v1 import DeleteOptions
from pinnace.kubeapi.answers import answer, answer_json
from pinnace.kubeapi.bodies import read_document
from pinnace.kubeapi.calls import Call
from pinnace.kubeapi.errors import build_success
from pinnace.kubeapi.list_options import read_list_options
from pinnace.kubeapi.negotiation import LIST_FORMS, negotiate
from pinnace.kubeapi.paging import read_page
from pinnace.kubeapi.presenting import Presenter
from pinnace.kubeapi.query import Query
from pinnace.kubeapi.selection import select
from pinnace.kubeapi.write_options import check_dry_run
from pinnace.kubeapi.writing import complete, method_not_allowed, show
from pinnace.store.interface import Record

# Source: Kubernetes v1.36, the strategies with ReturnDeletedObject, pkg/registry/core/*/storage.
_SHOW_DELETED = frozenset({"pods", "services", "serviceaccounts"})

_POLICIES = ("Foreground", "Background", "Orphan")

# Not a kind that is served: the shape of a body only.
_DELETE_OPTIONS: Kind[DeleteOptions] = Kind("", "v1", "DeleteOptions", "", "meta_v1.DeleteOptions", verbs=())
_decode_options = msgspec.json.Decoder(DeleteOptions).decode


@dataclass(frozen=True, slots=True)
class Wishes:
    """How something is to be deleted.

    Shape: "" and None mean the kind's own way. `cascades` is true where an old client says orphanDependents=false.
    """

    grace_s: int | None = None
    propagation: str = ""
    uid: str = ""
    resource_version: str = ""
    cascades: bool = False


async def serve_delete(call: Call) -> web.StreamResponse:
    """Delete an object; answer with what is left of it, or with success."""
    wishes = await read_wishes(call)
    deletion = await complete(
        call,
        call.api.delete(
            call.kind,
            call.namespace,
            call.name,
            grace_s=wishes.grace_s,
            uid=wishes.uid or None,
            resource_version=wishes.resource_version or None,
            propagation=wishes.propagation or None,
            context=call.context,
        ),
    )
    obj: Any = deletion.object
    if not deletion.gone or call.kind.resource in _SHOW_DELETED:
        return show(call, obj, status=202 if wishes.cascades and not deletion.gone else 200)
    kind = call.kind
    success = build_success(kind=kind.plural, group=kind.group, name=call.name, uid=obj.metadata.uid)
    return answer_json(success, warnings=call.warnings)


async def serve_delete_collection(call: Call) -> web.StreamResponse:
    """Delete every selected object, or those of one page; answer with the list as it was."""
    if call.kind.namespaced and not call.namespace:
        raise method_not_allowed()
    options = read_list_options(call.query)
    wishes = await read_wishes(call)
    wanted = negotiate(call.accept, LIST_FORMS)
    presenter = Presenter(call.api.clock, call.kind, wanted, call.query)
    selection = select(call.api, call.kind, call.query)
    page = read_page(call.api, call.kind, call.namespace, selection, options)
    for record in page.records:
        await _delete_one(call, record, wishes)
    body = presenter.many(page.records, page.revision, next_page=page.next_page, remaining=page.remaining)
    return answer(body, content_type=wanted.content_type, warnings=call.warnings)


async def _delete_one(call: Call, record: Record, wishes: Wishes) -> None:
    write = call.api.delete(
        call.kind,
        record.key.namespace,
        record.key.name,
        grace_s=wishes.grace_s,
        uid=wishes.uid or record.header.uid or None,
        resource_version=wishes.resource_version or None,
        propagation=wishes.propagation or None,
        context=call.context,
    )
    try:
        await complete(call, write)
    except ApiError as error:
        # Somebody else was faster: it is gone, or another one has its name. A precondition of the client's own is its error.
        mine = wishes.uid or wishes.resource_version
        if error.reason is not Reason.NOT_FOUND and (mine or error.reason is not Reason.CONFLICT):
            raise


async def read_wishes(call: Call) -> Wishes:
    """Return how to delete, from the body or else from the query. Raises: ApiError BadRequest, Invalid."""
    body = await read_document(call.request, call.means.settings.max_body_bytes, _DELETE_OPTIONS)
    return check_options(call, _read_body(body) if body.strip() else _read_query(call.query))


def check_options(call: Call, options: DeleteOptions) -> Wishes:
    """Return how to delete; also of an Eviction's options. Raises: ApiError Invalid."""
    problems = Problems()
    policy, orphan = options.propagation_policy, options.orphan_dependents
    if orphan is not None and policy:
        problems.invalid(
            "propagationPolicy", policy, "orphanDependents and deletionPropagation cannot be both set"
        )
    if policy and policy not in _POLICIES:
        problems.not_supported("propagationPolicy", policy, (*_POLICIES, "nil"))
    check_dry_run(options.dry_run, problems)
    if problems:
        raise problems.to_error("DeleteOptions", "meta.k8s.io", "")
    call.dry_run = call.dry_run or bool(options.dry_run)
    before = options.preconditions
    if orphan is not None:
        policy = "Orphan" if orphan else "Background"
    return Wishes(
        grace_s=options.grace_period_seconds,
        propagation=policy,
        uid=before.uid if before else "",
        resource_version=before.resource_version if before else "",
        cascades=orphan is False,
    )


def _read_body(body: bytes) -> DeleteOptions:
    try:
        options = _decode_options(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return decode(_DELETE_OPTIONS, body)  # says what is wrong
    if options.kind not in ("", "DeleteOptions"):
        raise ApiError(Reason.BAD_REQUEST, "decoded object cannot be converted to DeleteOptions")
    return options


def _read_query(query: Query) -> DeleteOptions:
    if query.is_empty:
        return DeleteOptions()
    orphan = query.flag("orphanDependents") if "orphanDependents" in query else None
    return DeleteOptions(
        grace_period_seconds=query.number("gracePeriodSeconds"),
        propagation_policy=query.text("propagationPolicy"),
        orphan_dependents=orphan,
        dry_run=tuple(value for value in query.all("dryRun") if value),
    )
