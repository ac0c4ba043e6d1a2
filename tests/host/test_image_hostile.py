"""A table of archives that want out, or want more than there is: each ends inside its root or in an error that names the entry.

Unpacked for real, beside a directory that nothing may touch, by the function that the worker process runs.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import os
import stat
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zstandard

from pinnace.base.errors import PinnaceError
from pinnace.image import jobs, streams
from pinnace.image.jobs import PackJob, UnpackJob
from pinnace.image.recipe import recipe_of
from pinnace.image.tar_format import (
    BLOCK,
    CHARACTER,
    DEVICE,
    FIFO,
    GNU_LINK,
    GNU_NAME,
    GNU_SPARSE,
    PAX,
    PAX_GLOBAL,
    SYMLINK,
    Entry,
    TarError,
    render_header,
    render_record,
)
from pinnace.image.unpack import Limits
from tests.host.test_image_unpack import END, Place, archive, file, folder, hard, link

DEEP = "nested 2000 deep"  # takes seconds to remove


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    mask = os.umask(0o22)
    made = Place(tmp_path)
    yield made
    os.umask(mask)
    subprocess.run(["rm", "-rf", made.tree], check=True)  # deeper than what pytest can remove


def pax(records: dict[bytes, bytes], *, kind: bytes = PAX) -> bytes:
    data = b"".join(render_record(key, value) for key, value in records.items())
    return render_header(Entry(b"PaxHeaders/x", kind, size=len(data))) + data + bytes(-len(data) % BLOCK)


def gnu(kind: bytes, text: bytes) -> bytes:
    return render_header(Entry(b"././@LongLink", kind, size=len(text))) + text + bytes(-len(text) % BLOCK)


def resum(block: bytearray) -> bytes:
    """Set a header's checksum anew."""
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def patched(entry: Entry, at: int, data: bytes) -> bytes:
    block = bytearray(render_header(entry)[:BLOCK])
    block[at : at + len(data)] = data
    return resum(block)


def sparse_1_0(mapping: bytes, real_size: bytes, body: bytes) -> bytes:
    records = {
        b"GNU.sparse.major": b"1",
        b"GNU.sparse.minor": b"0",
        b"GNU.sparse.name": b"s",
        b"GNU.sparse.realsize": real_size,
    }
    data = mapping.ljust(-(-len(mapping) // BLOCK) * BLOCK, b"\0") + body
    return pax(records) + render_header(Entry(b"x", size=len(data))) + data + bytes(-len(data) % BLOCK) + END


def old_sparse(pairs: list[tuple[int, int]], real_size: int, body: bytes) -> bytes:
    block = bytearray(render_header(Entry(b"s", GNU_SPARSE, size=len(body)))[:BLOCK])
    block[257:265] = b"ustar  \0"
    for number, (offset, length) in enumerate(pairs[:4]):
        block[386 + 24 * number : 386 + 24 * number + 24] = b"%011o\0%011o\0" % (offset, length)
    block[483:495] = b"%011o\0" % real_size
    return resum(block) + body + bytes(-len(body) % BLOCK) + END


# name → (archive, what the error says; "" when it unpacks and all of it lands inside)
HOSTILE: dict[str, tuple[Callable[[str], bytes], str]] = {
    # --- names
    "dot dot": (lambda out: archive(file("../outside/secret")), "'..' in its name"),
    "dot dot behind a directory": (lambda out: archive(folder("a"), file("a/../../outside/secret")), "'..'"),
    "dot dot in a pax path": (lambda out: pax({b"path": b"../outside/secret"}) + archive(file("x")), "'..'"),
    "dot dot in a global pax path": (
        lambda out: pax({b"path": b"../outside/secret"}, kind=PAX_GLOBAL) + archive(file("x")),
        "'..'",
    ),
    "dot dot in a GNU long name": (
        lambda out: gnu(GNU_NAME, b"../outside/secret\0") + archive(file("x")),
        "'..'",
    ),
    "dot dot in a sparse name": (
        lambda out: pax({b"GNU.sparse.name": b"../outside/secret"}) + archive(file("x")),
        "'..'",
    ),
    "dot dot in a ustar prefix": (
        lambda out: patched(Entry(b"secret"), 345, b"../outside") + END,
        "'..'",
    ),
    "absolute": (lambda out: archive(file(f"{out}/secret")), ""),
    "absolute with slashes": (lambda out: archive(file(f"///{out}//secret")), ""),
    "zero byte in a pax path": (lambda out: pax({b"path": b"a\0b"}) + archive(file("x")), "zero byte"),
    "empty name": (lambda out: archive(file("")), "replace the root"),
    "only slashes": (lambda out: archive(file("///")), "replace the root"),
    "name of 256 bytes": (lambda out: archive(file("n" * 256)), "File name too long"),
    "path of 4200 bytes": (lambda out: archive(file("a/" * 2100 + "b")), "a name of 4201 bytes"),
    "not UTF-8": (lambda out: archive((Entry(b"\xff\xfe\x80"), b"x")), ""),
    "newline and escape in a name": (lambda out: archive(file("a\n\x1b[31mb")), ""),
    DEEP: (lambda out: archive(folder("d/" * 2000)), ""),
    # --- links
    "symbolic link out, then through it": (lambda out: archive(link("d", out), file("d/secret")), ""),
    "relative symbolic link out": (lambda out: archive(link("d", "../outside"), file("d/secret")), ""),
    "link through a link": (lambda out: archive(link("a", out), link("b", "a"), file("b/secret")), ""),
    "link to the host's root": (lambda out: archive(link("r", "/"), file(f"r{out}/secret")), ""),
    "link in the middle of a name": (
        lambda out: archive(folder("a"), link("a/b", "../" * 20 + out[1:]), file("a/b/secret")),
        "",
    ),
    "link into proc": (lambda out: archive(link("p", "/proc/self/root"), file(f"p{out}/secret")), ""),
    "directory over a link": (lambda out: archive(link("d", out), folder("d", mode=0o777), file("d/x")), ""),
    "file over a link": (lambda out: archive(link("d", f"{out}/secret"), file("d", b"mine")), ""),
    "link over a directory, then through it": (
        lambda out: archive(folder("d"), file("d/x"), link("d", out), file("d/secret")),
        "",
    ),
    "link of 5000 bytes": (
        lambda out: pax({b"linkpath": b"a" * 5000}) + archive(link("l", "x")),
        "File name too long",
    ),
    "empty link": (lambda out: archive(link("l", "")), "can't be made"),
    "loop of links": (lambda out: archive(link("a", "b/x"), link("b", "a/y"), file("a/z")), "loop|levels"),
    "hard link out": (lambda out: archive(hard("h", "../outside/secret")), "'..'"),
    "hard link out, absolute": (lambda out: archive(hard("h", f"{out}/secret")), "not in the archive"),
    "hard link through a link": (
        lambda out: archive(link("d", out), hard("h", "d/secret")),
        "not in the archive",
    ),
    "hard link to a link out, written through": (
        lambda out: archive(link("l", f"{out}/secret"), hard("h", "l"), file("h", b"mine")),
        "",
    ),
    "hard link to a directory": (lambda out: archive(folder("d"), hard("h", "d")), "is a directory"),
    "hard link to itself": (lambda out: archive(file("a"), hard("a", "a")), ""),
    "hard link to nothing": (lambda out: archive(hard("a", "b")), "not in the archive"),
    "hard link in a GNU long link": (
        lambda out: gnu(GNU_LINK, b"../outside/secret\0") + archive(hard("h", "x")),
        "'..'",
    ),
    # --- kinds
    "block device": (lambda out: archive(Entry(b"sda", DEVICE, 0o666, major=8, minor=0)), ""),
    "fifo": (lambda out: archive(Entry(b"p", FIFO), file("p", b"mine")), ""),
    "device that means deleted": (lambda out: archive(Entry(b"c", CHARACTER)), "device 0:0"),
    "device number out of range": (lambda out: archive(Entry(b"c", CHARACTER, major=4096)), "device number"),
    "unknown kind": (lambda out: archive(Entry(b"x", b"Z")), "unknown type 'Z'"),
    "set-id program": (lambda out: archive(file("su", mode=0o6755)), ""),
    "a file that becomes a directory": (lambda out: archive(file("a"), folder("a"), file("a/b")), ""),
    "a file that is needed as a directory": (lambda out: archive(file("a"), file("a/b")), "as a directory"),
    "one name, all kinds": (
        lambda out: archive(
            file("a"), link("a", out), folder("a"), Entry(b"a", FIFO), hard("a", "a"), file("a"), folder("a")
        ),
        "",
    ),
    # --- whiteouts
    "whiteout of dot dot": (lambda out: archive(file(".wh...")), "whiteout of nothing"),
    "whiteout of dot": (lambda out: archive(file(".wh..")), "whiteout of nothing"),
    "whiteout of nothing": (lambda out: archive(file("a/.wh.")), "whiteout of nothing"),
    "whiteout through a link out": (lambda out: archive(link("d", out), file("d/.wh.secret")), ""),
    "opaque mark through a link out": (lambda out: archive(link("d", out), file("d/.wh..wh..opq")), ""),
    "opaque root": (lambda out: archive(file(".wh..wh..opq")), ""),
    "opaque mark below a file": (lambda out: archive(file("f"), file("f/.wh..wh..opq")), "as a directory"),
    "whiteout that is a directory": (lambda out: archive(folder(".wh.d")), ""),
    "file below a whiteout": (lambda out: archive(file(".wh.d"), file("d/x")), "as a directory"),
    "hard link to a whiteout": (lambda out: archive(file(".wh.w"), hard("h", "w")), ""),
    # --- attributes, owners
    "attribute of overlayfs": (
        lambda out: archive(file("a", xattrs={b"trusted.overlay.redirect": out.encode()})),
        "",
    ),
    "attribute of ours": (lambda out: archive(file("a", xattrs={b"trusted.pinnace.root": b"y"})), ""),
    "attribute of 70000 bytes": (
        lambda out: archive(file("a", xattrs={b"user.a": b"x" * 70000})),
        "an attribute of 70000 bytes",
    ),
    "attributes of 300000 bytes": (
        lambda out: archive(file("a", xattrs={b"user.%d" % i: b"x" * 50000 for i in range(6)})),
        "attributes of 300036 bytes",
    ),
    "attribute with a name of 300 bytes": (
        lambda out: archive(file("a", xattrs={b"user." + b"n" * 300: b"x"})),
        "can't be set",
    ),
    "a capability that is none": (
        lambda out: archive(file("a", xattrs={b"security.capability": b"x"})),
        "can't be set",
    ),
    "owner of 20 digits": (lambda out: pax({b"uid": b"9" * 20}) + archive(file("a")), "has the owner 9999"),
    "owner that means no change": (
        lambda out: pax({b"uid": b"%d" % (2**32 - 1)}) + archive(file("a")),
        "which can't be",
    ),
    "negative owner": (lambda out: patched(Entry(b"a"), 108, b"\xff" * 8) + END, "has the owner -1:0"),
    "time of 20 digits": (lambda out: pax({b"mtime": b"9" * 20}) + archive(file("a"), folder("d")), ""),
    # --- sizes
    "negative size": (lambda out: patched(Entry(b"a"), 124, b"\xff" * 12) + END, "has the size -"),
    "size of a pax header": (
        lambda out: render_header(Entry(b"x", PAX, size=2 << 20)) + bytes(2 << 20) + END,
        "extended header of 2097152 bytes",
    ),
    "size of a GNU name": (
        lambda out: render_header(Entry(b"x", GNU_NAME, size=8**11 - 1)) + END,
        "extended header of",
    ),
    "file of 8 EiB": (lambda out: archive(Entry(b"huge", size=2**63 - 1)), "the disk has only"),
    "pax size of 8 EiB": (
        lambda out: pax({b"size": b"%d" % (2**63 - 1)}) + archive(file("a")),
        "the disk has only",
    ),
    "pax size of 30 digits": (lambda out: pax({b"size": b"9" * 30}) + archive(file("a")), "not a number"),
    "pax record that is longer than its header": (
        lambda out: render_header(Entry(b"x", PAX, size=10)) + b"99 path=a\n".ljust(BLOCK, b"\0") + END,
        "damaged extended header",
    ),
    "cut off in a file": (lambda out: archive(Entry(b"a", size=5000))[:2000], "cut off"),
    # --- sparse maps
    "sparse map that is larger than its data": (
        lambda out: sparse_1_0(b"1\n0\n1000000\n", b"1000000", b"x" * 10),
        "larger than its data",
    ),
    "sparse map that is larger than its file": (
        lambda out: sparse_1_0(b"1\n0\n1000\n", b"10", b"x" * 1000),
        "larger than the file",
    ),
    "sparse map that overlaps": (
        lambda out: sparse_1_0(b"2\n100\n10\n50\n10\n", b"1000", b"x" * 20),
        "damaged sparse map",
    ),
    "sparse map of 10^12 lines": (
        lambda out: sparse_1_0(b"1000000000000\n", b"1000", b""),
        "damaged sparse map",
    ),
    "sparse file of 8 EiB": (lambda out: sparse_1_0(b"1\n0\n1\n", b"9" * 18, b"x"), "the disk has only"),
    "old sparse map past the end": (
        lambda out: old_sparse([(0, 10), (1 << 30, 10)], 100, b"x" * 20),
        "larger",
    ),
    "old sparse file of 8 GiB less a byte, and nothing in it": (
        lambda out: old_sparse([(0, 0)], 8**11 - 1, b""),
        "",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_gets_out(place: Place, name: str) -> None:
    build, says = HOSTILE[name]
    data = build(str(place.outside))
    if says:
        with pytest.raises(PinnaceError, match=says.replace(".", r"\.")):
            place.unpack(data)
    else:
        place.unpack(data)


@pytest.mark.parametrize("name", [name for name, (_, says) in HOSTILE.items() if not says and name != DEEP])
def test_the_recipe_of_an_odd_archive_gives_the_archive(place: Place, name: str) -> None:
    data = HOSTILE[name][0](str(place.outside))
    if len(data) > 1 << 24:
        pytest.skip("large")
    result = place.unpack(data, recipe=recipe_of(str(place.tree)), digests=True)
    if not result.cooks:
        assert (
            name in ("one name, all kinds",)
            or "over a" in name
            or "becomes" in name
            or "fifo" in name
            or ("written through" in name)
        ), "only what replaces something has no recipe"
        return
    target = place.base / "again"
    jobs.pack_tree(
        PackJob(tree=str(place.tree), target=str(target), expected=result.tar_digest), lambda *_: None
    )
    assert target.read_bytes() == data


# --- packed data -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zstandard.compress])
def test_a_bomb_is_refused_while_it_unpacks(
    place: Place, monkeypatch: pytest.MonkeyPatch, pack: Callable[[bytes], bytes]
) -> None:
    monkeypatch.setattr(streams, "BOMB_FROM_BYTES", 1 << 20)
    monkeypatch.setattr(streams, "BOMB_RATIO", 100)
    data = pack(archive(file("zeros", bytes(64 << 20))))
    with pytest.raises(TarError, match="over 100 times as many: refused"):
        place.unpack(data)


def test_what_unpacks_to_much_is_no_bomb_as_long_as_it_is_not_packed_too_well(place: Place) -> None:
    place.unpack(gzip.compress(archive(file("zeros", bytes(8 << 20)), file("noise", os.urandom(1 << 16)))))


def test_xz_that_wants_more_memory_than_there_is_for_it_is_refused(place: Place) -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 30}]
    data = lzma.compress(archive(file("a")), filters=filters)
    with pytest.raises(TarError, match="emory"):
        place.unpack(data)


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(data)


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zstd])
def test_packed_archives_that_are_cut_off_or_changed_are_refused(
    place: Place, pack: Callable[[bytes], bytes]
) -> None:
    whole = pack(archive(file("noise", os.urandom(100_000))))
    with pytest.raises(TarError, match=r"cut off"):
        place.unpack(whole[: len(whole) // 2])
    changed = bytearray(whole)
    changed[len(whole) // 2] ^= 0xFF
    with pytest.raises(TarError, match=r"damaged|cut off"):
        place.unpack(bytes(changed))


def test_counts_and_sizes_have_bounds(place: Place) -> None:
    many = archive(*(file(f"f{number}") for number in range(11)))
    with pytest.raises(TarError, match="more than 10 entries"):
        place.unpack(many, limits=Limits(entries=10))
    with pytest.raises(TarError, match=r"entry 'f5' \(1 bytes\) takes it over the limit of 5 bytes"):
        place.unpack(many, limits=Limits(content_bytes=5))


# --- what such names mean once they are inside ---------------------------------------------------------------------------


def test_a_tree_that_was_made_of_odd_names_is_packed_as_gnu_tar_reads_it(place: Place) -> None:
    names = [b"\xff\xfe", b"a\nb", b" lead", b"n" * 255, b"d" * 200 + b"/" + b"e" * 200, b"\xc3\xa9"]
    place.unpack(archive(*((Entry(name), b"x") for name in names)))
    target = place.base / "packed"
    jobs.pack_tree(PackJob(tree=str(place.tree), target=str(target)), lambda *_: None)
    with tarfile.open(target, encoding="utf-8", errors="surrogateescape") as tar:
        found = {os.fsencode(member.name) for member in tar if member.isfile()}
    assert found == set(names)


def test_devices_and_programs_of_a_layer_are_behind_a_door_for_root_only(tmp_path: Path) -> None:
    from pinnace.image.layout import Layout

    layout = Layout(tmp_path / "images")
    layout.make()
    assert stat.S_IMODE(layout.root.stat().st_mode) == 0o700


def test_hostile_archives_do_not_reach_what_stands_in_the_place_of_a_link(place: Place) -> None:
    """The whole table in one tree: what one archive made is there when the next one comes."""
    for build, _ in (case for name, case in HOSTILE.items() if name != DEEP):
        data = build(str(place.outside))
        with contextlib.suppress(PinnaceError):
            place.unpack(data)


def test_an_archive_may_stand_within_a_file(place: Place) -> None:
    data = archive(file("a", b"mine"))
    source = place.base / "outer"
    source.write_bytes(b"x" * 1000 + data + b"y" * 1000)
    job = UnpackJob(source=str(source), tree=str(place.tree), offset=1000, size=len(data), digests=True)
    result = jobs.unpack_archive(job, lambda *_: None)
    assert (place.tree / "a").read_bytes() == b"mine"
    assert result.tar_size == len(data)
    assert io.BytesIO(data).read() == data


def test_symbolic_links_are_never_opened_when_a_tree_is_packed(place: Place) -> None:
    place.unpack(archive(Entry(b"l", SYMLINK, link=str(place.outside / "secret").encode())))
    target = place.base / "packed"
    jobs.pack_tree(PackJob(tree=str(place.tree), target=str(target)), lambda *_: None)
    assert b"untouched" not in target.read_bytes()
