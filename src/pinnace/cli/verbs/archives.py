"""The verbs about archives: `save`, `load`, `import`, `export`, and `commit`."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator
from typing import IO
from urllib.parse import quote, urlencode

import click

from pinnace.base.errors import UserError
from pinnace.cli.client import Client
from pinnace.cli.output import say

CHUNK_BYTES = 256 * 1024
PATH = "/pinnace/v1/image-archives"
URLS = ("http://", "https://")


@click.command("save")
@click.argument("names", nargs=-1, required=True)
@click.option("-o", "--output", metavar="FILE", help="Write to a file instead of standard output.")
@click.option("--platform", default="", metavar="OS/ARCH", help="Only if the images are for it.")
def save_command(names: tuple[str, ...], output: str | None, platform: str) -> None:
    """Write images to an archive that `docker load`, `podman load` and skopeo read."""
    query = [("name", name) for name in names] + ([("platform", platform)] if platform else [])
    target = _check_output(output, "image")
    _receive(target, Client().open("GET", f"{PATH}?{urlencode(query)}").chunks())


@click.command("load")
@click.option("-i", "--input", "source", metavar="FILE", help="Read a file instead of standard input.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but what was loaded.")
@click.option("--platform", default="", metavar="OS/ARCH", help="Only images that are for it.")
def load_command(source: str | None, quiet: bool, platform: str) -> None:
    """Bring in the images of an archive: docker-archive or OCI layout, packed or not."""
    query = {"platform": platform} if platform else {}
    if source is None and sys.stdin.isatty():
        raise UserError("requested load from stdin, but stdin is empty", "pinnace load -i FILE")
    stream = sys.stdin.buffer if source in (None, "-") else _open(str(source))
    with stream:
        if stat.S_ISREG(os.fstat(stream.fileno()).st_mode) and source not in (None, "-"):
            # the daemon stands on the same machine: it need not get through a socket what it can read itself
            query["path"] = os.path.realpath(str(source))
            answer = Client().open("POST", f"{PATH}?{urlencode(query)}")
        else:
            answer = Client().open(
                "POST", f"{PATH}?{urlencode(query)}", _chunks(stream), content_type="application/x-tar"
            )
        for image in json.loads(answer.read())["images"]:
            for name in image["names"]:
                print(f"Loaded image: {name}")
            if not image["names"]:
                print(f"Loaded image ID: {image['id']}")


@click.command("import")
@click.argument("file")
@click.argument("reference", required=False)
@click.option(
    "-c", "--change", "changes", multiple=True, metavar="INSTRUCTION", help="Apply a Dockerfile instruction."
)
@click.option("-m", "--message", default="", help="Message for the image's history.")
@click.option("--platform", default="", metavar="OS/ARCH", help="What the image is for.")
def import_command(
    file: str, reference: str | None, changes: tuple[str, ...], message: str, platform: str
) -> None:
    """Make an image of a root filesystem's tar: a file, a URL, or "-" for standard input."""
    query = [("reference", reference or ""), ("message", message or f"Imported from {file}")]
    query += [("change", change) for change in changes]
    query += [("platform", platform)] if platform else []
    with _open_source(file) as stream:
        answer = Client().open(
            "POST",
            f"/pinnace/v1/images?{urlencode(query)}",
            _chunks(stream),
            content_type="application/x-tar",
        )
        print(json.loads(answer.read())["id"])


@click.command("export")
@click.argument("container")
@click.option("-o", "--output", metavar="FILE", help="Write to a file instead of standard output.")
def export_command(container: str, output: str | None) -> None:
    """Write a container's whole root file system to a tar, without its volumes."""
    target = _check_output(output, "container")
    path = f"/pinnace/v1/containers/{quote(container, safe='')}/export"
    _receive(target, Client().open("GET", path).chunks())


@click.command("commit")
@click.argument("container")
@click.argument("reference", required=False)
@click.option("-a", "--author", default="", help="Who made it.")
@click.option(
    "-c", "--change", "changes", multiple=True, metavar="INSTRUCTION", help="Apply a Dockerfile instruction."
)
@click.option("-m", "--message", default="", help="Message for the image's history.")
def commit_command(
    container: str, reference: str | None, author: str, changes: tuple[str, ...], message: str
) -> None:
    """Make an image of what a container has changed; one that runs goes on meanwhile."""
    body = {"reference": reference, "author": author, "changes": list(changes), "message": message}
    print(Client().post(f"/pinnace/v1/containers/{quote(container, safe='')}/commit", body)["id"])


def _check_output(output: str | None, what: str) -> str | None:
    """Return where to write to. Raises: UserError for a terminal, a folder, or a folder that isn't there."""
    if output is None or output == "-":
        if sys.stdout.isatty():
            raise UserError(
                "cowardly refusing to save to a terminal. Use the -o flag or redirect",
                f"pinnace {'save' if what == 'image' else 'export'} … -o FILE.tar",
            )
        return None
    folder = os.path.dirname(output) or "."
    if not os.path.isdir(folder):
        raise UserError(
            f'failed to save {what}: invalid output path: directory "{folder}" does not exist',
            f"mkdir -p {folder}",
        )
    if os.path.isdir(output):
        raise UserError(f'failed to save {what}: invalid output path: "{output}" must be a file')
    return output


def _receive(output: str | None, pieces: Iterable[bytes]) -> None:
    """Write to standard output, or to a file that is there only when all of it is."""
    if output is None:
        for piece in pieces:
            sys.stdout.buffer.write(piece)
        return
    if os.path.exists(output) and not os.path.isfile(output):  # a pipe, a device
        with open(output, "wb") as file:
            for piece in pieces:
                file.write(piece)
        return
    handle, name = tempfile.mkstemp(prefix=".tmp-", dir=os.path.dirname(output) or ".")
    try:
        with open(handle, "wb") as file:
            for piece in pieces:
                file.write(piece)
        os.replace(name, output)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise


def _open_source(file: str) -> IO[bytes]:
    """Open what `import` names. Raises: UserError."""
    if file == "-":
        return sys.stdin.buffer
    if not file.startswith(URLS):
        return _open(file)
    from urllib.error import URLError
    from urllib.request import urlopen

    say(f"Downloading from {file}")
    try:
        opened: IO[bytes] = urlopen(file, timeout=60)
        return opened
    except (URLError, OSError, ValueError) as error:
        raise UserError(f"{file} can't be read: {getattr(error, 'reason', error)}") from error


def _open(path: str) -> IO[bytes]:
    try:
        return open(path, "rb")
    except OSError as error:
        raise UserError(f"open {path}: {error.strerror}") from error


def _chunks(stream: IO[bytes]) -> Iterator[bytes]:
    while chunk := stream.read(CHUNK_BYTES):
        yield chunk
