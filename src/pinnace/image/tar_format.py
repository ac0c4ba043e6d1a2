"""The tar format as bytes: one header block to an `Entry` and back, extended records, sparse maps.

Pure: no I/O. Called by `tar_read` and `pack`. It never trusts a number: what is not a number, or is negative where that
makes no sense, is a `TarError`.
Source: POSIX.1-2017, pax ("ustar Interchange Format", "pax Header Block"); GNU tar 1.34 manual, "Basic Tar Format",
"GNU Extensions", "Storing Sparse Files".
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pinnace.base.errors import UserError

BLOCK = 512
ZERO_BLOCK = bytes(BLOCK)

REGULAR, OLD_REGULAR, LINK, SYMLINK = b"0", b"\0", b"1", b"2"
CHARACTER, DEVICE, DIRECTORY, FIFO, CONTIGUOUS = b"3", b"4", b"5", b"6", b"7"
PAX, PAX_GLOBAL, GNU_NAME, GNU_LINK, GNU_SPARSE = b"x", b"g", b"L", b"K", b"S"
# Kinds that carry no data whatever their size field says.
NO_DATA = frozenset({LINK, SYMLINK, CHARACTER, DEVICE, DIRECTORY, FIFO})

XATTR_RECORD = b"SCHILY.xattr."  # Source: star(4); what GNU tar, Go's archive/tar and every image tool write
OCTAL_ID_MAX = 0o7777777
OCTAL_SIZE_MAX = 0o77777777777
NAME_FIELD = 100


class TarError(UserError):
    """The archive is damaged, or asks for something that is refused."""


@dataclass(slots=True)
class Entry:
    """One member. `size` is what its data takes in the archive; `real_size` what the file will have."""

    name: bytes
    kind: bytes = REGULAR
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    size: int = 0
    mtime_ns: int = 0
    link: bytes = b""
    major: int = 0
    minor: int = 0
    xattrs: dict[bytes, bytes] = field(default_factory=dict)
    sparse: tuple[tuple[int, int], ...] | None = None
    real_size: int = 0


def parse_number(data: bytes) -> int:
    """Return an octal field, or GNU's base 256 where the first bit is set. Raises: TarError."""
    first = data[0]
    if first & 0x80:
        value = (
            int.from_bytes(data, "big", signed=True)
            if first == 0xFF
            else int.from_bytes(data, "big") ^ (0x80 << 8 * (len(data) - 1))
        )
        return value
    text = data.strip(b" \0")
    try:
        return int(text, 8) if text else 0
    except ValueError:
        raise TarError(f"the archive has a damaged header: {text!r} is not an octal number") from None


def parse_header(block: bytes) -> Entry:
    """Return the entry that a header block describes, before any extended records. Raises: TarError."""
    if _said_checksum(block) != sum(block) - sum(block[148:156]) + 256:
        raise TarError(
            "the archive has a damaged header: its checksum is wrong",
            hint="is the file a tar archive (plain, or packed with gzip, zstd, xz or bzip2), and complete?",
        )
    name = block[:100].split(b"\0", 1)[0]
    if block[257:263] == b"ustar\0" and block[345]:
        name = block[345:500].split(b"\0", 1)[0] + b"/" + name
    size = parse_number(block[124:136])
    kind = block[156:157]
    if size < 0:
        raise TarError(f"the archive's entry {show(name)} has the size {size}")
    return Entry(
        name=name,
        kind=kind,
        mode=parse_number(block[100:108]) & 0o7777,
        uid=parse_number(block[108:116]),
        gid=parse_number(block[116:124]),
        size=0 if kind in NO_DATA else size,
        mtime_ns=parse_number(block[136:148]) * 1_000_000_000,
        link=block[157:257].split(b"\0", 1)[0],
        major=parse_number(block[329:337]) if kind in (CHARACTER, DEVICE) else 0,
        minor=parse_number(block[337:345]) if kind in (CHARACTER, DEVICE) else 0,
        real_size=size,
    )


def _said_checksum(block: bytes) -> int:
    """Return the checksum that stands in the header; -1 when it is no number at all."""
    text = block[148:156].strip(b" \0")
    try:
        return int(text, 8)
    except ValueError:
        return -1


def parse_records(data: bytes) -> list[tuple[bytes, bytes]]:
    """Return the records of a pax header, in order. Raises: TarError. Example: b"12 path=a/b\\n" is [(b"path", b"a/b")]."""
    records: list[tuple[bytes, bytes]] = []
    at = 0
    while at < len(data):
        space = data.find(b" ", at, at + 20)
        digits = data[at : max(space, at)]
        end = at + int(digits) if digits.isdigit() else 0
        if end <= space or end <= at or end > len(data) or data[end - 1] != 0x0A:
            raise TarError("the archive has a damaged extended header")
        key, equals, value = data[space + 1 : end - 1].partition(b"=")
        if not equals:
            raise TarError("the archive has a damaged extended header")
        records.append((key, value))
        at = end
    return records


def apply_records(entry: Entry, records: list[tuple[bytes, bytes]]) -> None:
    """Let pax records override the header. Raises: TarError."""
    sparse_pairs: list[int] = []
    for key, value in records:
        if key == b"path":
            entry.name = value
        elif key == b"linkpath":
            entry.link = value
        elif key == b"size":
            entry.real_size = decimal(value)
            entry.size = 0 if entry.kind in NO_DATA else entry.real_size
        elif key == b"uid":
            entry.uid = decimal(value)
        elif key == b"gid":
            entry.gid = decimal(value)
        elif key == b"mtime":
            entry.mtime_ns = nanoseconds(value)
        elif key.startswith(XATTR_RECORD):
            entry.xattrs[key[len(XATTR_RECORD) :]] = value
        elif key in (b"GNU.sparse.offset", b"GNU.sparse.numbytes"):
            sparse_pairs.append(decimal(value))
        elif key == b"GNU.sparse.map":
            sparse_pairs = [decimal(part) for part in value.split(b",")] if value else []
            entry.sparse = pairs(sparse_pairs)
    # The size and the name of a sparse file stand in records of their own, whatever the order.
    for key, value in records:
        if key in (b"GNU.sparse.size", b"GNU.sparse.realsize"):
            entry.real_size = decimal(value)
        elif key == b"GNU.sparse.name":
            entry.name = value
    if sparse_pairs:
        entry.sparse = pairs(sparse_pairs)


def is_sparse_1_0(records: list[tuple[bytes, bytes]]) -> bool:
    """Say whether the sparse map stands at the start of the data."""
    return (b"GNU.sparse.major", b"1") in records


def parse_old_sparse(block: bytes, at: int, count: int) -> list[int]:
    """Return the numbers of the map in a GNU header (or its extension) up to the first empty one."""
    numbers: list[int] = []
    for start in range(at, at + 24 * count, 24):
        if not block[start] and not block[start + 12]:
            break
        numbers += (parse_number(block[start : start + 12]), parse_number(block[start + 12 : start + 24]))
    return numbers


def pairs(numbers: list[int]) -> tuple[tuple[int, int], ...]:
    """Return (offset, length) pairs. Raises: TarError unless they are in order and do not overlap."""
    if len(numbers) % 2:
        raise TarError("the archive has a damaged sparse map")
    result = tuple(zip(numbers[::2], numbers[1::2], strict=True))
    end = 0
    for offset, length in result:
        if offset < end or length < 0:
            raise TarError("the archive has a damaged sparse map")
        end = offset + length
    return result


def decimal(text: bytes) -> int:
    """Return a number that is not negative. Raises: TarError."""
    if not text.isdigit() or len(text) > 20:
        raise TarError(f"the archive has a damaged extended header: {show(text[:40])} is not a number")
    return int(text)


def nanoseconds(text: bytes) -> int:
    """Return a time like b"-1.5" in nanoseconds. Raises: TarError."""
    sign = -1 if text.startswith(b"-") else 1
    whole, _, part = text.lstrip(b"-").partition(b".")
    return sign * (decimal(whole or b"0") * 1_000_000_000 + decimal(part[:9].ljust(9, b"0")))


def show(name: bytes) -> str:
    """Return a name for a message."""
    return repr(name.decode(errors="backslashreplace"))


def render_header(entry: Entry) -> bytes:
    """Return the header blocks of an entry, with a pax header only where ustar can't say it.

    Deterministic: the same entry always gives the same bytes. Times are whole seconds.
    """
    records: list[tuple[bytes, bytes]] = []
    if len(entry.name) > NAME_FIELD:
        records.append((b"path", entry.name))
    if len(entry.link) > NAME_FIELD:
        records.append((b"linkpath", entry.link))
    if entry.size > OCTAL_SIZE_MAX:
        records.append((b"size", str(entry.size).encode()))
    if entry.uid > OCTAL_ID_MAX:
        records.append((b"uid", str(entry.uid).encode()))
    if entry.gid > OCTAL_ID_MAX:
        records.append((b"gid", str(entry.gid).encode()))
    seconds = entry.mtime_ns // 1_000_000_000
    if not 0 <= seconds <= OCTAL_SIZE_MAX:
        records.append((b"mtime", str(seconds).encode()))
    records += [(XATTR_RECORD + key, value) for key, value in sorted(entry.xattrs.items())]
    header = _render_block(entry, seconds)
    if not records:
        return header
    data = b"".join(render_record(key, value) for key, value in records)
    extension = Entry(name=b"PaxHeaders/" + entry.name[:80], kind=PAX, size=len(data))
    return _render_block(extension, 0) + data + bytes(-len(data) % BLOCK) + header


def render_record(key: bytes, value: bytes) -> bytes:
    """Return a pax record, whose length counts its own digits. Example: (b"path", b"a/b") is b"12 path=a/b\\n"."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return b"%d %b=%b\n" % (length, key, value)


def _render_block(entry: Entry, seconds: int) -> bytes:
    fields = b"%b%07o\0%07o\0%07o\0%011o\0%011o\0" % (
        entry.name[:NAME_FIELD].ljust(NAME_FIELD, b"\0"),
        entry.mode,
        entry.uid if entry.uid <= OCTAL_ID_MAX else 0,
        entry.gid if entry.gid <= OCTAL_ID_MAX else 0,
        entry.size if entry.size <= OCTAL_SIZE_MAX else 0,
        seconds if 0 <= seconds <= OCTAL_SIZE_MAX else 0,
    )
    rest = b"%b%bustar\x0000%b%07o\0%07o\0" % (
        entry.kind,
        entry.link[:NAME_FIELD].ljust(NAME_FIELD, b"\0"),
        bytes(64),
        entry.major,
        entry.minor,
    )
    checksum = sum(fields) + sum(rest) + 256
    return (fields + b"%06o\0 " % checksum + rest).ljust(BLOCK, b"\0")
