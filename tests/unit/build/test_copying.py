"""What COPY and ADD make of files. Expected values: `docker build` (20.10) on the same trees; BuildKit where they differ (said)."""

from __future__ import annotations

import contextlib
import io
import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pinnace.base.errors import UserError
from pinnace.build.copying import CopyFacts, CopyJob, copy_sources
from pinnace.build.selection import Selection
from tests.unit.build.trees import Tree, grow, show

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="copies into an image set owners: needs root")

CONTEXT: Tree = {
    "d/a": "1\n",
    "d/sub/b": "22\n",
    "d/sub/deep/c": "333\n",
    "d/link": "-> a",
    "d/out": "-> ../../../../etc/shadow",
    "d/hard1": "h",
    "d/hard2": "=> d/hard1",
    "f1": "f",
    "f2": "g",
    "fl": "-> f1",
}


class Image:
    """A root to copy into, and the context beside it."""

    def __init__(self, folder: Path) -> None:
        self.root = grow(folder / "root", {})
        self.context = grow(folder / "context", CONTEXT)

    def copy(
        self,
        *sources: str,
        to: str,
        ignore: str = "",
        keep_owner: bool = False,
        root: Path | None = None,
        unpack: bool = False,
        parents: bool = False,
        exclude: tuple[str, ...] = (),
        **job: object,
    ) -> CopyFacts:
        selection = Selection(
            root=str(root or self.context),
            sources=sources,
            ignore=ignore,
            keep_owner=keep_owner,
            unpack=unpack,
            parents=parents,
            exclude=exclude,
        )
        made = CopyJob(selections=(selection,), target_root=str(self.root), target=to, **job)  # type: ignore[arg-type]
        return copy_sources(made, lambda what, entries, size: None)

    def show(self) -> list[str]:
        return show(self.root)


@pytest.fixture
def image(tmp_path: Path) -> Image:
    return Image(tmp_path)


@pytest.fixture(autouse=True)
def _same_umask() -> Iterator[None]:
    before = os.umask(0o022)  # the worker sets its own for the whole process
    yield
    os.umask(before)


def test_contents_of_a_folder_are_copied_with_modes_links_and_hard_links(image: Image) -> None:
    (image.context / "d/sub").chmod(0o700)
    (image.context / "d/a").chmod(0o4755)
    facts = image.copy("d", to="/x")
    assert image.show() == [
        "x/",
        "x/a '1\\n' 4755",
        "x/hard1 'h'",
        "x/hard2 'h'",
        "x/link -> a",
        "x/out -> ../../../../etc/shadow",
        "x/sub/ 700",
        "x/sub/b '22\\n'",
        "x/sub/deep/",
        "x/sub/deep/c '333\\n'",
    ]
    assert (image.root / "x/hard1").stat().st_ino == (image.root / "x/hard2").stat().st_ino
    assert (facts.entries, facts.size) == (9, 2 + 1 + 3 + 4)


def test_times_of_files_and_folders_are_kept(image: Image) -> None:
    for name in ("d/sub/b", "d/sub", "d"):
        os.utime(image.context / name, (1_000_000_000, 1_000_000_000))
    image.copy("d", to="/x")
    assert {int((image.root / name).stat().st_mtime) for name in ("x/sub/b", "x/sub", "x")} == {1_000_000_000}


@pytest.mark.parametrize(
    ("sources", "to", "expected"),
    [
        (("f1",), "/x/", ["x/", "x/f1 'f'"]),
        (("f1",), "/x", ["x 'f'"]),
        (("f1",), "/x/y/z", ["x/", "x/y/", "x/y/z 'f'"]),
        (("f1", "f2"), "/x/", ["x/", "x/f1 'f'", "x/f2 'g'"]),
        (("f[12]",), "/x/", ["x/", "x/f1 'f'", "x/f2 'g'"]),
        (("fl",), "/x/", ["x/", "x/fl 'f'"]),  # BuildKit; the classic builder named it f1
        (("d/s*",), "/x/", ["x/", "x/b '22\\n'", "x/deep/", "x/deep/c '333\\n'"]),
        (("none*",), "/x/", []),  # BuildKit; the classic builder refused
    ],
)
def test_where_files_go(image: Image, sources: tuple[str, ...], to: str, expected: list[str]) -> None:
    image.copy(*sources, to=to)
    assert image.show() == expected


def test_file_goes_into_a_folder_that_is_there(image: Image) -> None:
    grow(image.root, {"x": None})
    image.copy("f1", to="/x")
    assert image.show() == ["x/", "x/f1 'f'"]


def test_several_matches_need_a_folder(image: Image) -> None:
    grow(image.root, {"x": None})
    with pytest.raises(UserError, match=r"^When using COPY with more than one source file") as caught:
        image.copy("f[12]", to="/x")
    assert caught.value.hint == "2 files match: end the target with a /"


def test_files_are_replaced_and_links_in_the_image_are_followed_at_the_target_only(image: Image) -> None:
    grow(
        image.root,
        {"x": "old", "real/f": "old", "to-file": "-> /real/f", "to-folder": "-> real", "n/f1": "-> /real/f"},
    )
    image.copy("f1", to="/x")
    image.copy("f1", to="/to-file")
    image.copy("f2", to="/to-folder/")
    image.copy("f1", to="/n/")
    assert image.show() == [
        "n/",
        "n/f1 'f'",
        "real/",
        "real/f 'f'",
        "real/f2 'g'",
        "to-file -> /real/f",
        "to-folder -> real",
        "x 'f'",
    ]


def test_target_that_is_a_link_to_nothing_is_made_where_it_leads(image: Image) -> None:
    grow(image.root, {"x": "-> /far/away"})
    image.copy("f1", to="/x")
    assert image.show() == ["far/", "far/away 'f'", "x -> /far/away"]


def test_folder_over_a_file_and_file_over_a_folder(image: Image) -> None:
    grow(image.root, {"x": "file", "y/a": None, "z/a": "file"})
    with pytest.raises(UserError, match="cannot copy to non-directory: /x is a file"):
        image.copy("d", to="/x")
    with pytest.raises(UserError, match="cannot replace a directory with a file: a is a folder in the image"):
        image.copy("d", to="/y")
    other = grow(image.context / "other", {"a/z": "q"})
    image.copy(".", to="/z", root=other)
    assert show(image.root / "z") == ["a/", "a/z 'q'"]


def test_folder_over_a_link_to_a_folder_goes_through_it_but_never_out(image: Image, tmp_path: Path) -> None:
    outside = grow(tmp_path / "outside", {})
    grow(image.root, {"usr/bin": None, "bin": "-> usr/bin", "evil": f"-> {outside}"})
    source = grow(image.context / "s", {"bin/tool": "t", "evil/x": "e"})
    image.copy(".", to="/", root=source)
    assert show(outside) == []
    assert "usr/bin/tool 't'" in image.show()
    assert "bin -> usr/bin" in image.show()
    assert "evil/x 'e'" in image.show()  # the link led to nothing in the image: it was replaced


def test_target_never_leaves_the_root(image: Image, tmp_path: Path) -> None:
    outside = grow(tmp_path / "outside", {})
    grow(image.root, {"up": "-> ../../outside", "abs": f"-> {outside}"})
    image.copy("f1", to="/up/x")
    image.copy("f1", to="/abs/x")
    image.copy("f1", to="/../../outside/y")
    assert show(outside) == []


def test_chown_and_chmod_hold_for_all_that_is_made(image: Image) -> None:
    # BuildKit, for the folders above the target; the classic builder left some of them to root
    image.copy("d/sub", to="/p/q", uid=5, gid=6, chmod="750")
    assert image.show() == [
        "p/ 5:6",
        "p/q/ 750 5:6",
        "p/q/b '22\\n' 750 5:6",
        "p/q/deep/ 750 5:6",
        "p/q/deep/c '333\\n' 750 5:6",
    ]


def test_owner_of_the_context_is_not_kept_and_that_of_a_stage_is(image: Image) -> None:
    os.chown(image.context / "f1", 7, 8)
    image.copy("f1", to="/context")
    image.copy("f1", to="/stage", keep_owner=True)
    assert image.show() == ["context 'f'", "stage 'f' 7:8"]


def test_attributes_of_a_stages_file_are_kept(image: Image) -> None:
    try:
        os.setxattr(image.context / "f1", "user.note", b"n")
    except OSError:
        pytest.skip("the file system has no user attributes")
    image.copy("f1", to="/x", keep_owner=True)
    image.copy("f1", to="/y")
    assert os.getxattr(image.root / "x", "user.note") == b"n"
    assert os.listxattr(image.root / "y") == []


def test_files_of_the_dockerfile(image: Image) -> None:
    image.copy(to="/etc/x.conf", inline=(("EOF", "text\n"),))
    image.copy("f1", to="/in/", inline=(("a", "1"), ("b", "2")), uid=3, gid=3, chmod="600")
    assert image.show() == [
        "etc/",
        "etc/x.conf 'text\\n'",
        "in/ 3:3",
        "in/a '1' 600 3:3",
        "in/b '2' 600 3:3",
        "in/f1 'f' 600 3:3",
    ]


def test_large_file_is_copied_whole_and_told_of(image: Image) -> None:
    data = os.urandom(1 << 20) * 40
    (image.context / "big").write_bytes(data)
    told: list[int] = []
    job = CopyJob(
        selections=(Selection(root=str(image.context), sources=("big",)),),
        target_root=str(image.root),
        target="/big",
    )
    copy_sources(job, lambda what, entries, size: told.append(size))
    assert (image.root / "big").read_bytes() == data
    assert len(told) > 2
    assert told == sorted(told)


def test_fifo_and_device_are_made_and_sockets_left_out(image: Image) -> None:
    os.mkfifo(image.context / "d/fifo")
    os.mknod(image.context / "d/null", 0o020666, os.makedev(1, 3))
    import socket

    listener = socket.socket(socket.AF_UNIX)
    here = os.getcwd()
    os.chdir(image.context / "d")  # a socket's path has room for 108 bytes only
    try:
        listener.bind("sock")
    finally:
        os.chdir(here)
        listener.close()
    image.copy("d", to="/x")
    found = {path.name for path in (image.root / "x").iterdir()}
    assert {"fifo", "null"} <= found
    assert "sock" not in found
    assert (image.root / "x/null").stat().st_rdev == os.makedev(1, 3)


def test_when_the_newest_source_changed_is_told(image: Image) -> None:
    facts = image.copy("d", to="/x")
    assert facts.newest_ns == max(path.lstat().st_ctime_ns for path in (image.context / "d").rglob("*"))


# --- ADD -----------------------------------------------------------------------------------------------------------------


def pack(path: Path, mode: str, fill: Callable[[tarfile.TarFile], None]) -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        fill(archive)
    return path


def add(archive: tarfile.TarFile, name: str, text: str = "", **fields: object) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(text)
    for field, value in fields.items():
        setattr(member, field, value)
    archive.addfile(member, io.BytesIO(text.encode()))


def simple(archive: tarfile.TarFile) -> None:
    add(archive, "t", type=tarfile.DIRTYPE, mode=0o755)
    add(archive, "t/in", "t", mode=0o640, uid=7, gid=8)
    add(archive, "t/ln", type=tarfile.SYMTYPE, linkname="in")


UNPACKED = ["x/", "x/t/", "x/t/in 't' 640 7:8", "x/t/ln -> in"]


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_archive_is_unpacked_whatever_its_name_and_packing(image: Image, mode: str) -> None:
    pack(image.context / "thing", mode, simple)
    image.copy("thing", to="/x", unpack=True)
    assert image.show() == UNPACKED


def test_archive_is_copied_by_copy_and_as_part_of_a_folder(image: Image) -> None:
    folder = grow(image.context / "only", {})
    pack(folder / "a.tar", "w", simple)
    image.copy("only/a.tar", to="/copied/")
    image.copy("only", to="/added", unpack=True)
    assert sorted(path.name for path in image.root.rglob("*.tar")) == ["a.tar", "a.tar"]


def test_what_is_no_archive_is_copied(image: Image) -> None:
    import gzip

    (image.context / "j.tar").write_text("junk")
    (image.context / "f.gz").write_bytes(gzip.compress(b"no tar"))
    (image.context / "e.tar").write_bytes(b"")
    image.copy("j.tar", "f.gz", "e.tar", to="/x/", unpack=True)
    assert sorted(path.name for path in (image.root / "x").iterdir()) == ["e.tar", "f.gz", "j.tar"]


def test_archive_joins_what_is_there_and_takes_a_given_owner(image: Image) -> None:
    grow(image.root, {"x/t/old": "o", "x/t/in": "before"})
    pack(image.context / "a.tar", "w", simple)
    image.copy("a.tar", to="/x/", unpack=True, uid=1, gid=2)
    assert image.show() == ["x/", "x/t/ 1:2", "x/t/in 't' 640 1:2", "x/t/ln -> in 1:2", "x/t/old 'o'"]


def hostile_parent(archive: tarfile.TarFile) -> None:
    add(archive, "../../up", "h")


def hostile_absolute(archive: tarfile.TarFile) -> None:
    add(archive, "/etc/up", "h")


def hostile_link(archive: tarfile.TarFile) -> None:
    add(archive, "l", type=tarfile.SYMTYPE, linkname="../../../outside")
    add(archive, "l/up", "h")


def hostile_absolute_link(archive: tarfile.TarFile) -> None:
    add(archive, "l", type=tarfile.SYMTYPE, linkname="/")
    add(archive, "l/up", "h")


def hostile_hard_link(archive: tarfile.TarFile) -> None:
    add(archive, "h", type=tarfile.LNKTYPE, linkname="../../../outside/secret")
    add(archive, "h", "overwritten")


def hostile_whiteout(archive: tarfile.TarFile) -> None:
    add(archive, ".wh.secret")


HOSTILE = [
    hostile_parent,
    hostile_absolute,
    hostile_link,
    hostile_absolute_link,
    hostile_hard_link,
    hostile_whiteout,
]


@pytest.mark.parametrize("fill", HOSTILE, ids=[fill.__name__ for fill in HOSTILE])
def test_hostile_archive_never_leaves_its_folder(
    image: Image, tmp_path: Path, fill: Callable[[tarfile.TarFile], None]
) -> None:
    outside = grow(tmp_path / "outside", {"secret": "s"})
    grow(image.root, {"etc/passwd": "root", "a/b": None})
    pack(image.context / "a.tar", "w", fill)
    with contextlib.suppress(UserError):  # refused, or done inside of its folder: either is fine
        image.copy("a.tar", to="/a/b", unpack=True)
    assert show(outside) == ["secret 's'"]
    beside = [line for line in image.show() if not line.startswith("a/b/")]
    assert beside == ["a/", "etc/", "etc/passwd 'root'"]
