"""Decides what the sources of a COPY or ADD are: paths, files behind URLs, repositories. Pure; used by `stage_reader`.

Source: BuildKit, frontend/dockerfile/dockerfile2llb/convert.go, dispatchCopy (behaviour, and what it says).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec.structs import replace

from pinnace.build.remote.addresses import AddressError, GitSource, HttpSource, RemoteSource, parse_source

_CHECKSUM = re.compile(r"sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}")
_COMMIT_START = re.compile(r"[0-9a-f]{7,64}")

Sources = tuple[str | HttpSource | GitSource, ...]


class SourceError(ValueError):
    """A source, or a flag about it, that can't be used; `hint` says what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def read_sources(
    words: Sequence[str],
    *,
    is_add: bool,
    checksum: str = "",
    keep_git_dir: bool = False,
    unpack: bool | None = None,
) -> Sources:
    """Return what the words mean. Raises: SourceError."""
    sources: list[str | RemoteSource] = []
    for word in words:
        try:
            remote = parse_source(word)
        except AddressError as error:
            raise SourceError(str(error), "https://host/FILE, or https://host/x.git#REF:FOLDER") from None
        if remote is not None and not is_add:
            what = "a git ref" if isinstance(remote, GitSource) else "a URL"
            raise SourceError(f"source can't be {what} for COPY", f"ADD {word} … fetches it")
        if isinstance(remote, HttpSource):
            remote = replace(remote, unpack=bool(unpack))
        elif isinstance(remote, GitSource):
            remote = replace(remote, keep_git_dir=keep_git_dir or remote.keep_git_dir)
        sources.append(word if remote is None else remote)
    return tuple(_with_checksum(sources, checksum) if checksum else sources)


def _with_checksum(sources: list[str | RemoteSource], checksum: str) -> list[str | RemoteSource]:
    if len(sources) != 1:
        raise SourceError("checksum can't be specified for multiple sources", "write an ADD for each of them")
    source = sources[0]
    if isinstance(source, str):
        raise SourceError("checksum requires HTTP(S) or Git sources", "leave --checksum out")
    form, example = (
        (_COMMIT_START, "a commit such as --checksum=be1f38efe73c6a93cc429a0488ad6e1db663398c")
        if isinstance(source, GitSource)
        else (_CHECKSUM, "--checksum=sha256:24454f83… with all 64 digits (sha256sum FILE prints them)")
    )
    if not form.fullmatch(checksum):
        raise SourceError(f"invalid checksum {checksum!r}", example)
    if isinstance(source, GitSource) and source.checksum and source.checksum != checksum:
        raise SourceError("the checksum is given twice, and differently", "leave one of them out")
    return [replace(source, checksum=checksum)]
