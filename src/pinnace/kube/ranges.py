"""Refuses values that fit their field's type on the wire and yet are none: numbers beyond 32 or 64 bits, times and
quantities that aren't.

Called by the edge for what clients send, before anything is stored: whoever reads an object may rely on its times and
numbers. Nearly every document is found good by one quick look at its bytes; only then is it walked. Pure.
Source: Go's encoding/json (integers have a size), Kubernetes v1.37, apimachinery/pkg/apis/meta/v1/time.go and
pkg/api/resource/quantity.go, UnmarshalJSON.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pinnace.base.errors import ApiError, Reason
from pinnace.base.times import parse_time
from pinnace.kube import codec
from pinnace.kube.kinds import Kind
from pinnace.kube.mismatch import find_mismatch, handled
from pinnace.kube.quantity import QuantityError, parse_quantity
from pinnace.kube.schema import Form, Shape, schema_of

# The fields of the published schemas whose format is date-time; in none of them does such a name mean anything else.
TIME_FIELDS = frozenset(
    [
        "acquireTime",
        "completionTime",
        "creationTimestamp",
        "deletionTimestamp",
        "deprecatedFirstTimestamp",
        "deprecatedLastTimestamp",
        "disruptedPods",
        "eventTime",
        "expirationTimestamp",
        "finishedAt",
        "firstTimestamp",
        "lastHeartbeatTime",
        "lastObservedTime",
        "lastPhaseTransitionTime",
        "lastProbeTime",
        "lastScaleTime",
        "lastScheduleTime",
        "lastSuccessfulTime",
        "lastTimestamp",
        "lastTransitionTime",
        "lastUpdateTime",
        "renewTime",
        "startTime",
        "startedAt",
        "time",
        "timeAdded",
    ]
)

# A number of ten digits and more that is a value; 2 ** 31 has ten.
_TEN_ZEROS = b"0" * 10  # looked for first, among digits that have all become zeros: a tenth as long
_TO_ZEROS = bytes.maketrans(b"123456789", b"000000000")
_LONG = re.compile(rb"[:\[,]\s*-?[1-9][0-9]{9}")
_TIME_ENDINGS = (
    b'Time"',
    b'Timestamp"',
    b'"time"',
    b'edAt"',
    b'timeAdded"',
)
_TIME = re.compile(
    r"[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?(Z|[+-][0-2][0-9]:[0-5][0-9])"
)
_AMOUNT_ENDINGS = (b'cpu"', b'memory"', b'storage"', b'sizeLimit"', b'averageValue"', b'"hugepages-')
_TEXT = re.compile(rb'(?:\w+")?\s*:\s*"([^"]*)"')  # what stands after such an ending, or after "hugepages-
_MOST = 1 << 63
_FREE_TEXT = ("/metadata/labels", "/metadata/annotations", "/data", "/stringData")


def is_time(text: str) -> bool:
    """Say whether a text is a time as RFC 3339 writes it; an empty one is none, and no harm."""
    if not text:
        return True
    if not _TIME.fullmatch(text):
        return False
    try:
        parse_time(text)
    except (ValueError, OverflowError):
        return False
    return True


def check_values(kind: Kind[Any], data: bytes) -> None:
    """Return if every number and time of a document, or of a patch that has its form, fits its field.

    Raises: ApiError BadRequest, in the words of Kubernetes' decoder.
    """
    if kind.custom is not None or not _is_suspicious(data, kind):
        return
    value = codec.decode_json(data, kind=kind)
    if not isinstance(value, dict):
        return
    shape = Shape(Form.STRUCT, struct=kind.type)
    clean = codec.without_nulls(value, shape)
    mismatch = find_mismatch(kind.type, clean)
    if mismatch is not None:
        raise ApiError(Reason.BAD_REQUEST, handled(kind, mismatch.render()))
    for text in _find_texts(clean, shape, ""):
        if not is_time(text):
            raise ApiError(Reason.BAD_REQUEST, handled(kind, _render_time_error(text)))
    for text in _find_texts(clean, shape, "", Form.QUANTITY):
        if why := _fault_of_quantity(text):
            raise ApiError(Reason.BAD_REQUEST, handled(kind, why))


def _is_suspicious(data: bytes, kind: Kind[Any]) -> bool:
    if (
        _TEN_ZEROS in data.translate(_TO_ZEROS) and _LONG.search(data)
    ) or kind.resource == "policy/poddisruptionbudgets":  # which has a map of times
        return True
    for text in _find_after(data, _TIME_ENDINGS):
        if not is_time(text.decode(errors="replace")):
            return True
    for text in _find_after(data, _AMOUNT_ENDINGS):
        if _fault_of_quantity(text.decode(errors="replace")):
            return True
    return False


def _find_after(data: bytes, endings: tuple[bytes, ...]) -> list[bytes]:
    """Return the texts of fields whose names end like that: a search for each is faster than one pattern for all."""
    found: list[bytes] = []
    for ending in endings:
        at = data.find(ending)
        while at >= 0:
            if text := _TEXT.match(data, at + len(ending)):
                found.append(text[1])
            at = data.find(ending, at + 1)
    return found


def _fault_of_quantity(text: str) -> str:
    """Return what a decoder says of a text that is no quantity, "" if it is one."""
    try:
        parse_quantity(text.strip())
    except QuantityError as error:
        return str(error)
    return ""


def _render_time_error(text: str) -> str:
    return f'parsing time "{text[:100]}" as "2006-01-02T15:04:05Z07:00": cannot parse "{text[:100]}"'


def _find_texts(value: Any, shape: Shape, name: str, form: Form = Form.STRING) -> Iterator[str]:
    """Yield all times, or all quantities, that are texts."""
    if shape.form is form:
        if (form is not Form.STRING or name in TIME_FIELDS) and isinstance(value, str):
            yield value
    elif shape.struct is not None and isinstance(value, dict):
        fields = schema_of(shape.struct).fields
        for wire, part in value.items():
            if wire in fields:
                yield from _find_texts(part, fields[wire].shape, wire, form)
    elif shape.item is not None:
        parts = value if isinstance(value, list) else value.values() if isinstance(value, dict) else ()
        for part in parts:
            yield from _find_texts(part, shape.item, name, form)


def check_operations(body: bytes) -> None:
    """Return if a JSON patch sets no number that nothing can hold, and no time that is none.

    Its operations don't say what they meet, so that a field's name has to do. Raises: ApiError BadRequest.
    """
    try:
        operations = codec.decode_json(body)
    except ApiError:
        return  # whoever applies it says what is wrong
    for operation in operations if isinstance(operations, list) else ():
        path = operation.get("path") if isinstance(operation, dict) else None
        if isinstance(path, str) and not path.startswith(_FREE_TEXT):
            _check_loose(operation.get("value"), path.rpartition("/")[2])


def _check_loose(value: Any, name: str) -> None:
    if isinstance(value, dict):
        for key, part in value.items():
            if key not in ("labels", "annotations", "matchLabels"):
                _check_loose(part, key)
    elif isinstance(value, list):
        for part in value:
            _check_loose(part, name)
    elif isinstance(value, int) and not -_MOST <= value < _MOST:
        raise ApiError(
            Reason.BAD_REQUEST, f"json: cannot unmarshal number {value} into Go value of type int64"
        )
    elif isinstance(value, str) and name in TIME_FIELDS and not is_time(value):
        raise ApiError(Reason.BAD_REQUEST, _render_time_error(value))
