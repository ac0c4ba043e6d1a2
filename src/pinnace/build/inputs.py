"""What a person asks to be built, and the files that say how: the Dockerfile and the ignore file. A doer (reads files)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pinnace.base.errors import UserError
from pinnace.build.cache_places import CachePlace
from pinnace.build.contexts.spec import ContextFlag, MainContext
from pinnace.build.missing import suggest_dockerfile
from pinnace.build.outputs import Wanted
from pinnace.build.places import resolve_inside
from pinnace.build.plan import BuildOptions
from pinnace.build.run_options import RunOptions
from pinnace.dockerfile.ignore import parse_ignore
from pinnace.dockerfile.parse import Dockerfile, parse_dockerfile
from pinnace.dockerfile.source import decode_source
from pinnace.oci.credentials import Keyring, nobody

IGNORE_FILE = ".dockerignore"


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """What to build. `context` and `dockerfile` are absolute paths on this machine.

    When `source` says that the context comes from elsewhere, `dockerfile` is a path in it. `contexts` have names.
    """

    context: Path
    dockerfile: Path
    names: tuple[str, ...] = ()
    options: BuildOptions = field(default_factory=BuildOptions)
    no_cache: bool = False
    no_cache_stages: tuple[str, ...] = ()
    host_ca: bool = False
    explain: bool = False
    run: RunOptions = field(default_factory=RunOptions)
    pull: bool = False
    cache_from: tuple[CachePlace, ...] = ()
    cache_to: tuple[CachePlace, ...] = ()
    outputs: tuple[Wanted, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)
    keyring: Keyring = nobody
    source: MainContext = MainContext()
    contexts: tuple[ContextFlag, ...] = ()


@dataclass(frozen=True, slots=True)
class Inputs:
    """What was read: the Dockerfile, the name and the text of the ignore file."""

    dockerfile: Dockerfile
    ignore_name: str
    ignore: str


def read_inputs(request: BuildRequest) -> Inputs:
    """Read both files. Raises: UserError."""
    if not request.context.is_dir():
        raise UserError(
            f"path {str(request.context)!r} is not a folder", "pinnace build [-f Dockerfile] FOLDER"
        )
    request = _with_lower_name(request)
    dockerfile = parse_dockerfile(_read_dockerfile(request), request.dockerfile.name)
    name, text = _read_ignore(request)
    parse_ignore(text, name)  # what is wrong with it is told before anything is done
    return Inputs(dockerfile, name, text)


def _with_lower_name(request: BuildRequest) -> BuildRequest:
    """A file "dockerfile" stands in for a Dockerfile that isn't there. Source: BuildKit, dockerui (behaviour)."""
    lower = request.dockerfile.with_name("dockerfile")
    if request.dockerfile.name == "Dockerfile" and not request.dockerfile.is_file() and lower.is_file():
        return replace(request, dockerfile=lower)
    return request


def _read_dockerfile(request: BuildRequest) -> str:
    path = shown = request.dockerfile
    if not request.source.is_folder and path.is_relative_to(request.context):
        shown = path.relative_to(request.context)  # where it was unpacked means nothing to the person
    try:
        return decode_source(path.read_bytes(), path.name)
    except FileNotFoundError:
        raise UserError(
            f"failed to read dockerfile: {shown} does not exist"
            + ("" if request.source.is_folder else " in the context"),
            suggest_dockerfile(request.context, path),
        ) from None
    except OSError as error:
        raise UserError(f"failed to read dockerfile: {shown}: {error.strerror}") from error


def _read_ignore(request: BuildRequest) -> tuple[str, str]:
    """Return the name and the text of the ignore file; one named for the Dockerfile wins."""
    own = request.dockerfile.with_name(request.dockerfile.name + IGNORE_FILE)
    for path in (own, request.context / IGNORE_FILE):
        if not request.source.is_folder and path.is_relative_to(request.context):
            path = Path(resolve_inside(str(request.context), str(path.relative_to(request.context))))
        if path.is_file():
            return path.name, decode_source(path.read_bytes(), path.name, "the ignore file")
    return IGNORE_FILE, ""
