"""Platforms. Source of expected values: containerd platforms (normalisation table); a binfmt file as Debian's qemu-user has it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pinnace.base.errors import UserError
from pinnace.build.emulation import check_runnable
from pinnace.build.platforms import (
    Platform,
    fits,
    is_emulated,
    needs_emulation,
    parse_build_platform,
    parse_platform,
)

# Source: /proc/sys/fs/binfmt_misc/qemu-aarch64 with qemu-user-static 7.2
QEMU_AARCH64 = """enabled
interpreter /usr/libexec/qemu-binfmt/aarch64-binfmt-P
flags: POCF
offset 0
magic 7f454c460201010000000000000000000200b700
mask ffffffffffffff00fffffffffffffffffeffffff
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("linux/amd64", "linux/amd64"),
        ("amd64", "linux/amd64"),
        ("x86_64", "linux/amd64"),
        ("linux/aarch64", "linux/arm64"),
        ("linux/arm64/v8", "linux/arm64"),
        ("linux/arm", "linux/arm/v7"),
        ("linux/arm/6", "linux/arm/v6"),
        ("armhf", "linux/arm/v7"),
        ("linux/amd64/v3", "linux/amd64/v3"),
        ("linux", "linux/riscv64"),
        ("local", "linux/riscv64"),
    ],
)
def test_names_of_one_platform_mean_the_same(text: str, expected: str) -> None:
    assert str(parse_platform(text, "riscv64")) == expected


@pytest.mark.parametrize("text", ["", "a/b/c/d", "linux/", "li nux/x", "windows/amd64"])
def test_what_is_no_platform_of_ours_is_refused(text: str) -> None:
    with pytest.raises(UserError):
        parse_platform(text, "amd64")


def test_one_build_has_one_platform() -> None:
    assert parse_build_platform((), "arm64") == Platform("linux", "arm64")
    assert parse_build_platform(("amd64,linux/x86_64",), "arm64") == Platform("linux", "amd64")
    with pytest.raises(UserError, match="one build makes one image, not 2"):
        parse_build_platform(("linux/amd64,linux/arm64",), "arm64")


def test_image_fits_when_it_says_nothing_else() -> None:
    arm = Platform("linux", "arm", "v7")
    assert fits(Platform("linux", ""), arm)
    assert fits(Platform("linux", "arm"), arm)
    assert not fits(Platform("linux", "arm", "v6"), arm)
    assert not fits(Platform("linux", "arm64"), arm)


def test_kernel_runs_what_a_handler_takes() -> None:
    arm64 = Platform("linux", "arm64")
    assert needs_emulation(arm64, "amd64")
    assert not needs_emulation(Platform("linux", "386"), "amd64")
    assert is_emulated(arm64, [QEMU_AARCH64])
    assert not is_emulated(arm64, [QEMU_AARCH64.replace("enabled", "disabled")])
    assert not is_emulated(Platform("linux", "s390x"), [QEMU_AARCH64, "enabled\nextension .py\n"])


def test_machine_is_asked_for_its_handlers(tmp_path: Path) -> None:
    check_runnable("linux/amd64", "amd64", tmp_path)
    check_runnable("linux/386", "amd64", tmp_path / "not mounted")
    with pytest.raises(UserError, match="commands of linux/arm64 can't run on this machine"):
        check_runnable("linux/arm64", "amd64", tmp_path / "not mounted")
    (tmp_path / "register").write_bytes(b"\xff")
    (tmp_path / "qemu-aarch64").write_text(QEMU_AARCH64)
    check_runnable("linux/arm64", "amd64", tmp_path)
