"""Finds what a COPY names, in a folder: the build context, or the files of another stage or image.

Runs in the worker process. Reads names only; digesting is in `digest`, copying in `copying`.
Source: Dockerfile reference, COPY and ADD; Go, path/filepath.Match for patterns.
"""

from __future__ import annotations

import os
import posixpath

import msgspec

from pinnace.base.errors import UserError
from pinnace.build.missing import tell_hidden, tell_missing
from pinnace.build.places import clean, resolve_inside
from pinnace.build.walk import walk
from pinnace.dockerfile.ignore import IgnoreRules, parse_excludes, parse_ignore
from pinnace.dockerfile.patterns import PatternError, has_wildcards, match_name


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """What to take from where. `ignore` is the text of a .dockerignore; `keep_owner` is for files of other stages.

    `known` is the file in which digests of these files are remembered; "" for none. With `parents`, a copy keeps the
    folders of a source's path (those after "/./", if that is in it). `unpack` says that archives are unpacked, `is_fixed` that nobody changes
    the files meanwhile.
    For errors: `shown` is the folder as people know it, `beside` that of the Dockerfile.
    """

    root: str
    sources: tuple[str, ...]
    exclude: tuple[str, ...] = ()
    ignore: str = ""
    ignore_name: str = ".dockerignore"
    what: str = "the build context"
    keep_owner: bool = False
    known: str = ""
    parents: bool = False
    unpack: bool = False
    is_fixed: bool = False
    shown: str = ""
    beside: str = ""

    def rules(self) -> IgnoreRules:
        """Return what the context hides. Raises: UserError."""
        return parse_ignore(self.ignore, self.ignore_name) if self.ignore else IgnoreRules()

    def excludes(self) -> IgnoreRules:
        """Return what --exclude leaves out. Raises: UserError."""
        return parse_excludes(self.exclude)


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """One source that was found: the name that a copy of it gets, its real path and its path in the root.

    `include` is a pattern of names below a folder: only these are meant, with the folders above them.
    """

    name: str
    real: str
    path: str
    is_folder: bool
    include: str = ""

    def included(self) -> IgnoreRules:
        """Return the rules that hide everything but what is meant."""
        return parse_excludes(("**", f"!{self.include}")) if self.include else IgnoreRules()


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """All sources in order, and the patterns that nothing matched (which is allowed)."""

    found: tuple[Found, ...]
    unmatched: tuple[str, ...] = ()


def find_sources(selection: Selection) -> Findings:
    """Return what the sources mean. Raises: UserError that says where was looked, what hides it and what is near."""
    rules, excludes = selection.rules(), selection.excludes()
    found: list[Found] = []
    unmatched: list[str] = []
    for source in selection.sources:
        if selection.parents:
            more = find_with_parents(selection.root, source, rules, excludes)
            if more:
                found += more
            elif has_wildcards(source):
                unmatched.append(source)
            else:
                raise tell_missing(selection, source, rules)
            continue
        candidates = [_resolve(selection.root, path) for path in _match(selection.root, source)]
        matches = [one for one in candidates if one is not None and _is_visible(one, rules)]
        if matches:
            found += [one for one in matches if one.is_folder or not excludes.hidden_by(one.name)]
        elif has_wildcards(source):
            hidden = [one.path for one in candidates if one is not None]
            unmatched.append(tell_hidden(source, hidden, rules, selection.ignore_name))
        else:
            raise tell_missing(selection, source, rules)
    return Findings(found=tuple(found), unmatched=tuple(unmatched))


def find_with_parents(root: str, source: str, rules: IgnoreRules, excludes: IgnoreRules) -> list[Found]:
    """Return the folders in which a source with its parents lies, each with the pattern of what is meant below it.

    Source: Dockerfile reference, COPY --parents; BuildKit, dockerfile2llb/convert.go: what stands before "/./" is the
    folder, what stands behind it a pattern with the syntax of a .dockerignore. Raises: UserError.
    """
    before, pivot, after = source.partition("/./")
    folder, pattern = (before, after) if pivot else ("", source)
    include = clean(pattern)
    found = []
    for path in _match(root, folder):
        one = _resolve(root, path)
        if one is None or not one.is_folder:
            continue
        wanted = msgspec.structs.replace(one, include=include)
        if not include:
            if _is_visible(wanted, rules):
                found.append(wanted)
        elif any(True for _ in walk(one.real, one.path, rules, excludes, wanted.included())):
            found.append(wanted)
    return found


def _match(root: str, source: str) -> list[str]:
    """Return the paths in the root that a source pattern means, sorted; "" is the root itself."""
    places = [""]
    for part in clean(source).split("/"):
        if not part:
            continue
        if has_wildcards(part):
            places = [
                posixpath.join(place, name) for place in places for name in _names_like(root, place, part)
            ]
        else:
            joined = (posixpath.join(place, part) for place in places)
            places = [
                path for path in joined if os.path.lexists(resolve_inside(root, path, follow_last=False))
            ]
    return places


def _names_like(root: str, place: str, pattern: str) -> list[str]:
    try:
        return sorted(name for name in _names_in(root, place) if match_name(pattern, name))
    except PatternError as error:
        raise UserError(f"{pattern!r}: {error}", "escape special characters with \\") from None


def _names_in(root: str, place: str) -> list[str]:
    try:
        return os.listdir(resolve_inside(root, place))
    except (UserError, NotADirectoryError, FileNotFoundError):
        return []


def _resolve(root: str, path: str) -> Found | None:
    """Follow a source that is a link; its copy keeps the link's name. None for a loop of links."""
    try:
        real = resolve_inside(root, path)
    except UserError:
        return None
    inside = os.path.relpath(real, root)
    return Found(
        name=posixpath.basename(path),
        real=real,
        path="" if inside == "." else inside,
        is_folder=os.path.isdir(real),
    )


def _is_visible(found: Found, rules: IgnoreRules) -> bool:
    if not os.path.lexists(found.real):
        return False  # a link that leads to nothing
    if not found.path or rules.hidden_by(found.path) is None:
        return True
    # A hidden folder counts when something below it is brought back.
    return found.is_folder and any(True for _ in walk(found.real, found.path, rules))
