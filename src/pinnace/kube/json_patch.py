"""JSON Patch: a list of operations applied to a document, all or none.

Pure, on plain JSON values; the given document is never changed.
Source: RFC 6902 (operations), RFC 6901 (pointers); where Kubernetes is more lenient, json-patch.v4 as kubectl 1.37 has it
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from pinnace.base.errors import ApiError, Reason
from pinnace.kube.go_text import quoted
from pinnace.kube.mismatch import describe

MAX_OPERATIONS = (
    10_000  # Source: Kubernetes v1.36, apiserver/pkg/endpoints/handlers/patch.go, maxJSONPatchOperations
)
MAX_COPIED_BYTES = 3 * 1024 * 1024  # copies of copies would double a document with each operation
_REJECTED = "the server rejected our request due to an error in our request"  # Source: api/errors, NewGenericServerResponse


class _Failed(Exception):
    """An operation that can't be carried out."""


class _Document:
    """The document under change, below a root that makes replacing the whole no special case."""

    def __init__(self, value: Any) -> None:
        self.root: dict[str, Any] = {"": copy.deepcopy(value)}
        self.copied = 0

    def parent(self, pointer: str) -> tuple[Any, str]:
        """Return the container that a pointer's last token is in, and that token."""
        if pointer == "":
            return self.root, ""
        if not pointer.startswith("/"):
            raise _Failed(f"JSON pointer {pointer!r} does not start with a slash")
        *path, last = (token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")[1:])
        value = self.root.get("")
        for token in path:
            value = _step(value, token, pointer)
        return value, last

    def get(self, pointer: str) -> Any:
        return _step(*self.parent(pointer), pointer)

    def find(self, pointer: str) -> Any:
        """Return what stands at a pointer; nothing for a field that is not there."""
        container, token = self.parent(pointer)
        return container.get(token) if isinstance(container, dict) else _step(container, token, pointer)

    def add(self, pointer: str, value: Any) -> None:
        container, token = self.parent(pointer)
        if isinstance(container, dict):
            container[token] = value
        elif isinstance(container, list):
            container.insert(len(container) if token == "-" else _index(token, len(container) + 1), value)
        else:
            raise _Failed(
                f"add operation does not apply: doc is missing path: {quoted(pointer)}: missing value"
            )

    def remove(self, pointer: str) -> Any:
        value = self.get(pointer)
        container, token = self.parent(pointer)
        if isinstance(container, list):
            del container[_index(token, len(container))]
        else:
            del container[token]
        return value

    def copy(self, pointer: str) -> Any:
        value = self.get(pointer)
        self.copied += len(msgspec.json.encode(value))
        if self.copied > MAX_COPIED_BYTES:
            raise _Failed("the copy operations of this patch exceed the limit")
        return copy.deepcopy(value)


_INDEX = re.compile(r"[+-]?[0-9]+", re.ASCII)  # as Go's strconv.Atoi reads them


def _index(token: str, size: int) -> int:
    # Unlike RFC 6901, Kubernetes reads leading zeros and signs; what is negative counts from the end.
    place = int(token) if _INDEX.fullmatch(token) and len(token) < 20 else size
    if place < 0:
        place += size
    if not 0 <= place < size:
        raise _Failed(f"Unable to access invalid index: {token}: invalid index referenced")
    return place


def _step(container: Any, token: str, pointer: str) -> Any:
    if isinstance(container, dict) and token in container:
        return container[token]
    if isinstance(container, list):
        return container[_index(token, len(container))]
    raise _Failed(f"doc is missing path: {quoted(pointer)}: missing value")


def _add(document: _Document, operation: Mapping[str, Any]) -> None:
    document.add(operation["path"], copy.deepcopy(operation.get("value")))


def _remove(document: _Document, operation: Mapping[str, Any]) -> None:
    document.remove(operation["path"])


def _replace(document: _Document, operation: Mapping[str, Any]) -> None:
    pointer = operation["path"]
    container, token = document.parent(pointer)
    value = copy.deepcopy(operation.get("value"))
    if isinstance(container, list):
        container[_index(token, len(container))] = value
    elif isinstance(container, dict):
        container[token] = value  # also where nothing is yet
    else:
        raise _Failed(
            f"replace operation does not apply: doc is missing path: {quoted(pointer)}: missing value"
        )


def _move(document: _Document, operation: Mapping[str, Any]) -> None:
    source, target = operation["from"], operation["path"]
    if target.startswith(f"{source}/"):
        raise _Failed(f"{source!r} can't be moved into itself")
    document.add(target, document.remove(source))


def _copy(document: _Document, operation: Mapping[str, Any]) -> None:
    document.add(operation["path"], document.copy(operation["from"]))


def _test(document: _Document, operation: Mapping[str, Any]) -> None:
    if not same(document.find(operation["path"]), operation.get("value")):
        raise _Failed(f"testing value {operation['path']} failed: test failed")


# Operation -> (what it does, its members beside `op`)
_OPERATIONS: Mapping[str, tuple[Callable[[_Document, Mapping[str, Any]], None], tuple[str, ...]]] = {
    "add": (_add, ("path",)),
    "remove": (_remove, ("path",)),
    "replace": (_replace, ("path",)),
    "move": (_move, ("from", "path")),
    "copy": (_copy, ("from", "path")),
    "test": (_test, ("path",)),
}


def same(left: Any, right: Any) -> bool:
    """Say whether two JSON values are equal; unlike Python, true is not 1. Source: RFC 6902, 4.6"""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(value, right[key]) for key, value in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)


def json_patch(document: Any, operations: Any) -> Any:
    """Return the document with all operations applied in order.

    Raises: ApiError BadRequest for what is no patch, Invalid for an operation that can't be carried out.
    """
    _check(operations)
    changed = _Document(document)
    for operation in operations:
        try:
            _run(changed, operation)
        except _Failed as failure:
            # Without causes: kubectl prints them instead of the message, and has no field to name here.
            raise ApiError(Reason.INVALID, f"{_REJECTED}: {failure}") from None
    return changed.root.get("")  # nothing, once the whole was removed


def _run(document: _Document, operation: Mapping[str, Any]) -> None:
    name = operation.get("op")
    row = _OPERATIONS.get(name) if isinstance(name, str) else None
    if row is None:
        raise _Failed(f"Unexpected kind: {name if isinstance(name, str) else 'unknown'}")
    run, members = row
    for member in members:
        if not isinstance(operation.get(member), str):
            raise _Failed(f"{name} operation failed to decode {member}: missing value")
    run(document, operation)


def _check(operations: Any) -> None:
    if not isinstance(operations, list):
        form = describe(operations)
        why = f"json: cannot unmarshal {form} into Go value of type []handlers.jsonPatchOp"
        raise ApiError(Reason.BAD_REQUEST, f"error decoding patch: {why}")
    if len(operations) > MAX_OPERATIONS:
        message = f"The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {len(operations)}"
        raise ApiError(Reason.REQUEST_ENTITY_TOO_LARGE, message)
    for operation in operations:
        if not isinstance(operation, dict):
            why = f"json: cannot unmarshal {describe(operation)} into Go value of type handlers.jsonPatchOp"
            raise ApiError(Reason.BAD_REQUEST, f"error decoding patch: {why}")
        for member in ("op", "path", "from"):
            if not isinstance(operation.get(member, ""), str):
                where = f"Go struct field jsonPatchOp.{member} of type string"
                why = f"json: cannot unmarshal {describe(operation[member])} into {where}"
                raise ApiError(Reason.BAD_REQUEST, f"error decoding patch: {why}")
