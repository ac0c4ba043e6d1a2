"""What a step's result depended on, in a form that is kept: so that the next build can say what is different. Pure.

Invariant: no value of a variable, a secret or a here-document is kept, only marks of them.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from pinnace.build.listing import Listing
from pinnace.build.progress import Keyed
from pinnace.build.steps import Run, Step

SHOWN_MAX = 120  # characters of a value that is kept as it is
# Fields whose values are kept as they are written; of all others a mark is kept.
PLAIN_FIELDS = frozenset(
    [
        "argv",
        "cwd",
        "user",
        "network",
        "platform",
        "hostname",
        "sources",
        "target",
        "chown",
        "chmod",
        "exclude",
        "image",
        "context",
        "parents",
        "link",
        "unpack",
        "path",
        "is_insecure",
    ]
)
# Not part of what a step is: where it stands, and what its result doesn't depend on.
LEFT_OUT = frozenset(("place", "proxies", "stage"))


class Footprint(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a build: its key, its fields, its variables' marks, the layers below, what it copied."""

    stage: str
    number: int
    text: str
    key: str
    kind: str
    fields: dict[str, str]
    variables: dict[str, str] = {}
    below: tuple[str, ...] = ()
    content: str = ""
    listing: Listing | None = None


class Memory(msgspec.Struct, frozen=True):
    """What is kept of a Dockerfile's builds: the last footprint of each step, and what made each layer, by its diff id."""

    steps: tuple[Footprint, ...] = ()
    makers: dict[str, str] = {}

    def stage(self, name: str) -> tuple[Footprint, ...]:
        return tuple(step for step in self.steps if step.stage == name)


def take_footprint(news: Keyed, listing: Listing | None) -> Footprint:
    """Return what is kept of a step."""
    fields = {
        name: _show(value) if name in PLAIN_FIELDS else _mark(value)
        for name, value in msgspec.to_builtins(news.step).items()
        if name not in LEFT_OUT and name not in ("env", "type")
    }
    if news.epoch is not None:
        fields["epoch"] = str(news.epoch)
    variables = {}
    if isinstance(news.step, Run):
        variables = {name: _mark(value) for name, _, value in (one.partition("=") for one in news.step.env)}
    return Footprint(
        stage=news.stage,
        number=news.number,
        text=news.step.place.text,
        key=news.key,
        kind=_kind(news.step),
        fields=fields,
        variables=variables,
        below=news.below,
        content=news.content,
        listing=listing,
    )


def merge_listings(listings: list[Listing]) -> Listing | None:
    """Return one list of what several places gave; None when there are none, or when they can't be told apart."""
    if len(listings) == 1:
        return listings[0]
    if not listings or any(one.depth >= 0 for one in listings):
        return None
    marks: dict[str, int] = {}
    for one in listings:
        marks |= one.marks
    return Listing(marks)


def merge_memory(before: Memory, steps: list[Footprint], makers: dict[str, str]) -> Memory:
    """Return what is kept after a build: what it didn't come to stays."""
    done = {(step.stage, step.number) for step in steps}
    kept = [step for step in before.steps if (step.stage, step.number) not in done]
    below = {layer for step in (*kept, *steps) for layer in step.below}
    known = {**before.makers, **makers}
    ordered = sorted((*kept, *steps), key=lambda one: (one.stage, one.number))
    return Memory(tuple(ordered), {layer: text for layer, text in known.items() if layer in below})


def _kind(step: Step) -> str:
    return step.place.text.partition(" ")[0].upper()


def _show(value: Any) -> str:
    if isinstance(value, list | tuple):
        text = " ".join(str(one.get("url", one)) if isinstance(one, dict) else str(one) for one in value)
    else:
        text = str(value)
    return text if len(text) <= SHOWN_MAX else f"{text[:SHOWN_MAX]}…{_mark(text)}"


def _mark(value: Any) -> str:
    return hashlib.sha256(msgspec.json.encode(value, order="sorted")).hexdigest()[:16]
