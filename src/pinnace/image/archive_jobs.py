"""Writing and reading image archives, as jobs of the worker process. `archive` says what the members mean."""

from __future__ import annotations

import os
import shutil

import msgspec

from pinnace.base.errors import HostError
from pinnace.image.jobs import PackResult, Report, open_archive
from pinnace.image.pack import pack
from pinnace.image.streams import CHUNK, Digester, Inflow, Outflow, compression_of_start, write_all
from pinnace.image.tar_format import (
    BLOCK,
    CONTIGUOUS,
    DIRECTORY,
    LINK,
    REGULAR,
    SYMLINK,
    Entry,
    TarError,
    render_header,
    show,
)
from pinnace.image.tar_read import TarReader
from pinnace.oci.digest import Digest

MEMBERS_MAX = 10_000


class SaveMember(msgspec.Struct, frozen=True, kw_only=True):
    """One file of an archive: bytes, a file, or the tar of a layer tree. Units: bytes."""

    name: str
    size: int
    data: bytes = b""
    file: str = ""
    tree: str = ""
    digest: Digest | None = None


class SaveJob(msgspec.Struct, frozen=True, kw_only=True):
    """Write an archive to `target`, a file or a pipe."""

    target: str
    members: tuple[SaveMember, ...]


class Saved(msgspec.Struct, frozen=True, kw_only=True):
    """How large the archive is. Units: bytes."""

    size: int


def save_archive(job: SaveJob, report: Report) -> Saved:
    """Do a `SaveJob`. Raises: HostError (a full disk, a layer that was changed)."""
    with open(job.target, "wb", buffering=0) as file:
        outflow = Outflow(lambda data: write_all(file.fileno(), data), digest_blob=False)
        try:
            for folder in ("blobs/", "blobs/sha256/"):
                outflow.put(render_header(Entry(folder.encode(), DIRECTORY, 0o755)))
            for number, member in enumerate(job.members):
                report("saving", number, outflow.tar.size)
                outflow.put(render_header(Entry(member.name.encode(), REGULAR, 0o644, size=member.size)))
                _put_member(outflow, member, report)
                outflow.put(bytes(-member.size % BLOCK))
            outflow.put(bytes(2 * BLOCK))
        except BaseException:
            outflow.abort()
            raise
        outflow.finish()
    return Saved(size=outflow.tar.size)


def _put_member(outflow: Outflow, member: SaveMember, report: Report) -> None:
    if member.tree:
        digester = Digester()

        def put(data: bytes) -> None:
            digester.update(data)
            outflow.put(data)

        pack(member.tree, put, lambda entries, size: report("saving", entries, size))
        if (digester.digest, digester.size) != (member.digest, member.size):
            raise HostError(
                f"the layer {member.digest} was changed on disk: {member.tree}",
                hint="remove the images that use it, and build or import them anew",
            )
    elif member.file:
        with open(member.file, "rb") as file:
            while data := file.read(CHUNK):
                outflow.put(data)
    else:
        outflow.put(member.data)


class ReadJob(msgspec.Struct, frozen=True, kw_only=True):
    """Read the archive at `source` (packed or not, a file or a pipe) into files of the empty directory `folder`."""

    source: str
    folder: str


class ReadMember(msgspec.Struct, frozen=True, kw_only=True):
    """A file that was read, and where it is now. Units: bytes."""

    name: str
    file: str
    size: int
    digest: Digest
    compression: str


class ReadResult(msgspec.Struct, frozen=True, kw_only=True):
    """The members, and the links between them by name."""

    members: tuple[ReadMember, ...]
    links: dict[str, str]


def read_archive(job: ReadJob, report: Report) -> ReadResult:
    """Do a `ReadJob`. No name of the archive becomes a name on the disk. Raises: TarError, HostError."""
    members: list[ReadMember] = []
    links: dict[str, str] = {}
    with open_archive(job.source) as file:
        inflow = Inflow(file)
        try:
            reader = TarReader(inflow)
            for entry in reader:
                name = "/".join(part for part in os.fsdecode(entry.name).split("/") if part not in ("", "."))
                if len(members) + len(links) >= MEMBERS_MAX:
                    raise TarError(f"the archive has more than {MEMBERS_MAX} members: it is no image archive")
                if entry.kind in (REGULAR, CONTIGUOUS):
                    members.append(_read_member(reader, name, entry, f"{job.folder}/{len(members)}"))
                elif entry.kind == SYMLINK:
                    links[name] = os.fsdecode(entry.link)
                elif entry.kind == LINK:
                    links[name] = os.path.relpath("/" + os.fsdecode(entry.link), "/" + os.path.dirname(name))
                elif entry.kind != DIRECTORY:
                    raise TarError(f"the archive's member {show(entry.name)} is neither a file nor a link")
                report("reading", len(members), reader.position)
            inflow.drain()
        finally:
            inflow.close()
    return ReadResult(members=tuple(members), links=links)


def _read_member(reader: TarReader, name: str, entry: Entry, target: str) -> ReadMember:
    if entry.size > shutil.disk_usage(os.path.dirname(target)).free:
        raise HostError(
            f"no space is left for the archive's member {name} ({entry.size} bytes)", hint="free some space"
        )
    digester = Digester()
    start = b""
    with open(target, "xb", buffering=0) as file:
        for piece in reader.pieces():
            digester.update(piece)
            start = start or bytes(piece[:6])
            write_all(file.fileno(), piece)
    return ReadMember(
        name=name,
        file=target,
        size=digester.size,
        digest=digester.digest,
        compression=compression_of_start(start),
    )


class CompressJob(msgspec.Struct, frozen=True, kw_only=True):
    """Pack the file `source` into the new file `target`."""

    source: str
    target: str
    compression: str


def compress_file(job: CompressJob, report: Report) -> PackResult:
    """Do a `CompressJob`. Raises: HostError."""
    with open(job.source, "rb") as source, open(job.target, "wb") as file:
        outflow = Outflow(file.write, compression=job.compression)
        while data := source.read(CHUNK):
            outflow.put(data)
            report("packing", 0, outflow.tar.size)
        outflow.finish()
        file.flush()
        os.fsync(file.fileno())
    assert outflow.blob is not None
    return PackResult(
        diff_id=outflow.tar.digest, blob_digest=outflow.blob.digest, blob_size=outflow.blob.size
    )
