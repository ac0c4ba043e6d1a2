"""Cuts a listing into pages and writes the tokens that lead to the next one.

A page is read from the present; the token keeps the first page's revision, so that a client who then watches from there
misses nothing that changed between its pages. Source: Kubernetes v1.36, the API concepts page, "Retrieving large results
sets in chunks".
"""

import base64
import binascii
from typing import Any

import msgspec

from pinnace.api.facade import Api
from pinnace.base.errors import ApiError, Reason
from pinnace.kube.kinds import Kind
from pinnace.kubeapi.query import Query
from pinnace.kubeapi.selection import Selection
from pinnace.store.interface import Key, Record, Revision, RevisionAhead

_CHUNK = 500  # records looked at in one go while a selector looks for a page


class Token(msgspec.Struct, frozen=True):
    """Where the next page starts: after this key, in the listing that began at this revision."""

    revision: int
    namespace: str
    name: str

    def render(self) -> str:
        return base64.urlsafe_b64encode(msgspec.json.encode(self)).decode().rstrip("=")


class Page(msgspec.Struct, frozen=True):
    """One page. Shape: `next_page` is "" on the last one; `remaining` is 0 when it isn't known."""

    revision: Revision
    records: tuple[Record, ...]
    next_page: str = ""
    remaining: int = 0


def parse_token(text: str) -> Token:
    """Raises: ApiError BadRequest."""
    try:
        padded = text + "=" * (-len(text) % 4)
        return msgspec.json.decode(base64.urlsafe_b64decode(padded), type=Token)
    except (ValueError, binascii.Error, msgspec.DecodeError) as error:
        raise ApiError(Reason.BAD_REQUEST, f"continue key is not valid: {error}") from None


def read_page(api: Api, kind: Kind[Any], namespace: str, selection: Selection, query: Query) -> Page:
    """Return the page that the query asks for.

    Raises: ApiError BadRequest, Expired (the first page is too long ago); RevisionAhead.
    """
    limit = query.number("limit") or 0
    token = parse_token(query.text("continue")) if query.text("continue") else None
    if token is None:
        _check_revision(api, query)
    elif token.revision < api.store.compacted:
        raise ApiError(
            Reason.EXPIRED,
            "The provided continue parameter is too old to display a consistent list result. "
            "You must start a new list without the continue parameter.",
        )
    after = Key(kind.resource, token.namespace, token.name) if token is not None else None
    if limit <= 0 or selection.is_everything:
        return _read_straight(api, kind, namespace, selection, after, limit or None, token)
    return _read_selected(api, kind, namespace, selection, after, limit, token)


def _check_revision(api: Api, query: Query) -> None:
    text = query.text("resourceVersion")
    if not text or text == "0":
        return
    revision, current = parse_revision(text), api.store.revision
    if revision > current:
        raise RevisionAhead(revision, current)
    if query.text("resourceVersionMatch") == "Exact" and revision != current:
        raise ApiError(Reason.EXPIRED, f"The resourceVersion for the provided list is too old: {revision}")


def parse_revision(text: str) -> Revision:
    """Raises: ApiError BadRequest."""
    if not text.isascii() or not text.isdigit():
        raise ApiError(
            Reason.BAD_REQUEST, f'resourceVersion: Invalid value: "{text}": must be a whole number'
        )
    return Revision(int(text))


def _read_straight(
    api: Api,
    kind: Kind[Any],
    namespace: str,
    selection: Selection,
    after: Key | None,
    limit: int | None,
    token: Token | None,
) -> Page:
    listing = api.list_raw(kind, namespace or None, after=after, limit=limit)
    revision = Revision(token.revision) if token is not None else listing.revision
    records = listing.records
    if not selection.is_everything:
        records = tuple(record for record in records if selection.matches(record))
    if limit is None or not listing.remaining:
        return Page(revision, records)
    last = records[-1].key
    return Page(revision, records, Token(revision, last.namespace, last.name).render(), listing.remaining)


def _read_selected(
    api: Api,
    kind: Kind[Any],
    namespace: str,
    selection: Selection,
    after: Key | None,
    limit: int,
    token: Token | None,
) -> Page:
    found: list[Record] = []
    while True:
        listing = api.list_raw(kind, namespace or None, after=after, limit=_CHUNK)
        revision = Revision(token.revision) if token is not None else listing.revision
        for record in listing.records:
            if not selection.matches(record):
                continue
            if len(found) == limit:
                last = found[-1].key
                return Page(revision, tuple(found), Token(revision, last.namespace, last.name).render())
            found.append(record)
        if not listing.remaining:
            return Page(revision, tuple(found))
        after = listing.records[-1].key
