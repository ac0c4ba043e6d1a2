"""What `pinnace build` does with a result: --output and its short forms, --iidfile, --metadata-file.

Parsing is pure; `Receiver` is the doer that writes files. The daemon streams, the command writes, with the rights of whoever
runs it. Source: docker buildx build, its flags; BuildKit, exporter.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from typing import Any

from pinnace.base.errors import HostError, PinnaceError, UserError
from pinnace.cli.output import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pinnace.cli.client import Answer, Client

TYPES = ("local", "tar", "oci", "docker", "image", "registry", "cacheonly")
COMPRESSIONS = ("uncompressed", "gzip", "zstd")
HINT = "type=local|tar|oci|docker,dest=PATH, type=image,name=NAME[,push=true], type=registry, or a folder"
IGNORED = frozenset(
    {"force-compression", "oci-mediatypes", "buildinfo", "unpack", "store", "rewrite-timestamp"}
)
STDOUT = "-"


@dataclass(frozen=True, slots=True)
class Output:
    """One output as a person wrote it. `dest` is a path, "-" for standard output, "" where nothing is written here."""

    type: str
    dest: str = ""
    names: tuple[str, ...] = ()
    push: bool = False
    compression: str = ""
    is_folder: bool = False

    def describe(self) -> dict[str, Any]:
        """Return what the daemon is told."""
        return {
            "type": self.type,
            "names": list(self.names),
            "push": self.push,
            "compression": self.compression,
        }


def parse_pairs(text: str, flag: str) -> list[tuple[str, str]]:
    """Return the fields of a flag that reads NAME=VALUE,NAME=VALUE, where quotes keep a comma. Raises: UserError."""
    import csv

    try:
        fields = next(csv.reader([text], strict=True), [])
    except csv.Error as error:
        raise UserError(f"{flag} {text!r} can't be read: {error}") from error
    pairs = []
    for field in fields:
        name, equals, value = field.partition("=")
        if not equals:
            raise UserError(f"{flag}: {field!r} must be a key=value pair", HINT if flag == "--output" else "")
        pairs.append((name.strip().lower(), value))
    return pairs


def parse_output(text: str, *, is_terminal: bool) -> Output:
    """Return what --output says. `is_terminal`: standard output is one, so no archive goes there. Raises: UserError."""
    if text == STDOUT:
        return _finish(Output("tar", STDOUT), is_terminal)
    if "=" not in text:
        return Output("local", os.path.abspath(text))
    fields: dict[str, str] = {}
    for name, value in parse_pairs(text, "--output"):
        fields[name] = value
    kind = fields.pop("type", "")
    if kind not in TYPES:
        what = f"unknown type {kind!r}" if kind else "type is required"
        raise UserError(f"--output {text}: {what}", HINT)
    dest = fields.pop("dest", "") or fields.pop("destination", "")
    names = tuple(one for one in fields.pop("name", "").split(",") if one)
    push = _flag("push", fields.pop("push", "false"))
    is_folder = not _flag("tar", fields.pop("tar", "true"))
    compression = fields.pop("compression", "")
    fields = {name: value for name, value in fields.items() if name not in IGNORED}
    if compression and compression not in COMPRESSIONS:
        raise UserError(f"--output {text}: unknown compression {compression!r}", ", ".join(COMPRESSIONS))
    if fields:
        raise UserError(f"--output {text}: there is no option {next(iter(fields))!r} here", HINT)
    if kind == "registry":
        kind, push = "image", True
    if kind == "docker" and not dest:
        kind = "image"  # what docker calls loading: the image is here anyway
    return _finish(Output(kind, dest, names, push, compression, is_folder), is_terminal)


def _finish(output: Output, is_terminal: bool) -> Output:
    """Fill in where an output goes. Raises: UserError when that is nowhere."""
    from dataclasses import replace

    if output.type in ("image", "cacheonly"):
        if output.dest:
            raise UserError(f"--output type={output.type} has no dest", HINT)
        return output
    dest = output.dest
    if output.type == "local" or (output.is_folder and output.type in ("oci", "docker")):
        if not dest or dest == STDOUT:
            raise UserError(f"--output type={output.type} needs a dest that is a folder", HINT)
        return replace(output, dest=os.path.abspath(dest), is_folder=True)
    if dest in ("", STDOUT):
        if is_terminal:
            raise UserError(f"--output type={output.type}: refusing to write to a terminal", "add dest=FILE")
        return replace(output, dest=STDOUT, is_folder=False)
    if os.path.isdir(dest):
        raise UserError(f"--output type={output.type}: dest {dest!r} is a folder, not a file", HINT)
    return replace(output, dest=os.path.abspath(dest), is_folder=False)


def _flag(name: str, text: str) -> bool:
    if text.lower() not in ("true", "false", "1", "0"):
        raise UserError(f"--output: {name}={text} is neither true nor false")
    return text.lower() in ("true", "1")


def read_outputs(texts: Iterable[str], *, push: bool, load: bool) -> list[Output]:
    """Return all outputs that the flags name. Raises: UserError."""
    outputs = [parse_output(text, is_terminal=sys.stdout.isatty()) for text in texts]
    if push:
        outputs.append(Output("image", push=True))
    if load:
        say("--load: what is built is an image of this instance at once; nothing has to be loaded")
        if outputs and not any(output.type == "image" for output in outputs):
            outputs.append(Output("image"))
    if sum(output.dest == STDOUT for output in outputs) > 1:
        raise UserError("only one output can go to standard output", HINT)
    return outputs


class Receiver:
    """Takes the results of one build."""

    def __init__(self, client: Client, outputs: list[Output], *, iidfile: str, metadata_file: str) -> None:
        self._client = client
        self._outputs = outputs
        self._iidfile = iidfile
        self._metadata_file = metadata_file
        for path in filter(None, (iidfile, metadata_file)):
            if not os.path.isdir(os.path.dirname(os.path.abspath(path))):
                raise UserError(f"{path}: its folder does not exist")
        if iidfile and os.path.exists(iidfile):
            _unlink(iidfile)  # a build that fails leaves none. Source: docker build

    @property
    def takes_stdout(self) -> bool:
        """Say whether an archive goes to standard output, where nothing else may go then."""
        return any(output.dest == STDOUT for output in self._outputs)

    def filter(self, news: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Yield a build's news, doing what they ask for on the way."""
        failure: PinnaceError | None = None
        for one in news:
            if one["type"] == "offered":
                try:
                    self._take(self._outputs[one["output"]], one["token"])
                except PinnaceError as error:
                    if isinstance(error, UserError):
                        raise  # what can't be written here ends the build
                    failure = error  # the daemon says better why it broke off
                continue
            if one["type"] == "built":
                self._note(one)
            yield one
        if failure is not None:
            raise failure

    def _take(self, output: Output, token: str) -> None:
        pieces = _receive(self._client.open("GET", f"/pinnace/v1/build/results/{token}"))
        if output.is_folder or output.type == "local":
            from pinnace.cli.untar import unpack

            left_out = unpack(pieces, output.dest)
            if left_out:
                say(f"{output.dest}: {left_out} device files were left out")
        elif output.dest == STDOUT:
            for data in pieces:
                sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        else:
            self._write(pieces, output.dest)

    def _write(self, pieces: Iterable[bytes], path: str) -> None:
        is_special = os.path.exists(path) and not os.path.isfile(path)  # a pipe, /dev/null
        new = path if is_special else f"{path}.pinnace-{os.getpid()}"
        try:
            with open(new, "wb" if is_special else "xb") as file:
                for data in pieces:
                    file.write(data)
            if not is_special:
                os.replace(new, path)
        except OSError as error:
            raise UserError(f"{path}: {error.strerror}") from error
        finally:
            if not is_special:
                _unlink(new)

    def _note(self, built: dict[str, Any]) -> None:
        if self._iidfile:
            _write_text(self._iidfile, built["image"])
        if self._metadata_file:
            _write_text(self._metadata_file, json.dumps(describe_built(built), indent=2) + "\n")


def _receive(answer: Answer) -> Iterator[bytes]:
    """Yield what the daemon sends. Raises: HostError when it breaks off; never an error of the connection's own."""
    try:
        yield from answer.chunks()
    except ConnectionError as error:
        raise HostError(f"the daemon broke the result off: {error.strerror}") from error


def describe_built(built: dict[str, Any]) -> dict[str, Any]:
    """Return what --metadata-file holds. Source: docker buildx build, metadata-file."""
    found = {
        "containerimage.config.digest": built["image"],
        "containerimage.digest": built.get("manifest") or built["image"],
    }
    if built["names"]:
        found["image.name"] = ",".join(built["names"])
    return found


def _write_text(path: str, text: str) -> None:
    try:
        with open(path, "w") as file:
            file.write(text)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error


def _unlink(path: str) -> None:
    import contextlib

    with contextlib.suppress(OSError):
        os.unlink(path)
