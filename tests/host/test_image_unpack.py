"""Unpacking and packing on a real file system, with archives that want out of it.

Beside the tree stands a directory `outside` that no archive may touch.
"""

from __future__ import annotations

import io
import os
import stat
import struct
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pinnace.base.errors import HostError, PinnaceError
from pinnace.image import jobs
from pinnace.image.jobs import PackJob, SealJob, UnpackJob
from pinnace.image.pack import pack
from pinnace.image.root_facts import MARK
from pinnace.image.tar_format import (
    CHARACTER,
    PAX,
    REGULAR,
    SYMLINK,
    Entry,
    TarError,
    render_header,
    render_record,
)
from pinnace.image.unpack import Limits

END = bytes(1024)
# cap_net_bind_service=ep, as `setcap` writes it. Source: linux/capability.h, struct vfs_cap_data, revision 2
CAPABILITY = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)


class Place:
    """A tree to unpack into, with something beside it that must not change."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.tree = base / "tree"
        self.outside = base / "outside"
        self.tree.mkdir()
        self.outside.mkdir()
        (self.outside / "secret").write_text("untouched")
        self.before = self.snapshot()

    def snapshot(self) -> list[tuple[str, int, int, bytes]]:
        found = [self.outside, *self.outside.rglob("*")]
        return [
            (str(p), p.stat().st_mode, p.stat().st_nlink, b"" if p.is_dir() else p.read_bytes())
            for p in found
        ]

    def unpack(self, data: bytes, **more: object) -> jobs.UnpackResult:
        archive = self.base / "archive.tar"
        archive.write_bytes(data)
        mask = os.umask(0o22)
        try:
            return jobs.unpack_archive(
                UnpackJob(source=str(archive), tree=str(self.tree), **more), lambda *_: None
            )  # type: ignore[arg-type]
        finally:
            os.umask(mask)
            assert self.snapshot() == self.before, "the archive reached outside its root"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def archive(*entries: Entry | tuple[Entry, bytes]) -> bytes:
    parts = []
    for item in entries:
        entry, body = item if isinstance(item, tuple) else (item, b"")
        entry.size = len(body) or entry.size
        parts += [render_header(entry), body, bytes(-len(body) % 512)]
    return b"".join(parts) + END


def file(name: str, body: bytes = b"x", **more: object) -> tuple[Entry, bytes]:
    return Entry(name.encode(), **more), body  # type: ignore[arg-type]


def link(name: str, target: str) -> Entry:
    return Entry(name.encode(), SYMLINK, link=target.encode())


def hard(name: str, target: str) -> Entry:
    return Entry(name.encode(), b"1", link=target.encode())


def folder(name: str, **more: object) -> Entry:
    return Entry(name.encode(), b"5", **{"mode": 0o755, **more})  # type: ignore[arg-type]


def tree_tar(tree: Path) -> bytes:
    parts: list[bytes] = []
    pack(str(tree), parts.append)
    return b"".join(parts)


# --- archives that want out ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["../outside/secret", "a/../../outside/secret", "..", "a/..", "/../outside/x"]
)
def test_dot_dot_in_a_name_is_refused(place: Place, name: str) -> None:
    with pytest.raises(TarError, match=r"'\.\.' in its name"):
        place.unpack(archive(file(name)))


def test_an_absolute_name_is_inside_the_root(place: Place) -> None:
    place.unpack(archive(file(str(place.outside / "secret"), b"mine")))
    assert (place.tree / str(place.outside)[1:] / "secret").read_bytes() == b"mine"


@pytest.mark.parametrize(
    "target", ["{outside}", "../outside", "../../../../../../../../../../{outside}", "/"]
)
def test_a_link_is_followed_as_after_a_chroot(place: Place, target: str) -> None:
    place.unpack(archive(link("door", target.format(outside=place.outside)), file("door/secret", b"mine")))
    assert os.readlink(place.tree / "door") == target.format(outside=place.outside)
    written = [p for p in place.tree.rglob("secret") if not p.is_symlink()]
    assert [p.read_bytes() for p in written if p.is_relative_to(place.tree)] == [b"mine"]


def test_a_link_at_the_end_of_a_name_is_replaced_and_not_followed(place: Place) -> None:
    secret = str(place.outside / "secret")
    place.unpack(archive(link("a", secret), file("a", b"mine"), link("b", secret), folder("b"), file("b/c")))
    assert (place.tree / "a").read_bytes() == b"mine" and not (place.tree / "a").is_symlink()
    assert (place.tree / "b/c").exists()


def test_a_directory_that_becomes_a_link_is_looked_up_anew(place: Place) -> None:
    data = archive(folder("a"), file("a/x"), link("a", str(place.outside)), file("a/secret", b"mine"))
    place.unpack(data)
    assert (place.tree / "a").is_symlink()


@pytest.mark.parametrize("target", ["../outside/secret", "/../outside/secret", "nothing", "door/secret"])
def test_a_hard_link_out_of_the_root_is_refused(place: Place, target: str) -> None:
    with pytest.raises(TarError, match=r"hard link|'\.\.'"):
        place.unpack(archive(link("door", str(place.outside)), hard("mine", target)))


def test_an_absolute_hard_link_is_inside_the_root(place: Place) -> None:
    place.unpack(archive(file("etc/a", b"1"), hard("b", "/etc/a")))
    assert os.stat(place.tree / "b").st_ino == os.stat(place.tree / "etc/a").st_ino


def test_a_hard_link_to_a_symbolic_link_does_not_follow_it(place: Place) -> None:
    place.unpack(archive(link("a", str(place.outside / "secret")), hard("b", "a"), file("b", b"mine")))
    assert (place.tree / "b").read_bytes() == b"mine"
    assert (place.tree / "a").is_symlink()


def test_loops_of_links_are_refused(place: Place) -> None:
    with pytest.raises(TarError, match=r"loop|Too many levels"):
        place.unpack(archive(link("a", "b/x"), link("b", "a/y"), file("a/z")))
    with pytest.raises(TarError, match=r"loop|Too many levels"):
        place.unpack(archive(link("self", "self"), file("self/z")))


def test_times_and_owners_of_directories_go_to_the_directory_and_never_through_a_link(place: Place) -> None:
    place.unpack(
        archive(
            folder("d", mtime_ns=5 * 10**9),
            link("d", str(place.outside)),
            folder("e", mtime_ns=7 * 10**9),
            file("e/f"),
        )
    )
    assert (place.tree / "e").stat().st_mtime == 7


def test_devices_are_made_inside_and_the_whiteout_device_is_refused(place: Place) -> None:
    place.unpack(archive(Entry(b"dev/null", CHARACTER, 0o666, major=1, minor=3)))
    assert os.stat(place.tree / "dev/null").st_rdev == os.makedev(1, 3)
    with pytest.raises(TarError, match="device 0:0"):
        place.unpack(archive(Entry(b"dev/hidden", CHARACTER)))
    with pytest.raises(TarError, match="device number"):
        place.unpack(archive(Entry(b"dev/odd", CHARACTER, major=5000)))


def test_attributes_that_speak_to_overlayfs_are_dropped(place: Place) -> None:
    xattrs = {
        b"trusted.overlay.redirect": b"/etc",
        b"user.overlay.opaque": b"y",
        b"user.mine": b"1",
        b"security.selinux": b"x",
    }
    place.unpack(archive(file("a", xattrs=xattrs), folder("d", xattrs=xattrs)))
    assert [n for n in os.listxattr(place.tree / "a") if not n.startswith("security.selinux")] == [
        "user.mine"
    ]
    assert "trusted.overlay.redirect" not in os.listxattr(place.tree / "d")


def test_a_file_that_claims_more_than_the_disk_has_is_refused_before_it_is_written(place: Place) -> None:
    with pytest.raises(HostError, match="claims 9223372036854775807 bytes, but the disk has only"):
        place.unpack(archive(Entry(b"huge", size=2**63 - 1)))
    data = render_record(b"GNU.sparse.map", b"0,1") + render_record(b"GNU.sparse.size", b"9" * 18)
    sparse = render_header(Entry(b"x", PAX, size=len(data))) + data.ljust(512, b"\0")
    with pytest.raises(HostError, match="claims 999999999999999999 bytes"):
        place.unpack(sparse + archive(file("f")))


def test_counts_and_sizes_are_bounded(place: Place) -> None:
    with pytest.raises(TarError, match="more than 2 entries"):
        place.unpack(archive(file("a"), file("b"), file("c")), limits=Limits(entries=2))
    with pytest.raises(TarError, match="over the limit of 10 bytes"):
        place.unpack(archive(file("a", b"x" * 11)), limits=Limits(content_bytes=10))


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        (file("n" * 256), "File name too long"),
        (file("a/" * 2100 + "b"), "a name of 4201 bytes"),
        (Entry(b"x", b"Z"), "unknown type 'Z'"),
        (Entry(b"/", REGULAR), "replace the root"),
        (hard("a", "/"), "hard link to the root"),
        (file(".wh."), "whiteout of nothing"),
        (file(".wh..."), "whiteout of nothing"),
    ],
)
def test_an_entry_that_cannot_be_is_refused_by_name(place: Place, entry: Entry, says: str) -> None:
    with pytest.raises(PinnaceError, match=says):
        place.unpack(archive(entry))


def test_a_file_where_a_directory_is_needed_is_refused(place: Place) -> None:
    with pytest.raises(TarError, match="needs 'a' as a directory"):
        place.unpack(archive(file("a"), file("a/b")))


def test_something_else_than_an_archive_is_refused_with_a_hint(place: Place) -> None:
    with pytest.raises(TarError, match="damaged header") as refused:
        place.unpack(b"not a tar" * 1000)
    assert "is the file a tar archive" in refused.value.hint


def test_deep_directories_that_are_not_listed_are_made(place: Place) -> None:
    place.unpack(archive(file("d/" * 700 + "f", b"deep")))
    assert sum(1 for _ in os.walk(place.tree)) == 701


# --- what a layer means ----------------------------------------------------------------------------------------------


def test_everything_an_entry_says_is_set(place: Place) -> None:
    place.unpack(
        archive(
            folder("d", mode=0o1777, uid=3, gid=4, mtime_ns=100 * 10**9),
            file(
                "d/suid",
                b"#!",
                mode=0o6755,
                uid=5,
                gid=6,
                mtime_ns=10**9 + 250,
                xattrs={b"security.capability": CAPABILITY, b"user.k": b"v"},
            ),
            Entry(b"d/pipe", b"6", 0o640, uid=7, gid=8),
            Entry(b"d/link", SYMLINK, uid=9, gid=10, link=b"nowhere", mtime_ns=3 * 10**9),
        )
    )
    suid = place.tree / "d/suid"
    state = suid.stat()
    assert (stat.S_IMODE(state.st_mode), state.st_uid, state.st_gid, state.st_mtime_ns) == (
        0o6755,
        5,
        6,
        10**9,
    )
    assert os.getxattr(suid, "security.capability") == CAPABILITY
    assert os.getxattr(suid, "user.k") == b"v"
    directory = (place.tree / "d").stat()
    assert (stat.S_IMODE(directory.st_mode), directory.st_uid, directory.st_mtime) == (0o1777, 3, 100)
    pipe, symlink = (place.tree / "d/pipe").lstat(), (place.tree / "d/link").lstat()
    assert stat.S_ISFIFO(pipe.st_mode) and (stat.S_IMODE(pipe.st_mode), pipe.st_uid) == (0o640, 7)
    assert (symlink.st_uid, symlink.st_gid, symlink.st_mtime) == (9, 10, 3)


def test_whiteouts_become_overlayfs_own_marks(place: Place) -> None:
    place.unpack(
        archive(
            folder("d"),
            file("d/.wh.gone", b""),
            file("e/.wh..wh..opq", b""),
            file("e/new"),
            file(".wh..wh.plnk", b""),
        )
    )
    gone = (place.tree / "d/gone").lstat()
    assert stat.S_ISCHR(gone.st_mode) and gone.st_rdev == 0
    assert os.getxattr(place.tree / "e", "trusted.overlay.opaque") == b"y"
    assert sorted(p.name for p in place.tree.iterdir()) == ["d", "e"]


@pytest.mark.parametrize("whiteout_first", [True, False])
def test_a_whiteout_hides_only_the_layers_below(place: Place, whiteout_first: bool) -> None:
    new = [folder("d"), file("d/own"), file("f", b"new")]
    marks = [file(".wh.d", b""), file(".wh.f", b"")]
    place.unpack(archive(*(marks + new if whiteout_first else new + marks)))
    assert (place.tree / "d/own").exists() and (place.tree / "f").read_bytes() == b"new"
    assert os.getxattr(place.tree / "d", "trusted.overlay.opaque") == b"y"


def test_a_directory_that_is_not_listed_looks_as_in_the_layers_below(place: Place, tmp_path: Path) -> None:
    below = tmp_path / "below"
    (below / "tmp").mkdir(parents=True)
    os.chown(below / "tmp", 12, 34)
    (below / "tmp").chmod(0o1777)
    result = place.unpack(archive(file("tmp/x"), file("opt/y")), parents=(str(below),))
    made = (place.tree / "tmp").stat()
    assert (stat.S_IMODE(made.st_mode), made.st_uid, made.st_gid) == (0o1777, 12, 34)
    assert stat.S_IMODE((place.tree / "opt").stat().st_mode) == 0o755
    assert result.implied == 2


def test_sparse_files_stay_sparse(place: Place, tmp_path: Path) -> None:
    with (tmp_path / "holes").open("wb") as holes:
        holes.seek(50 << 20)
        holes.write(b"end")
    for form in ("gnu", "posix"):
        data = subprocess.run(
            ["tar", "-C", str(tmp_path), "-S", f"--format={form}", "-cf", "-", "holes"],
            check=True,
            capture_output=True,
        ).stdout
        place.unpack(data)
        made = place.tree / "holes"
        assert made.stat().st_size == (50 << 20) + 3
        assert made.stat().st_blocks < 1000
        assert made.read_bytes()[-5:] == b"\0\0end"


def test_what_gnu_tar_packs_comes_out_as_gnu_tar_unpacks_it(place: Place, tmp_path: Path) -> None:
    """The oracle: GNU tar itself, over a tree with all that it can hold; compared by GNU tar's own listing of both."""
    source, other = tmp_path / "source", tmp_path / "other"
    (source / "a" / ("long" * 24)).mkdir(parents=True)
    (source / "a" / ("long" * 24) / "f").write_bytes(os.urandom(100_000))
    (source / "ümläut").write_text("x")
    os.link(source / "ümläut", source / "hard")
    (source / "link").symlink_to("a/" + "long" * 24)
    os.chown(source / "hard", 1234, 4321)
    (source / "hard").chmod(0o4711)
    other.mkdir()
    for form in ("gnu", "posix", "ustar"):
        data = subprocess.run(
            ["tar", "-C", source, f"--format={form}", "-cf", "-", "."], check=True, capture_output=True
        ).stdout
        subprocess.run(["tar", "-C", other, "-xpf", "-", "--same-owner"], input=data, check=True)
        place.unpack(data)
        os.removexattr(place.tree, MARK)  # GNU tar notes nowhere that it was told of the root
        assert tree_tar(place.tree) == tree_tar(other)


# --- a layer's own tar -----------------------------------------------------------------------------------------------


def _fill(tree: Path) -> None:
    (tree / "b" / "deep").mkdir(parents=True)
    (tree / "b" / "deep" / "file").write_bytes(b"x" * 1000)
    (tree / "a").write_bytes(b"")
    os.link(tree / "b/deep/file", tree / "b/hard")
    (tree / "z").symlink_to("b")
    os.mkfifo(tree / "pipe")
    os.mknod(tree / "gone", stat.S_IFCHR, os.makedev(0, 0))
    os.mknod(tree / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.setxattr(tree / "b", "trusted.overlay.opaque", b"y")
    os.setxattr(tree / "a", "user.k", b"v")
    os.setxattr(tree / "a", "security.capability", CAPABILITY)
    (tree / ("n" * 200)).write_text("long")


def test_a_trees_tar_unpacks_to_a_tree_with_the_same_tar(place: Place, tmp_path: Path) -> None:
    tree = tmp_path / "given"
    tree.mkdir()
    _fill(tree)
    first = tree_tar(tree)
    place.unpack(first)
    assert tree_tar(place.tree) == first
    os.utime(place.tree / "a", ns=(0, os.stat(place.tree / "a").st_mtime_ns + 1000))
    os.utime(place.tree)  # the root's own time counts for nothing
    assert tree_tar(place.tree) == first


def test_a_trees_tar_is_in_order_and_says_what_docker_expects(tmp_path: Path) -> None:
    tree = tmp_path / "given"
    tree.mkdir()
    _fill(tree)
    with tarfile.open(fileobj=io.BytesIO(tree_tar(tree))) as tar:
        members = tar.getmembers()
    names = [member.name for member in members]
    assert names == [
        "a",
        "b",
        "b/.wh..wh..opq",
        "b/deep",
        "b/deep/file",
        "b/hard",
        ".wh.gone",
        "n" * 200,
        "null",
        "pipe",
        "z",
    ]
    hard_link = members[names.index("b/hard")]
    assert (hard_link.type, hard_link.linkname) == (tarfile.LNKTYPE, "b/deep/file")
    assert "SCHILY.xattr.trusted.overlay.opaque" not in members[1].pax_headers
    assert "SCHILY.xattr.security.capability" in members[0].pax_headers


def test_a_root_of_its_own_mode_is_kept(place: Place, tmp_path: Path) -> None:
    tree = tmp_path / "given"
    tree.mkdir()
    tree.chmod(0o750)
    os.chown(tree, 5, 6)
    place.unpack(tree_tar(tree))
    assert (stat.S_IMODE(place.tree.stat().st_mode), place.tree.stat().st_uid) == (0o750, 5)
    assert tree_tar(place.tree) == tree_tar(tree)


def test_a_file_whose_name_means_deleted_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".wh.x").write_text("")
    with pytest.raises(PinnaceError, match=r"can't be stored in a layer: names that begin with '\.wh\.'"):
        tree_tar(tmp_path)


@pytest.mark.parametrize("compression", ["", "gzip", "zstd"])
def test_packing_gives_the_tar_that_was_digested(tmp_path: Path, compression: str) -> None:
    tree, target = tmp_path / "given", tmp_path / "blob"
    tree.mkdir()
    _fill(tree)
    report: Callable[..., None] = lambda *_: None  # noqa: E731
    facts = jobs.seal(SealJob(tree=str(tree)), report)
    result = jobs.pack_tree(
        PackJob(tree=str(tree), target=str(target), compression=compression, expected=facts.diff_id), report
    )
    assert result.blob_size == target.stat().st_size
    unpack = {"": "cat", "gzip": "gzip -dc", "zstd": "zstd -dcq"}[compression].split()
    unpacked = subprocess.run(unpack, stdin=target.open("rb"), capture_output=True, check=True).stdout
    assert unpacked == tree_tar(tree)
    assert facts.tar_size == len(unpacked)
    (tree / "a").write_text("changed behind our back")
    with pytest.raises(HostError, match="was changed on disk"):
        jobs.pack_tree(
            PackJob(tree=str(tree), target=str(target), compression=compression, expected=facts.diff_id),
            report,
        )
