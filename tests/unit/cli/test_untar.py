"""Unpacking into a person's folder: what it makes, and what hostile or odd archives can't do."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pinnace.base.errors import HostError, UserError
from pinnace.cli.untar import Pieces, unpack

Entry = tuple[str, bytes, dict[str, object]]


def tar(*entries: Entry) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, data, fields in entries:
            info = tarfile.TarInfo(name)
            info.size, info.mtime, info.uid, info.gid = len(data), 1000, 4242, 4242
            for key, value in fields.items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(data))
    return target.getvalue()


def folder(name: str, mode: int = 0o755) -> Entry:
    return name, b"", {"type": tarfile.DIRTYPE, "mode": mode}


def file(name: str, text: str = "new", mode: int = 0o644) -> Entry:
    return name, text.encode(), {"mode": mode}


def symlink(name: str, to: str) -> Entry:
    return name, b"", {"type": tarfile.SYMTYPE, "linkname": to}


def link(name: str, to: str) -> Entry:
    return name, b"", {"type": tarfile.LNKTYPE, "linkname": to}


def pieces(data: bytes, size: int = 700) -> Iterator[bytes]:
    return iter([data[start : start + size] for start in range(0, len(data), size)])


def put(target: Path, *entries: Entry) -> int:
    return unpack(pieces(tar(*entries)), str(target))


def test_files_come_with_modes_and_times_and_belong_to_whoever_asks(tmp_path: Path) -> None:
    target = tmp_path / "a" / "out"
    put(target, folder("d/", 0o555), file("d/f", "text", 0o751), symlink("d/l", "f"), link("d/h", "d/f"))
    state = (target / "d/f").stat()
    assert (target / "d/l").read_text() == "text"
    assert (stat.S_IMODE(state.st_mode), state.st_mtime, state.st_nlink) == (0o751, 1000, 2)
    assert (state.st_uid, state.st_gid) == (os.geteuid(), os.getegid())
    assert stat.S_IMODE((target / "d").stat().st_mode) == 0o555
    assert (target / "d").stat().st_mtime == 1000
    assert [name for name in os.listdir(target / "d") if "pinnace" in name] == []


def test_what_is_there_stays_and_what_has_the_same_name_gives_way(tmp_path: Path) -> None:
    (tmp_path / "keep").write_text("mine")
    (tmp_path / "f").write_text("old")
    (tmp_path / "was-folder" / "deep").mkdir(parents=True)
    (tmp_path / "was-folder" / "deep" / "x").write_text("x")
    (tmp_path / "was-file").write_text("x")
    put(tmp_path, file("f"), file("was-folder"), folder("was-file/"), file("was-file/in"))
    assert (tmp_path / "keep").read_text() == "mine"
    assert (tmp_path / "f").read_text() == "new"
    assert (tmp_path / "was-folder").read_text() == "new"
    assert (tmp_path / "was-file/in").read_text() == "new"


@pytest.mark.parametrize("how", ["link in the folder", "link in the archive", "hard link through a link"])
def test_nothing_is_written_through_a_link(tmp_path: Path, how: str) -> None:
    outside, target = tmp_path / "outside", tmp_path / "out"
    outside.mkdir()
    target.mkdir()
    (outside / "secret").write_text("secret")
    if how == "link in the folder":
        (target / "d").symlink_to(outside)
        (target / "f").symlink_to(outside / "secret")
        put(target, file("d/x"), file("f"))
        assert (target / "d").is_dir() and not (target / "d").is_symlink()
    elif how == "link in the archive":
        put(target, symlink("d", str(outside)), file("d/x"))
    else:
        with pytest.raises(UserError):
            put(target, symlink("d", str(outside)), link("h", "d/secret"), file("h"))
    assert sorted(os.listdir(outside)) == ["secret"]
    assert (outside / "secret").read_text() == "secret"


def test_names_that_lead_out_are_refused_and_absolute_ones_are_inside(tmp_path: Path) -> None:
    with pytest.raises(HostError, match=r"'\.\.'"):
        put(tmp_path / "out", file("../x"))
    put(tmp_path / "out", file("/etc/x"))
    assert (tmp_path / "out/etc/x").read_text() == "new"
    assert not (tmp_path / "x").exists()


def test_devices_are_left_out_and_counted(tmp_path: Path) -> None:
    device: Entry = ("null", b"", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3})
    assert put(tmp_path, device, file("f")) == 1
    assert os.listdir(tmp_path) == ["f"]


def test_damaged_stream_and_a_folder_that_is_a_file_are_told(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="damaged"):
        unpack(pieces(tar(file("f", "x" * 5000))[:2000]), str(tmp_path / "a"))
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file"):
        put(tmp_path / "file", file("f"))


def test_pieces_of_any_size_are_read_as_one_file() -> None:
    data = bytes(range(256)) * 9
    reader = Pieces(pieces(data, 7))
    assert reader.read(5) + reader.read(1000) + reader.read(10_000) == data
    assert reader.read(1) == b""
