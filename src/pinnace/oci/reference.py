"""Image references, with Docker's short names: "my-model:v1" is docker.io/library/my-model:v1.

Pure. Invariant: parse_reference(str(r)) == r and parse_reference(r.familiar) == r for every parsed `r`.
Source: distribution/reference v0.6.0, the grammar in reference.go and the normalisation in normalize.go.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from pinnace.base.errors import UserError
from pinnace.oci.digest import Digest, parse_digest

DEFAULT_DOMAIN = "docker.io"
LEGACY_DOMAIN = "index.docker.io"
OFFICIAL_PREFIX = "library/"
DEFAULT_TAG = "latest"
NAME_MAX_CHARACTERS = 255  # Source: reference.go, RepositoryNameTotalLengthMax

_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?")
_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|[-]+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_BARE_ID = re.compile(r"[a-f0-9]{64}")


@dataclass(frozen=True, slots=True)
class Reference:
    """A complete image reference; `tag` is never empty unless there is a digest."""

    domain: str
    path: str
    tag: str = ""
    digest: Digest | None = None

    @property
    def name(self) -> str:
        """The repository, in full: "docker.io/library/my-model"."""
        return f"{self.domain}/{self.path}"

    @property
    def familiar_name(self) -> str:
        """The repository as people write it: "my-model"."""
        if self.domain != DEFAULT_DOMAIN:
            return self.name
        short = self.path.removeprefix(OFFICIAL_PREFIX)
        # "library/a/b" must not become "a/b", which is another repository; nor may the rest look like a domain
        if "/" in short and short != self.path:
            return self.path
        return self.name if _leading_domain(short) else short

    @property
    def familiar(self) -> str:
        """The whole reference as people write it: "my-model:v1"."""
        return self.familiar_name + self._suffix

    @property
    def _suffix(self) -> str:
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    def __str__(self) -> str:
        return self.name + self._suffix

    def with_tag(self, tag: str) -> Reference:
        """Return this repository under another tag, without a digest. Raises: UserError."""
        return replace(self, tag=_parse_tag(tag, self.familiar_name), digest=None)

    def with_digest(self, digest: Digest) -> Reference:
        """Return this repository at a digest, without a tag."""
        return replace(self, tag="", digest=digest)


def parse_reference(text: str, *, default_tag: str = DEFAULT_TAG) -> Reference:
    """Return the reference that a person wrote.

    With neither tag nor digest, the tag is `default_tag`.
    Raises: UserError, saying which part is wrong.
    Example: "ghcr.io/me/llm" is domain "ghcr.io", path "me/llm", tag "latest".
    """
    if not text:
        raise UserError("an image reference is empty", hint="write NAME or NAME:TAG, for example my-model:v1")
    if _BARE_ID.fullmatch(text):
        raise UserError(
            f"invalid reference format: {text!r} is 64 hexadecimal digits, which is an image id and not a name",
            hint="give the image a name, for example my-model:v1",
        )
    rest, at, digest_text = text.partition("@")
    digest = parse_digest(digest_text) if at else None
    name, tag = _split_tag(rest)
    if tag is not None:
        _parse_tag(tag, name)
    domain, path = _split_domain(name)
    _check_name(text, domain, path)
    return Reference(domain, path, tag or ("" if digest else default_tag), digest)


def _split_tag(text: str) -> tuple[str, str | None]:
    """Split at the colon after the last slash: an earlier one belongs to a port."""
    colon = text.rfind(":")
    if colon <= text.rfind("/"):
        return text, None
    return text[:colon], text[colon + 1 :]


def _leading_domain(name: str) -> str:
    """Return the first part of `name` when it must be a domain: a dot, a port, "localhost" or a capital letter."""
    first, slash, _ = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost" or first.lower() != first):
        return first
    return ""


def _split_domain(name: str) -> tuple[str, str]:
    domain = _leading_domain(name)
    path = name[len(domain) + 1 :] if domain else name
    if domain in ("", LEGACY_DOMAIN):
        domain = DEFAULT_DOMAIN
    if domain == DEFAULT_DOMAIN and "/" not in path:
        path = OFFICIAL_PREFIX + path
    return domain, path


def _parse_tag(tag: str, name: str) -> str:
    if not _TAG.fullmatch(tag):
        raise UserError(
            f"invalid reference format: the tag {tag!r} of {name!r} is not allowed",
            hint="a tag has up to 128 letters, digits, '_', '.' and '-', and begins with neither '.' nor '-'",
        )
    return tag


def _check_name(text: str, domain: str, path: str) -> None:
    if not _DOMAIN.fullmatch(domain):
        raise UserError(f"invalid reference format: {domain!r} in {text!r} is not a registry's address")
    if not _PATH.fullmatch(path):
        if path.lower() != path and _PATH.fullmatch(path.lower()):
            raise UserError(
                f"invalid reference format: repository name ({path.removeprefix(OFFICIAL_PREFIX)}) must be lowercase",
                hint=f"write {text.lower()}",
            )
        raise UserError(
            f"invalid reference format: {text!r}",
            hint="a name has lower-case letters and digits, parted by one of '.', '_', '__', '-' or '/', for example team/my-model:v1",
        )
    if len(domain) + 1 + len(path) > NAME_MAX_CHARACTERS:
        raise UserError(
            f"invalid reference format: the name {text[:40]!r}… has more than {NAME_MAX_CHARACTERS} characters"
        )
