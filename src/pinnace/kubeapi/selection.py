"""Decides which records a request is about: label and field selectors over the store's headers.

Reads only; an object is decoded only when a selector names a field that its header does not carry.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pinnace.api.facade import Api
from pinnace.api.versions import written_kind
from pinnace.base.errors import ApiError, Reason
from pinnace.kube.kinds import Kind
from pinnace.kube.selectors import (
    FieldSelector,
    Selector,
    check_fields,
    parse_fields,
    parse_labels,
    translate_fields,
)
from pinnace.kubeapi.query import Query
from pinnace.store.interface import Record


@dataclass(frozen=True, slots=True)
class Selection:
    """What has to be true of a record; `name` "" means any."""

    api: Api
    kind: Kind[Any]
    labels: Selector | None = None
    fields: FieldSelector | None = None
    name: str = ""

    @property
    def is_everything(self) -> bool:
        return self.labels is None and self.fields is None and not self.name

    def matches(self, record: Record) -> bool:
        """Whether the record is selected."""
        header = record.header
        if self.name and header.key.name != self.name:
            return False
        if self.labels is not None and not self.labels.matches(header.labels):
            return False
        return self.fields is None or self._fields_match(self.fields, record)

    def _fields_match(self, selector: FieldSelector, record: Record) -> bool:
        key, held = record.header.key, record.header.fields
        known: Mapping[str, str] = {**held, "metadata.name": key.name, "metadata.namespace": key.namespace}
        missing = False
        for term in selector.requirements:
            if term.path not in known:
                missing = True
            elif not term.matches(known):
                return False
        return not missing or selector.matches(self.api.fields_of(self.kind, record))


def select(api: Api, kind: Kind[Any], query: Query, *, name: str = "") -> Selection:
    """Return the request's selection. Raises: ApiError BadRequest for a selector that can't be read or asked."""
    labels, fields = query.text("labelSelector"), query.text("fieldSelector")
    selector = parse_fields(fields) if fields else None
    if (
        name
        and selector is not None
        and selector.requirements
        and selector.equals.get("metadata.name") != name
    ):
        raise ApiError(Reason.BAD_REQUEST, "fieldSelector metadata.name doesn't match requested name")
    if selector is not None:
        selector = translate_fields(kind, selector)
        check_fields(written_kind(kind), selector)
    return Selection(
        api=api,
        kind=kind,
        labels=parse_labels(labels) if labels else None,
        fields=selector if selector is not None and selector.requirements else None,
        name=name,
    )
