"""Writing and reading image archives, as jobs of the worker process. `archive` says what the members mean."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable

import msgspec

from pinnace.base.errors import HostError
from pinnace.image.jobs import PackResult, Report, open_archive
from pinnace.image.recipe import pack_layer
from pinnace.image.streams import (
    CHUNK,
    MAGIC_BYTES,
    ArchiveFile,
    Digester,
    Inflow,
    Outflow,
    compression_of_start,
    write_all,
)
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
INDEX_CHUNK = 1 << 16
DOCUMENT_MAX_BYTES = 4 << 20
DOCUMENTS_MAX_BYTES = 32 << 20


class SaveMember(msgspec.Struct, frozen=True, kw_only=True):
    """One file of an archive: bytes, a file (as it is, or what is packed in it), or the tar of a layer tree. Units: bytes."""

    name: str
    size: int
    data: bytes = b""
    file: str = ""
    unpack: bool = False
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
    if member.tree or member.unpack:
        digester = Digester()

        def put(data: bytes) -> None:
            digester.update(data)
            outflow.put(data)

        if member.tree:
            pack_layer(member.tree, put, lambda entries, size: report("saving", entries, size))
        else:
            _unpack_file(member.file, put)
        if (digester.digest, digester.size) != (member.digest, member.size):
            raise HostError(
                f"the layer {member.digest} was changed on disk: {member.tree or member.file}",
                hint="remove the images that use it, and build or import them anew",
            )
    elif member.file:
        with open(member.file, "rb") as file:
            while data := file.read(CHUNK):
                outflow.put(data)
    else:
        outflow.put(member.data)


def _unpack_file(path: str, put: Callable[[bytes], None]) -> None:
    with open_archive(path) as file:
        inflow = Inflow(file)
        try:
            while data := inflow.chunk():
                put(data)
        finally:
            inflow.close()


class ReadJob(msgspec.Struct, frozen=True, kw_only=True):
    """Read the archive at `source` (packed or not, a file or a pipe).

    What it holds is left where it is, if `source` is a file that isn't packed; else it goes into files of the empty
    directory `folder`.
    """

    source: str
    folder: str


class ReadMember(msgspec.Struct, frozen=True, kw_only=True):
    """A member, and where it is now: in `file` at `offset`, unless it is small: then `data` is all of it. Units: bytes."""

    name: str
    file: str
    offset: int
    size: int
    data: bytes | None = None


class ReadResult(msgspec.Struct, frozen=True, kw_only=True):
    """The members, and the links between them by name."""

    members: tuple[ReadMember, ...]
    links: dict[str, str]


def read_archive(job: ReadJob, report: Report) -> ReadResult:
    """Do a `ReadJob`. No name of the archive becomes a name on the disk. Raises: TarError, HostError."""
    with open_archive(job.source) as file:
        if file.is_regular:
            start = file.read(MAGIC_BYTES)
            file.seek(0)
            if not compression_of_start(start):
                chunks = _FileChunks(file)
                return _read_members(TarReader(chunks, seekable=chunks), job, report, in_place=True)
        inflow = Inflow(file)
        try:
            result = _read_members(TarReader(inflow), job, report, in_place=False)
            inflow.drain()
        finally:
            inflow.close()
    return result


class _FileChunks:
    """Pieces of a file for a reader that jumps."""

    def __init__(self, file: ArchiveFile) -> None:
        self._file = file

    def chunk(self) -> bytes:
        return self._file.read(INDEX_CHUNK)

    def skip(self, size: int) -> None:
        self._file.seek(self._file.tell() + size)


def _read_members(reader: TarReader, job: ReadJob, report: Report, *, in_place: bool) -> ReadResult:
    members: list[ReadMember] = []
    links: dict[str, str] = {}
    small = 0
    for entry in reader:
        name = "/".join(part for part in os.fsdecode(entry.name).split("/") if part not in ("", "."))
        if len(members) + len(links) >= MEMBERS_MAX:
            raise TarError(f"the archive has more than {MEMBERS_MAX} members: it is no image archive")
        if entry.kind in (REGULAR, CONTIGUOUS):
            if entry.sparse is not None:
                raise TarError(f"the archive's member {show(entry.name)} is sparse: it is no image archive")
            data = None
            offset = reader.position
            file = job.source
            if entry.size <= DOCUMENT_MAX_BYTES and small + entry.size <= DOCUMENTS_MAX_BYTES:
                data = reader.read()
            if not in_place:
                file, offset = f"{job.folder}/{len(members)}", 0
                _keep_member(reader, name, entry, file, data)
            if data is not None and not data.lstrip().startswith((b"{", b"[")):
                data = None  # no document, but a small layer
            small += len(data or b"")
            members.append(ReadMember(name=name, file=file, offset=offset, size=entry.size, data=data))
        elif entry.kind == SYMLINK:
            links[name] = os.fsdecode(entry.link)
        elif entry.kind == LINK:
            links[name] = os.path.relpath("/" + os.fsdecode(entry.link), "/" + os.path.dirname(name))
        elif entry.kind != DIRECTORY:
            raise TarError(f"the archive's member {show(entry.name)} is neither a file nor a link")
        report("reading", len(members), reader.position)
    return ReadResult(members=tuple(members), links=links)


def _keep_member(reader: TarReader, name: str, entry: Entry, target: str, data: bytes | None) -> None:
    if entry.size > shutil.disk_usage(os.path.dirname(target)).free:
        raise HostError(
            f"no space is left for the archive's member {name} ({entry.size} bytes)", hint="free some space"
        )
    with open(target, "xb", buffering=0) as file:
        for piece in reader.pieces() if data is None else (data,):
            write_all(file.fileno(), piece)


class CompressJob(msgspec.Struct, frozen=True, kw_only=True):
    """Pack the file `source` (of it `size` bytes from `offset`) into the new file `target`. Packed data is unpacked first."""

    source: str
    offset: int = 0
    size: int | None = None
    target: str
    compression: str


def compress_file(job: CompressJob, report: Report) -> PackResult:
    """Do a `CompressJob`. Raises: HostError."""
    with open_archive(job.source, job.offset, job.size) as source, open(job.target, "wb") as file:
        inflow = Inflow(source)
        outflow = Outflow(file.write, compression=job.compression)
        try:
            while data := inflow.chunk():
                outflow.put(data)
                report("packing", 0, outflow.tar.size)
        except BaseException:
            outflow.abort()
            raise
        finally:
            inflow.close()
        outflow.finish()
        file.flush()
        os.fsync(file.fileno())
    assert outflow.blob is not None
    return PackResult(
        diff_id=outflow.tar.digest, blob_digest=outflow.blob.digest, blob_size=outflow.blob.size
    )
