"""Reads one page of a collection, and writes the token that leads to the next one.

All pages of one listing show one revision, however much is written meanwhile: the token keeps it, and the store shows the
state at it as long as its log reaches back. When it no longer does, the client gets a 410 with a token that goes on from
the present. Source: Kubernetes v1.37, apiserver/pkg/storage/continue.go, interfaces.go (ValidateListOptions) and
etcd3/errors.go; the API concepts page, "Retrieving large results sets in chunks".
"""

import base64
import binascii
from collections.abc import Iterator
from typing import Any, NoReturn

import msgspec

from pinnace.api.facade import Api
from pinnace.base.errors import ApiError, Reason
from pinnace.kube.kinds import Kind
from pinnace.kubeapi.list_options import EXACT, ListOptions, parse_revision
from pinnace.kubeapi.selection import Selection
from pinnace.store.interface import Compacted, Key, Record, Revision, RevisionAhead

_CHUNK = 500  # records looked at in one go while a selector looks for a page
_VERSION = "meta.k8s.io/v1"
_PRESENT = -1  # the revision of a token that goes on from whatever is there now

_TOO_OLD = "The resourceVersion for the provided list is too old."
_INCONSISTENT = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
    "the continue parameter, or use the continue token in this response to retrieve the remainder of the results. "
    "Continuing with the provided token results in an inconsistent list - objects that were created, modified, or "
    "deleted between the time the first chunk was returned and now may show up in the list."
)


class Token(msgspec.Struct, frozen=True):
    """Where the next page starts, in the listing at a revision. Shape: `start` is NAMESPACE/NAME and a zero byte."""

    v: str = ""
    rv: int = 0
    start: str = ""

    def render(self) -> str:
        return base64.urlsafe_b64encode(msgspec.json.encode(self)).decode().rstrip("=")


class Page(msgspec.Struct, frozen=True):
    """One page. Shape: `next_page` is "" on the last one; `remaining` is 0 when it isn't known."""

    revision: Revision
    records: tuple[Record, ...]
    next_page: str = ""
    remaining: int = 0


def token_after(key: Key, revision: int) -> str:
    """Return the token of the page that starts behind a record."""
    start = f"{key.namespace}/{key.name}" if key.namespace else key.name
    return Token(_VERSION, revision, f"{start}\0").render()


def parse_token(text: str, kind: Kind[Any]) -> tuple[Key, int]:
    """Return behind which key the page starts, and its revision. Raises: ApiError BadRequest."""
    padded = text + "=" * (-len(text) % 4)
    try:
        token = msgspec.json.decode(base64.b64decode(padded, b"-_", validate=True), type=Token)
    except (ValueError, binascii.Error, msgspec.DecodeError, RecursionError) as error:
        _refuse(f": {error}")
    if token.v != _VERSION:
        _refuse(f": server does not recognize this encoded version {token.v}")
    if token.rv == 0:
        _refuse(": incorrect encoded start resourceVersion (version meta.k8s.io/v1)")
    if not token.start:
        _refuse(": encoded start key empty (version meta.k8s.io/v1)")
    namespace, slash, name = token.start.removesuffix("\0").rpartition("/")
    if bool(slash) is not kind.namespaced or "/" in namespace or {namespace, name} & {".", ".."} or not name:
        _refuse(f": {token.start}")
    return Key(kind.resource, namespace, name), token.rv


def _refuse(why: str) -> NoReturn:
    raise ApiError(Reason.BAD_REQUEST, f"invalid continue token: continue key is not valid{why}") from None


def read_page(api: Api, kind: Kind[Any], namespace: str, selection: Selection, options: ListOptions) -> Page:
    """Return the page that the options ask for.

    Raises: ApiError BadRequest, Expired (the revision is no longer known); RevisionAhead (it is not yet).
    """
    if not options.next_page:
        at = _choose_revision(api, options)
        try:
            return _read(api, kind, namespace, selection, None, options.limit, at)
        except Compacted:
            raise ApiError(Reason.EXPIRED, _TOO_OLD) from None
    after, revision = parse_token(options.next_page, kind)
    if options.names_revision:
        raise ApiError(Reason.BAD_REQUEST, "specifying resource version is not allowed when using continue")
    at = Revision(revision) if revision > 0 else None
    try:
        return _read(api, kind, namespace, selection, after, options.limit, at)
    except (Compacted, RevisionAhead):  # ahead: a token of a store that is no more
        raise ApiError(Reason.EXPIRED, _INCONSISTENT, next_page=token_after(after, _PRESENT)) from None


def _choose_revision(api: Api, options: ListOptions) -> Revision | None:
    """Return which revision must be shown, None for the present. Raises: RevisionAhead, ApiError BadRequest."""
    if not options.revision:
        return None
    revision = parse_revision(options.revision)
    if options.match == EXACT or (not options.match and options.limit and revision):
        return revision
    check_reached(api, revision)
    return None


def check_reached(api: Api, revision: Revision) -> None:
    """Return if the present is not older than a revision. Raises: RevisionAhead."""
    if revision > api.store.revision:
        raise RevisionAhead(revision, api.store.revision)


def _read(
    api: Api,
    kind: Kind[Any],
    namespace: str,
    selection: Selection,
    after: Key | None,
    limit: int,
    at: Revision | None,
) -> Page:
    if limit and not selection.is_everything:
        return _read_selected(api, kind, namespace, selection, after, limit, at)
    listing = api.list_raw(kind, namespace or None, after=after, limit=limit or None, at=at)
    records = listing.records
    if not selection.is_everything:
        records = tuple(filter(selection.matches, records))
    if not listing.remaining:
        return Page(listing.revision, records)
    return Page(listing.revision, records, token_after(records[-1].key, listing.revision), listing.remaining)


def _read_selected(
    api: Api,
    kind: Kind[Any],
    namespace: str,
    selection: Selection,
    after: Key | None,
    limit: int,
    at: Revision | None,
) -> Page:
    revision = api.store.revision if at is None else at
    found: list[Record] = []
    for record in _scan(api, kind, namespace, after, revision):
        if not selection.matches(record):
            continue
        if len(found) == limit:
            return Page(revision, tuple(found), token_after(found[-1].key, revision))
        found.append(record)
    return Page(revision, tuple(found))


def _scan(
    api: Api, kind: Kind[Any], namespace: str, after: Key | None, revision: Revision
) -> Iterator[Record]:
    """Yield the records of a revision, in chunks so that a small page of many records stays cheap."""
    while True:
        listing = api.list_raw(kind, namespace or None, after=after, limit=_CHUNK, at=revision)
        yield from listing.records
        if not listing.remaining:
            return
        after = listing.records[-1].key
