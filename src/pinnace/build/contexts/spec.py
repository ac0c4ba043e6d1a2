"""What a person says about contexts, as values. Pure; `opening` makes folders of them.

Source: docker build, PATH | URL | -; docker buildx build, --build-context.
"""

from __future__ import annotations

from dataclasses import dataclass

from pinnace.base.errors import UserError
from pinnace.build.remote.addresses import AddressError, RemoteSource, parse_context

IMAGE = "docker-image://"
LAYOUT = "oci-layout://"
TARGET = "target:"
HINT = (
    "--build-context NAME=FOLDER, docker-image://REF, oci-layout://FOLDER[:TAG], https://….git, https://….tar"
)


@dataclass(frozen=True, slots=True)
class MainContext:
    """The context of a build when it is no folder of this machine: an address, an upload, or nothing at all ("").

    `dockerfile` is the text of the Dockerfile when that came with the request, else None; `dockerfile_url` is where it
    is fetched from, if it is.
    """

    address: str = ""
    upload: str = ""
    is_empty: bool = False
    dockerfile: str | None = None
    dockerfile_url: str = ""

    @property
    def is_folder(self) -> bool:
        """Say whether the context is a folder that the person named."""
        return not (self.address or self.upload or self.is_empty)


@dataclass(frozen=True, slots=True)
class ContextFlag:
    """One `--build-context NAME=VALUE`: `kind` is "folder", "image", "layout" or "remote"."""

    name: str
    kind: str
    value: str
    remote: RemoteSource | None = None


def read_flag(name: str, value: str) -> ContextFlag:
    """Return what a flag says. Raises: UserError."""
    if not name or not value:
        raise UserError(f"invalid context value {name}={value}, expected key=value", HINT)
    if value.startswith(IMAGE):
        return ContextFlag(name, "image", value.removeprefix(IMAGE))
    if value.startswith(LAYOUT):
        return ContextFlag(name, "layout", value.removeprefix(LAYOUT))
    if value.startswith(TARGET):
        raise UserError(f"--build-context {name}={value}: targets are for bake files only", HINT)
    remote = read_address(value)
    if remote is not None:
        return ContextFlag(name, "remote", value, remote)
    if "://" in value:
        raise UserError(f"--build-context {name}={value}: there is no such kind of context", HINT)
    return ContextFlag(name, "folder", value)


def read_address(text: str) -> RemoteSource | None:
    """Return what an address means; None for a folder. Raises: UserError."""
    try:
        return parse_context(text)
    except AddressError as error:
        raise UserError(str(error), "https://host/x.git#BRANCH:FOLDER, or https://host/x.tar.gz") from None
