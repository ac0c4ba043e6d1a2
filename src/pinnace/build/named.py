"""Decides which of the contexts that were given with `--build-context` a name in a Dockerfile means. Pure.

Used by `plan` for FROM and --from. Source: docker buildx build, --build-context; BuildKit, dockerui/namedcontext.go
(behaviour): a context wins over a stage and over an image of its name, however much of the image's name is written.
"""

from __future__ import annotations

from dataclasses import dataclass

from pinnace.base.errors import PinnaceError
from pinnace.oci.reference import parse_reference

LATEST = ":latest"


@dataclass(frozen=True, slots=True)
class NamedContext:
    """A context: the image that it stands for, else a folder."""

    name: str
    image: str = ""

    @property
    def is_folder(self) -> bool:
        return not self.image


@dataclass(frozen=True, slots=True)
class NamedContexts:
    """All of them."""

    contexts: tuple[NamedContext, ...] = ()

    def find(self, name: str) -> NamedContext | None:
        """Return the context that a stage's or an image's name means. Example: "alpine" for docker.io/library/alpine."""
        if not self.contexts:
            return None
        wanted = {name, name.lower(), _shorten(name)}
        return next(
            (one for one in self.contexts if one.name in wanted or _shorten(one.name) in wanted), None
        )


def _shorten(name: str) -> str:
    """Return an image's name as people write it, without the usual domain and tag."""
    try:
        return parse_reference(name).familiar.removesuffix(LATEST)
    except PinnaceError:
        return name
