"""Says why a source of a COPY is not there: what hides it, what is near, where else it lies. Runs in the worker process.

Called by `selection` when nothing was found. Looks at names only, and at no more than `LOOKED_AT_MAX` of them.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from pinnace.base.errors import UserError
from pinnace.build.places import clean, resolve_inside
from pinnace.dockerfile.ignore import IgnoreRules
from pinnace.dockerfile.source import suggest

LOOKED_AT_MAX = 20_000
NAMES_SHOWN = 8


class Place(Protocol):
    """Where a source was looked for: what a person calls it, its folder ("" if it means nothing to them), and the Dockerfile's."""

    @property
    def root(self) -> str: ...
    @property
    def what(self) -> str: ...
    @property
    def ignore_name(self) -> str: ...
    @property
    def keep_owner(self) -> bool: ...
    @property
    def shown(self) -> str: ...
    @property
    def beside(self) -> str: ...


def tell_missing(place: Place, source: str, rules: IgnoreRules) -> UserError:
    """Return the error for a source that isn't there or is hidden."""
    path = clean(source)
    try:
        there = resolve_inside(place.root, path, follow_last=False)
        inside = os.path.relpath(resolve_inside(place.root, path), place.root)
    except UserError as error:
        return error
    what = f"{place.what} {place.shown}".rstrip()
    if not os.path.lexists(there):
        return UserError(f"{source!r} is not in {what}", _find_hint(place, source, path))
    rule = rules.hidden_by(path) or rules.hidden_by(inside)
    if rule is not None:
        return UserError(
            f"{source!r} is in {what}, but {place.ignore_name} hides it",
            f"line {rule.line} of {place.ignore_name} is {rule.text!r}; add a line !{path}",
        )
    if os.path.islink(there):
        return UserError(
            f"{source!r} is a link to {os.readlink(there)!r}, which is not in {what}",
            "links are followed inside of it only: copy the file itself there",
        )
    return UserError(
        f"nothing in {source!r} of {what} is left to copy", "--exclude or the ignore file hides all of it"
    )


def tell_hidden(pattern: str, paths: Sequence[str], rules: IgnoreRules, ignore_name: str) -> str:
    """Return a pattern that matches nothing but hidden files, with the line that hides the first of them."""
    for path in paths:
        rule = rules.hidden_by(path)
        if rule is not None:
            more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
            return f"{pattern} (line {rule.line} of {ignore_name}, {rule.text!r}, hides {path}{more})"
    return pattern


def suggest_dockerfile(context: Path, path: Path) -> str:
    """Return what to do when there is no Dockerfile at a path: name the one that is near."""
    names = _names_in(str(path.parent), "")
    near = [name for name in names if re.match(r"(?i)(dockerfile|containerfile)(\W|$)|.*\.dockerfile$", name)]
    near = [name for name in near if not name.endswith(".dockerignore")]
    if near:
        return f"did you mean -f {path.parent / near[0]}?"
    below = (
        one
        for one in _paths_below(str(context))
        if posixpath.basename(one) in ("Dockerfile", "Containerfile")
    )
    found = next(below, "")
    return (
        f"did you mean -f {context / found}?" if found else "name it with -f, or go to the folder that has it"
    )


def _find_hint(place: Place, source: str, path: str) -> str:
    folder, name = posixpath.split(path)
    names = _names_in(place.root, folder)
    same = next((one for one in names if one.lower() == name.lower()), "")
    if same:
        return f"did you mean {posixpath.join(folder, same)}? upper and lower case matter"
    if not place.keep_owner:
        if source.startswith("../") or "/../" in source:
            return "nothing above the context can be copied: name a folder higher up as the context, and the Dockerfile with -f"
        if place.beside and os.path.lexists(posixpath.join(place.beside, path)):
            return (
                f"it lies beside the Dockerfile, in {place.beside}; sources are looked up in the build context, not there: "
                f"build with that folder as the context, or write the path from {place.shown or 'the context'}"
            )
    near = suggest(name, names)
    if near:
        return near.replace("did you mean ", f"did you mean {folder}/" if folder else "did you mean ")
    elsewhere = _find_elsewhere(place.root, path)
    if elsewhere:
        return f"did you mean {elsewhere}?"
    if source.startswith("/") and not place.keep_owner and os.path.lexists(source):
        return f"{source} of this machine is not in the build context: copy it there, or --build-context NAME={posixpath.dirname(source)}"
    return _list_names(place, folder)


def _names_in(root: str, folder: str) -> list[str]:
    try:
        return sorted(os.listdir(resolve_inside(root, folder)))
    except (UserError, OSError):
        return []


def _find_elsewhere(root: str, path: str) -> str:
    """Return the path of a file with that name somewhere else, preferring one whose folders are like those that were named."""
    name = posixpath.basename(path)
    found = [one for one in _paths_below(root) if posixpath.basename(one) == name]
    tail = [one for one in found if one.endswith("/" + path)]
    return min(tail or found, key=lambda one: (one.count("/"), one), default="")


def _paths_below(root: str) -> Iterator[str]:
    waiting, seen = [""], 0
    while waiting:
        folder = waiting.pop(0)
        try:
            entries = sorted(os.scandir(os.path.join(root, folder)), key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries:
            seen += 1
            if seen > LOOKED_AT_MAX:
                return
            path = posixpath.join(folder, entry.name)
            yield path
            if entry.is_dir(follow_symlinks=False):
                waiting.append(path)


def _list_names(place: Place, folder: str) -> str:
    """Say what there is, in the nearest folder of those that were named."""
    while folder and not os.path.isdir(resolve_inside(place.root, folder)):
        folder = posixpath.dirname(folder)
    names = _names_in(place.root, folder)
    shown = ", ".join(names[:NAMES_SHOWN]) + (
        f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    )
    there = f"{f'/{folder}' if place.keep_owner or folder else 'it'} has {shown or 'nothing'}"
    if place.keep_owner:
        return there
    return f"sources are looked up in the build context, not beside the Dockerfile; {there}"
