"""Reads which objects a person names: `pods`, `pods,svc`, `pod web`, `pod/web svc/web`.

Asks the server only for words that no built-in kind has: kinds that a CustomResourceDefinition has added.

Invariant: what kubectl refuses is refused, in its words.
Source: Kubernetes v1.36, k8s.io/cli-runtime/pkg/resource/builder.go, and what kubectl 1.37 prints.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from pinnace.base.errors import UserError
from pinnace.cli.kube.discovery import find_custom, find_custom_members
from pinnace.kube import kinds
from pinnace.kube.kinds import Kind


class Named(NamedTuple):
    """A kind and one name of it; `name` "" means all objects of the kind."""

    kind: Kind[Any]
    name: str = ""


def find_kind(word: str) -> Kind[Any]:
    """Return the kind that a word means. Raises: UserError."""
    kind = kinds.by_name(word) or find_custom(word)
    if kind is None or "get" not in kind.verbs:
        raise UserError(f'the server doesn\'t have a resource type "{word}"', hint="see docs/kinds.md")
    return kind


def find_kinds(words: str) -> list[Kind[Any]]:
    """Return the kinds of a list with commas; a category ("all") means every kind in it. Raises: UserError."""
    found: dict[Kind[Any], None] = {}
    for word in words.split(","):
        members = _members(word.lower())
        for kind in members or [find_kind(word)]:
            found[kind] = None
    return list(found)


def _members(category: str) -> list[Kind[Any]]:
    """Return the kinds of a category, none if it is no category."""
    if kinds.by_name(category) is not None:
        return []
    return [kind for kind in kinds.STORED if category in kind.categories] + find_custom_members(category)


def parse_named(arguments: Sequence[str]) -> list[Named]:
    """Return what the arguments name, in their order.

    Raises: UserError.
    Example: ("pods,svc", "a") → pod a and service a; ("pod/a", "svc/b") → pod a and service b.
    """
    if any("/" in argument for argument in arguments):
        return [_parse_pair(argument, arguments) for argument in arguments]
    first, *names = arguments
    found = find_kinds(first)
    return [Named(kind, name) for kind in found for name in names or [""]]


def _parse_pair(argument: str, arguments: Sequence[str]) -> Named:
    word, slash, name = argument.partition("/")
    if not slash:
        raise UserError(
            "there is no need to specify a resource type as a separate argument when passing arguments in "
            f"resource/name form (e.g. 'pinnace get resource/<resource_name>' instead of 'pinnace get resource "
            f"resource/<resource_name>'): {' '.join(arguments)}"
        )
    if not word or not name or "/" in name or "," in word:
        raise UserError(
            "arguments in resource/name form must have a single resource and name",
            hint=f"{argument!r} is no KIND/NAME",
        )
    return Named(find_kind(word), name)


def has_several_kinds(arguments: Sequence[str]) -> bool:
    """Whether rows must say of which kind they are."""
    if any("/" in argument for argument in arguments):
        return len({argument.partition("/")[0].lower() for argument in arguments}) > 1
    return "," in arguments[0] or bool(_members(arguments[0].lower()))


def render_kind(kind: Kind[Any]) -> str:
    """Return the kind as messages name it: "pod", "deployment.apps"."""
    return f"{kind.singular}.{kind.group}" if kind.group else kind.singular


def render_object(kind: Kind[Any], name: str) -> str:
    """Return an object as messages name it: "pod/web", "deployment.apps/web"."""
    return f"{render_kind(kind)}/{name}"
