"""Decides what a source of ADD, or a context, means: a URL, a git repository, or neither. Pure.

Source: BuildKit, util/gitutil/git_url.go, dfgitutil and git_ref.go (behaviour): over HTTP only a path that ends with
".git" is a repository; `#ref:folder` or a query (`?ref=…&subdir=…`) says which part of it.
"""

from __future__ import annotations

import posixpath
import re
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

import msgspec

_SCP = re.compile(
    r"(?P<user>[A-Za-z0-9_.-]+)@(?P<host>[A-Za-z0-9_.-]+):(?P<path>(?!//)[^#?]+)(?:#(?P<fragment>.*))?"
)
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_REF = re.compile(r"(?!-)[^\s~^:?*\[\\\x00-\x1f\x7f]+")
_HOSTED = "github.com/"  # a context may be written without its scheme
_QUERY_REFS = {"ref": "", "branch": "refs/heads/", "tag": "refs/tags/"}
_SWITCHES = {"": True, "1": True, "true": True, "0": False, "false": False}


class AddressError(ValueError):
    """An address that can't be read; the text says why."""


class HttpSource(msgspec.Struct, frozen=True, kw_only=True, tag="http"):
    """A file behind a URL. `name` is what the URL's path calls it, "" when it says nothing.

    `checksum` is "sha256:…" or "". `unpack` says whether an archive is unpacked.
    """

    url: str
    name: str = ""
    checksum: str = ""
    unpack: bool = False


class GitSource(msgspec.Struct, frozen=True, kw_only=True, tag="git"):
    """A repository. `ref` "" is its default branch; `folder` "" all of it; `checksum` is the commit that it must be."""

    url: str
    ref: str = ""
    folder: str = ""
    checksum: str = ""
    keep_git_dir: bool = False
    submodules: bool = True

    @property
    def commit(self) -> str:
        """The commit, if the address names one in full."""
        named = self.ref or self.checksum
        return named if _COMMIT.fullmatch(named) else ""


RemoteSource = HttpSource | GitSource


def parse_source(text: str) -> RemoteSource | None:
    """Return what a source of ADD means; None for a path in the context. Raises: AddressError.

    Example: "https://host/x.git#v1:docs" is a repository, "https://host/x.tar.gz" a file, "x.git" a path.
    """
    return _parse_git(text) or _parse_http(text)


def parse_context(text: str) -> RemoteSource | None:
    """Return what a context on the command line means; None for a folder. Raises: AddressError.

    As `parse_source`, and "github.com/…" is a repository too, and so is a `file://` URL.
    """
    if text.startswith(_HOSTED):
        return _parse_git(f"https://{text}", any_path=True)
    return _parse_git(text, local=True) or _parse_http(text)


def hide_secrets(url: str) -> str:
    """Return a URL without the password in it, to be shown. Example: "https://me:xxxxx@host/"."""
    parts = urlsplit(url) if "://" in url else None
    if parts is None or "@" not in parts.netloc or parts.scheme == "ssh":
        return url
    user, _, host = parts.netloc.rpartition("@")
    name, colon, _ = user.partition(":")
    shown = f"{name}:xxxxx" if colon else "xxxxx"
    return urlunsplit(parts._replace(netloc=f"{shown}@{host}"))


def is_commit(text: str) -> bool:
    """Say whether a text is a commit's full name."""
    return _COMMIT.fullmatch(text) is not None


def _parse_http(text: str) -> HttpSource | None:
    if not re.match(r"https?://", text, re.IGNORECASE):
        return None
    parts = _split(text)
    if not parts.hostname:
        raise AddressError(f"{hide_secrets(text)}: the URL names no host")
    base = unquote(posixpath.basename(parts.path))
    name = "" if base in ("", ".", "..") or "/" in base or "\0" in base else base
    return HttpSource(url=urlunsplit(parts._replace(fragment="")), name=name)


def _parse_git(text: str, *, local: bool = False, any_path: bool = False) -> GitSource | None:
    scp = _SCP.fullmatch(text)
    if scp is not None and "://" not in text:
        return _with_fragment(f"{scp['user']}@{scp['host']}:{scp['path']}", scp["fragment"] or "")
    schemes = ("git", "ssh", "http", "https", *(("file",) if local else ()))
    scheme = text.partition("://")[0].lower() if "://" in text else ""
    if scheme not in schemes:
        return None
    parts = _split(text)
    by_path = scheme in ("http", "https") and not any_path
    if by_path and not parts.path.endswith(".git"):
        return None
    if scheme != "file" and not parts.hostname:
        raise AddressError(f"{hide_secrets(text)}: the URL names no host")
    if (parts.hostname or "").startswith("-"):
        raise AddressError(f"{text}: a host's name can't begin with a dash")
    found = _with_fragment(urlunsplit(parts._replace(query="", fragment="")), parts.fragment)
    return _with_query(found, parts.query) if parts.query else found


def _split(text: str):  # type: ignore[no-untyped-def]  # a SplitResult
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018 (reading it checks it)
    except ValueError as error:
        raise AddressError(f"{text}: {error}") from None
    if any(ord(char) <= 32 or ord(char) == 127 for char in text):
        raise AddressError(f"{hide_secrets(text)!r}: a URL can't have blanks in it")
    return parts


def _with_fragment(url: str, fragment: str) -> GitSource:
    ref, _, folder = fragment.partition(":")
    return GitSource(url=url, ref=_check_ref(ref), folder=_check_folder(folder))


def _with_query(found: GitSource, query: str) -> GitSource:
    changes: dict[str, object] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name in _QUERY_REFS:
            if found.ref or "ref" in changes:
                raise AddressError(f"{found.url}: the ref is given twice")
            changes["ref"] = _check_ref(_QUERY_REFS[name] + value)
        elif name == "subdir":
            changes["folder"] = _check_folder(value)
        elif name in ("checksum", "commit"):
            changes["checksum"] = value.lower()
        elif name in ("keep-git-dir", "submodules") and value.lower() in _SWITCHES:
            changes[name.replace("-", "_")] = _SWITCHES[value.lower()]
        else:
            raise AddressError(
                f"{found.url}: {name}={value} means nothing: ref, branch, tag, subdir, checksum, keep-git-dir or submodules"
            )
    return msgspec.structs.replace(found, **changes)


def _check_ref(ref: str) -> str:
    if ref and (not _REF.fullmatch(ref) or ".." in ref):
        raise AddressError(f"{ref!r} is no name of a branch, a tag or a commit")
    return ref


def _check_folder(folder: str) -> str:
    parts = [part for part in folder.split("/") if part and part != "."]
    if ".." in parts:
        raise AddressError(f"{folder!r}: a folder of a repository can't have .. in it")
    return "/".join(parts)
