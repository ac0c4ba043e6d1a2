"""What layers weigh: kinds of files, what stays behind, what is there in vain."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pinnace.build import weigh
from pinnace.build.kinds_of_files import kind_of, waste_of
from pinnace.build.weigh import Found, StageFacts, WeighedLayer, WeighJob, WeightFacts, weigh_stages

MB = 1 << 20


def layer(root: Path, files: dict[str, int | bytes], *, base: bool = False) -> WeighedLayer:
    """Make a layer's tree; a size of -1 is a deletion."""
    for path, content in files.items():
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if content == -1:
            os.mknod(place, 0o20600, os.makedev(0, 0))
        elif isinstance(content, bytes):
            place.write_bytes(content)
        else:
            place.touch()
            os.truncate(place, content)
    root.mkdir(parents=True, exist_ok=True)
    return WeighedLayer(tree=str(root), text=root.name, is_base=base)


def weighed(*stages: tuple[str, tuple[WeighedLayer, ...]]) -> WeightFacts:
    return weigh_stages(WeighJob(stages=stages), lambda what, entries, size: None)


def test_what_stays_behind_is_what_the_stage_shows_and_the_image_has_not(tmp_path: Path) -> None:
    base = layer(tmp_path / "base", {"bin/sh": 10, "usr/lib/gcc/cc1": 7}, base=True)
    tools = layer(tmp_path / "tools", {"usr/lib/gcc/x/cc1": 100, "usr/include/a.h": 20, "bin/sh": 11})
    venv = layer(tmp_path / "venv", {"venv/site-packages/x": 50})
    facts = weighed(("build", (base, tools, venv)), ("run", (base, venv)))
    expected = {"compilers": 100, "headers and static libraries": 20, "programs": 11}
    assert facts.stages == (StageFacts(name="build", left=expected),)
    assert facts.kinds == {"programs": 10, "compilers": 7, "Python packages": 50}
    assert facts.files[0] == ("venv/site-packages/x", 50, 1)


@pytest.mark.skipif(os.geteuid() != 0, reason="overlayfs' deletions are devices, which only root can make")
def test_what_upper_layers_delete_and_write_again_still_weighs(tmp_path: Path) -> None:
    one = layer(tmp_path / "1", {"a/x": 30, "a/y": 5, "b": 7, "c": 1}, base=True)
    two = layer(tmp_path / "2", {"a": -1, "b": 8})
    three = layer(tmp_path / "3", {"b": -1})
    found = weighed(("image", (one, two, three))).found
    assert set(found) == {
        Found(layer=0, kind="removed", what="removed", size=35, other=1),
        Found(layer=0, kind="replaced", what="replaced", size=7, other=1),
        Found(layer=1, kind="removed", what="removed", size=8, other=2),
    }


def test_caches_are_told_for_own_layers_and_not_for_those_of_the_base(tmp_path: Path) -> None:
    files = {"var/lib/apt/lists/a": 5, "var/lib/apt/lists/b": 6, "root/.cache/pip/http/c": 7}
    base, own = layer(tmp_path / "base", files, base=True), layer(tmp_path / "own", files)
    found = [one for one in weighed(("image", (base, own))).found if one.kind == "waste"]
    assert [(one.layer, one.what, one.size) for one in found] == [
        (1, "apt's package lists", 11),
        (1, "pip's cache", 7),
    ]
    assert "rm -rf /var/lib/apt/lists" in found[0].remedy


def test_large_file_that_is_in_two_layers_is_told(tmp_path: Path) -> None:
    one = layer(tmp_path / "1", {"a/model.bin": b"x" * 2 * MB, "other.bin": b"x" * 2 * MB})
    two = layer(tmp_path / "2", {"b/model.bin": b"x" * 2 * MB, "c/other.bin": b"y" * 2 * MB})
    found = weighed(("image", (one, two))).found
    assert [(f.kind, f.what, f.size, f.layer, f.other) for f in found] == [
        ("alike", "/b/model.bin is /a/model.bin", 2 * MB, 1, 0)
    ]


def test_hard_links_weigh_once_and_what_cannot_be_read_nothing(tmp_path: Path) -> None:
    one = layer(tmp_path / "1", {"a": 9})
    os.link(tmp_path / "1" / "a", tmp_path / "1" / "b")
    away = WeighedLayer(tree="", text="in a registry", is_base=True)
    gone = WeighedLayer(tree=str(tmp_path / "gone"), text="", is_base=False)
    assert sum(weighed(("image", (away, one, gone))).kinds.values()) == 9


def test_very_many_files_are_not_all_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weigh, "ENTRIES_MAX", 10)
    facts = weighed(("image", (layer(tmp_path / "1", {str(n): 1 for n in range(20)}),)))
    assert facts.is_partial
    assert sum(facts.kinds.values()) == 10


def test_folders_are_named_where_the_weight_is(tmp_path: Path) -> None:
    one = layer(tmp_path / "1", {"usr/lib/a/x": 100, "usr/lib/a/y": 100, "usr/lib/b/z": 90, "opt/q": 3})
    assert weighed(("image", (one,))).folders == (
        ("usr/lib", 290),
        ("usr/lib/a", 200),
        ("usr/lib/b", 90),
        ("opt", 3),
    )


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("usr/lib/gcc/x86_64-linux-gnu/12/cc1plus", "compilers"),
        ("usr/bin/x86_64-linux-gnu-g++-12", "compilers"),
        ("usr/local/go/pkg/tool/compile", "compilers"),
        ("usr/libexec/gcc/x86_64-linux-gnu/13/lto1", "compilers"),
        ("usr/local/cuda-12.4/lib64/libcublas.so", "CUDA"),
        ("usr/include/stdio.h", "headers and static libraries"),
        ("usr/lib/x86_64-linux-gnu/libc.a", "headers and static libraries"),
        ("usr/local/lib/python3.12/site-packages/numpy/core.so", "Python packages"),
        ("app/node_modules/x/index.js", "node_modules"),
        ("root/.cache/pip/http/a", "package caches"),
        ("models/llama/model.safetensors", "models and data"),
        ("usr/share/doc/x/README", "documentation and translations"),
        ("usr/lib/x86_64-linux-gnu/libssl.so.3", "shared libraries"),
        ("app/.git/objects/ab/cd", "version control"),
        ("usr/bin/ls", "programs"),
        ("etc/passwd", "other files"),
        ("usr/bin/last", "programs"),
    ],
)
def test_kind_of_a_file(path: str, kind: str) -> None:
    assert kind_of(path) == kind


def test_files_that_every_image_has_are_no_waste() -> None:
    assert [waste_of(path) for path in ("var/lib/apt/lists", "tmp", "root/.cache", "app/x.py")] == [None] * 4
