"""JSON Patch: a list of operations applied to a document, all or none.

Pure, on plain JSON values; the given document is never changed.
Source: RFC 6902 (operations), RFC 6901 (pointers)
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from pinnace.base.errors import ApiError, Reason

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

    def add(self, pointer: str, value: Any) -> None:
        container, token = self.parent(pointer)
        if isinstance(container, dict):
            container[token] = value
        elif isinstance(container, list):
            container.insert(
                len(container) if token == "-" else _index(token, len(container) + 1, pointer), value
            )
        else:
            raise _Failed(f"add operation does not apply: doc is missing path: {pointer!r}")

    def remove(self, pointer: str) -> Any:
        value = self.get(pointer)
        container, token = self.parent(pointer)
        if isinstance(container, list):
            del container[_index(token, len(container), pointer)]
        else:
            del container[token]
        return value

    def copy(self, pointer: str) -> Any:
        value = self.get(pointer)
        self.copied += len(msgspec.json.encode(value))
        if self.copied > MAX_COPIED_BYTES:
            raise _Failed("the copy operations of this patch exceed the limit")
        return copy.deepcopy(value)


def _index(token: str, size: int, pointer: str) -> int:
    # RFC 6901, 4: digits without a leading zero.
    if (
        not token.isascii()
        or not token.isdigit()
        or (len(token) > 1 and token[0] == "0")
        or int(token) >= size
    ):
        raise _Failed(f"Unable to access invalid index: {token} in {pointer!r}")
    return int(token)


def _step(container: Any, token: str, pointer: str) -> Any:
    if isinstance(container, dict) and token in container:
        return container[token]
    if isinstance(container, list):
        return container[_index(token, len(container), pointer)]
    raise _Failed(f"doc is missing path: {pointer!r}")


def _add(document: _Document, operation: Mapping[str, Any]) -> None:
    document.add(operation["path"], copy.deepcopy(operation["value"]))


def _remove(document: _Document, operation: Mapping[str, Any]) -> None:
    document.remove(operation["path"])


def _replace(document: _Document, operation: Mapping[str, Any]) -> None:
    pointer = operation["path"]
    container, token = document.parent(pointer)
    _step(container, token, pointer)
    value = copy.deepcopy(operation["value"])
    if isinstance(container, list):
        container[_index(token, len(container), pointer)] = value
    else:
        container[token] = value


def _move(document: _Document, operation: Mapping[str, Any]) -> None:
    source, target = operation["from"], operation["path"]
    if target.startswith(f"{source}/"):
        raise _Failed(f"{source!r} can't be moved into itself")
    document.add(target, document.remove(source))


def _copy(document: _Document, operation: Mapping[str, Any]) -> None:
    document.add(operation["path"], document.copy(operation["from"]))


def _test(document: _Document, operation: Mapping[str, Any]) -> None:
    if not same(document.get(operation["path"]), operation["value"]):
        raise _Failed(f"testing path {operation['path']} failed")


# Operation -> (what it does, its members beside `op`)
_OPERATIONS: Mapping[str, tuple[Callable[[_Document, Mapping[str, Any]], None], tuple[str, ...]]] = {
    "add": (_add, ("path", "value")),
    "remove": (_remove, ("path",)),
    "replace": (_replace, ("path", "value")),
    "move": (_move, ("from", "path")),
    "copy": (_copy, ("from", "path")),
    "test": (_test, ("path", "value")),
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
            _OPERATIONS[operation["op"]][0](changed, operation)
        except _Failed as failure:
            # Without causes: kubectl prints them instead of the message, and has no field to name here.
            raise ApiError(Reason.INVALID, f"{_REJECTED}: {failure}") from None
    return changed.root.get("")  # nothing, once the whole was removed


def _check(operations: Any) -> None:
    if not isinstance(operations, list):
        raise ApiError(Reason.BAD_REQUEST, "error decoding patch: a JSON patch is a list of operations")
    if len(operations) > MAX_OPERATIONS:
        message = f"The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {len(operations)}"
        raise ApiError(Reason.REQUEST_ENTITY_TOO_LARGE, message)
    for operation in operations:
        name = operation.get("op") if isinstance(operation, dict) else None
        if not isinstance(name, str) or name not in _OPERATIONS:
            raise ApiError(Reason.BAD_REQUEST, f"error decoding patch: Unexpected kind: {name}")
        for member in _OPERATIONS[name][1]:
            if member not in operation or (member != "value" and not isinstance(operation[member], str)):
                raise ApiError(Reason.BAD_REQUEST, f"error decoding patch: operation {name} has no {member}")
