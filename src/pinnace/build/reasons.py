"""Decides why each step of a build was taken from the cache or done. Pure: footprints of this build and of earlier ones in.

Source of the rules: `keys` (what a key follows from). Every difference that a key can have is told by one function here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pinnace.build.footprints import Footprint, Memory
from pinnace.build.listing import Listing, compare_listings

NAMES_SHOWN = 5
HIT, MISS = "cached", "done"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a step: "cached", "done" or "failed"; how long it took, or what the cache saved. Units: seconds."""

    footprint: Footprint
    state: str
    seconds: float = 0.0


def find_before(now: Footprint, before: Sequence[Footprint], texts: frozenset[str]) -> Footprint | None:
    """Return the step of an earlier build that this one is the next version of.

    The nearest with the same text; else the one in its place that does the same, unless that is another step of this build.
    """
    same = [one for one in before if one.text == now.text]
    if same:
        return min(same, key=lambda one: abs(one.number - now.number))
    place = next((one for one in before if one.number == now.number), None)
    return place if place is not None and place.kind == now.kind and place.text not in texts else None


def explain_outcome(
    outcome: Outcome,
    before: Memory,
    texts: frozenset[str],
    makers: Mapping[str, str],
    *,
    no_cache: bool,
    is_first: bool,
) -> str:
    """Return why a step was a hit or a miss, in one sentence. `makers` tells what made a layer."""
    now = outcome.footprint
    earlier = find_before(now, before.stage(now.stage), texts)
    if outcome.state == HIT:
        saved = f", {outcome.seconds:.1f}s saved" if outcome.seconds >= 0.05 else ""
        if earlier is not None and earlier.key == now.key:
            return f"nothing changed{saved}"
        return f"the same was done in an earlier build{saved}"
    if earlier is None:
        why = "no build of this Dockerfile is remembered" if is_first else "this step is new"
    elif earlier.key == now.key:
        why = (
            "nothing changed" if no_cache else "nothing changed, but the cache has no longer got it (pruned?)"
        )
    else:
        known = {**before.makers, **makers}
        why = "; ".join(find_differences(earlier, now, known)) or "what it means has changed"
    return f"{why} (--no-cache)" if no_cache else why


def find_differences(before: Footprint, now: Footprint, makers: Mapping[str, str]) -> Iterator[str]:
    """Yield what is different, the likeliest cause first."""
    if before.text != now.text:
        yield f"the line changed, it was: {before.text}"
    yield from _variables(before, now)
    yield from _fields(before, now)
    yield from _below(before, now, makers)
    if before.content != now.content:
        yield _files(before.listing, now.listing, now.text)


def _variables(before: Footprint, now: Footprint) -> Iterator[str]:
    changed = [n for n in now.variables if n in before.variables and now.variables[n] != before.variables[n]]
    added = [name for name in now.variables if name not in before.variables]
    removed = [name for name in before.variables if name not in now.variables]
    if changed:
        yield f"the value of {_names(changed)} (ARG or ENV) changed"
    if added:
        yield f"{_names(added)} (ARG or ENV) is new"
    if removed:
        yield f"{_names(removed)} (ARG or ENV) is no longer set"


def _fields(before: Footprint, now: Footprint) -> Iterator[str]:
    """Yield fields that differ although the line doesn't say so: a variable in it, SHELL, USER or WORKDIR before it."""
    for name in sorted(before.fields.keys() | now.fields.keys()):
        old, new = before.fields.get(name, ""), now.fields.get(name, "")
        if old == new or (before.text != now.text and name in ("argv", "sources", "target", "script")):
            continue
        yield WORDS.get(name, f"{name} changed").format(old=old or "none", new=new or "none")


WORDS = {
    "argv": "the shell or what the command expands to changed",
    "cwd": "WORKDIR changed: {old} → {new}",
    "user": "USER changed: {old} → {new}",
    "path": "WORKDIR changed: {old} → {new}",
    "network": "the network changed: {old} → {new}",
    "platform": "the platform changed: {old} → {new}",
    "target": "the target changed: {old} → {new}",
    "sources": "the sources changed: {old} → {new}",
    "chown": "the owner changed: {old} → {new}",
    "chmod": "the mode changed: {old} → {new}",
    "exclude": "what is left out changed",
    "epoch": "SOURCE_DATE_EPOCH changed: {old} → {new}",
    "image": "the image that it copies from changed: {old} → {new}",
    "inline": "the text of a here-document changed",
    "script": "the text of the here-document changed",
    "mounts": "what it mounts changed",
    "hosts": "the names of --add-host changed",
}


def _below(before: Footprint, now: Footprint, makers: Mapping[str, str]) -> Iterator[str]:
    if before.below == now.below:
        return
    pairs = zip(before.below, now.below, strict=False)
    first = next(
        (i for i, (old, new) in enumerate(pairs) if old != new), min(len(before.below), len(now.below))
    )
    if first < len(now.below):
        maker = makers.get(now.below[first], "")
        yield f"the layer of {maker} below it changed" if maker else f"layer {first + 1} below it changed"
    else:
        maker = makers.get(before.below[first], "")
        yield f"the layer of {maker or 'an earlier step'} is no longer below it"


def _files(before: Listing | None, now: Listing | None, text: str) -> str:
    if before is None or now is None:
        return "what it reads changed"
    found = compare_listings(before, now)
    parts = [f"{_names(names)} {word}" for word, names in found.items() if names]
    return ", ".join(parts) if parts else "what it takes is put together in another way"


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(names[:NAMES_SHOWN])
    return f"{shown} and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else shown
