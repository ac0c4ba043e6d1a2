"""Reads what a person says about contexts on the command line, and sends those that come as a stream.

Used by `pinnace build`. What is a folder is named to the daemon by its path; standard input is looked at (is it a tar, or a
Dockerfile?) and sent. It fetches nothing. Source: docker build, PATH | URL | -, and -f.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from pinnace.base.errors import UserError
from pinnace.cli.client import Client

DASH = "-"
PIECE_BYTES = 1 << 18
HEADER_BYTES = 512  # of a tar
DOCKERFILE_MAX_BYTES = 16 << 20
DEFAULT_DOCKERFILE = "Dockerfile"
PACKED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd")  # gzip, bzip2, xz, zstd
_ADDRESS = re.compile(r"(https?|git|ssh|file)://|github\.com/|[A-Za-z0-9_.-]+@[A-Za-z0-9_.-]+:")
_OVER_SSH = re.compile(r"ssh://|[A-Za-z0-9_.-]+@[A-Za-z0-9_.-]+:")
LAYOUT = "oci-layout://"


def read_context(context: str, dockerfile: str | None, client: Client, stdin: BinaryIO) -> dict[str, Any]:
    """Return the fields of a build's request that say where its files come from. Raises: UserError."""
    if context == DASH and dockerfile == DASH:
        raise UserError(
            "invalid argument: can't use stdin for both build context and dockerfile",
            "pinnace build - < Dockerfile, or pinnace build -f - FOLDER < Dockerfile",
        )
    if dockerfile is not None and re.match(r"https?://", dockerfile):
        return {**read_context(context, None, client, stdin), "dockerfile_url": dockerfile}
    if context == DASH:
        return _read_stdin(dockerfile, client, stdin)
    text = _read_dockerfile(stdin) if dockerfile == DASH else None
    if _ADDRESS.match(context) and not os.path.isdir(context):
        return {"address": context, "context": "", "dockerfile": dockerfile or "", "dockerfile_text": text}
    folder = os.path.abspath(context)
    path = (
        os.path.abspath(dockerfile)
        if dockerfile and text is None
        else os.path.join(folder, DEFAULT_DOCKERFILE)
    )
    return {"context": folder, "dockerfile": path, "dockerfile_text": text}


def read_named_contexts(flags: tuple[str, ...]) -> list[list[str]]:
    """Return names and values, with paths made absolute. Raises: UserError."""
    found = []
    for flag in flags:
        name, equals, value = flag.partition("=")
        if not equals or not name or not value:
            raise UserError(
                f"invalid context value: {flag}, expected key=value", "--build-context NAME=FOLDER"
            )
        if value.startswith(LAYOUT):
            value = LAYOUT + os.path.abspath(value.removeprefix(LAYOUT))
        elif "://" not in value and (os.path.isdir(value) or not _ADDRESS.match(value)):
            value = os.path.abspath(value)
        found.append([name, value])
    return found


def find_agent(body: dict[str, Any], environ: Mapping[str, str]) -> dict[str, str]:
    """Return the person's ssh agent if a context is fetched over ssh and none was named. Source: docker/buildx."""
    addresses = [str(body.get("address", "")), *(value for _, value in body.get("contexts", ()))]
    socket = environ.get("SSH_AUTH_SOCK", "")
    if not socket or "default" in body.get("ssh", {}) or not any(map(_OVER_SSH.match, addresses)):
        return {}
    return {"default": os.path.abspath(socket)}


def is_archive(start: bytes) -> bool:
    """Say whether data that begins so is a tar, packed or not."""
    if start.startswith(PACKED):
        return True
    if len(start) < HEADER_BYTES:
        return False
    header = start[:HEADER_BYTES]
    try:
        checksum = int(header[148:156].strip(b"\0 ") or b"x", 8)
    except ValueError:
        return False
    return checksum == sum(header[:148]) + sum(header[156:]) + 8 * 32


def _read_stdin(dockerfile: str | None, client: Client, stdin: BinaryIO) -> dict[str, Any]:
    if stdin.isatty():
        raise UserError(
            "the build context is read from standard input, which is a terminal",
            "pinnace build - < context.tar",
        )
    start = _read_exactly(stdin, HEADER_BYTES)
    if is_archive(start):
        answer = client.call(
            "POST", "/pinnace/v1/build/contexts", _pieces(start, stdin), content_type="application/x-tar"
        )
        return {"upload": answer["id"], "context": "", "dockerfile": dockerfile or ""}
    if not start.strip():
        raise UserError(
            "standard input is empty: it should be a tar or a Dockerfile", "pinnace build - < Dockerfile"
        )
    if dockerfile is not None:
        raise UserError(
            "standard input is no tar, so there is no context for -f to be in",
            "tar c . | pinnace build -f FILE -",
        )
    return {
        "empty": True,
        "context": "",
        "dockerfile": "",
        "dockerfile_text": _decode(start + _read_rest(stdin)),
    }


def _read_dockerfile(stdin: BinaryIO) -> str:
    return _decode(_read_rest(stdin))


def _read_rest(stdin: BinaryIO) -> bytes:
    data = stdin.read(DOCKERFILE_MAX_BYTES + 1)
    if len(data) > DOCKERFILE_MAX_BYTES:
        raise UserError(
            f"the Dockerfile on standard input has more than {DOCKERFILE_MAX_BYTES >> 20} MiB", "is it one?"
        )
    return data


def _decode(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise UserError(
            f"standard input is neither a tar nor a Dockerfile: {error.reason} at byte {error.start}",
            "pinnace build - < context.tar",
        ) from None


def _read_exactly(stdin: BinaryIO, size: int) -> bytes:
    data = b""
    while len(data) < size and (more := stdin.read(size - len(data))):
        data += more
    return data


def _pieces(start: bytes, stdin: BinaryIO) -> Iterator[bytes]:
    yield start
    while data := stdin.read(PIECE_BYTES):
        yield data


def standard_input() -> BinaryIO:
    """Return standard input as bytes."""
    return sys.stdin.buffer
