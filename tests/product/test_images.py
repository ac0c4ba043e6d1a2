"""The verbs about images, as a person uses them, with the real command and a real daemon."""

from __future__ import annotations

import gzip
import json
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.product.fixtures import fresh_product, import_images
from tests.product.instance import Product


@pytest.fixture(scope="module")
def images(kubectl_binary: Path, root_tar: Path) -> Iterator[Product]:
    with fresh_product(kubectl_binary) as one:
        one.up()
        import_images(one, root_tar)
        yield one


def test_save_and_load_go_through_files_pipes_and_packers(images: Product, tmp_path: Path) -> None:
    archive = tmp_path / "all.tar"
    images.pinnace("save", "-o", str(archive), "my-model", "tiny:v1")
    with tarfile.open(archive) as tar:
        entries = json.load(tar.extractfile("manifest.json") or archive.open("rb"))
    assert [entry["RepoTags"] for entry in entries] == [["my-model:v1"], ["my-model:v2"], ["tiny:v1"]]
    before = images.pinnace("images", "-q", "--no-trunc")
    images.pinnace("image", "rm", "my-model:v2")
    loaded = "Loaded image: my-model:v1\nLoaded image: my-model:v2\nLoaded image: tiny:v1\n"
    assert images.pinnace("load", "-i", str(archive)) == loaded
    assert images.pinnace("load", stdin=archive.read_bytes()) == loaded
    packed = tmp_path / "all.tar.gz"
    packed.write_bytes(gzip.compress(archive.read_bytes(), 1))
    assert images.pinnace("image", "load", "-q", "--input", str(packed)) == loaded
    assert sorted(images.pinnace("images", "-q", "--no-trunc").split()) == sorted(before.split())
    assert images.pinnace("run", "--rm", "my-model:v2", "sh", "-c", "echo $VERSION") == "2\n"


def test_a_save_that_fails_leaves_no_file(images: Product, tmp_path: Path) -> None:
    done = images.try_pinnace("save", "-o", str(tmp_path / "x.tar"), "tiny:v1", "nothing")
    assert (done.returncode, list(tmp_path.iterdir())) == (1, [])
    assert "No such image: nothing:latest" in done.stderr
    done = images.try_pinnace("save", "-o", str(tmp_path / "no/x.tar"), "tiny:v1")
    assert f'directory "{tmp_path}/no" does not exist' in done.stderr
    done = images.try_pinnace("save", "--platform", "linux/s390x", "-o", str(tmp_path / "x.tar"), "tiny:v1")
    assert "does not provide the specified platform (linux/s390x)" in done.stderr


def test_what_is_no_image_archive_is_refused(images: Product, root_tar: Path, tmp_path: Path) -> None:
    done = images.try_pinnace("load", "-i", str(root_tar))
    assert done.returncode == 1
    assert "neither manifest.json nor index.json" in done.stderr and "pinnace import" in done.stderr
    done = images.try_pinnace("load", stdin=b"nothing like it" * 100)
    assert (done.returncode, "damaged header" in done.stderr) == (1, True)
    cut = tmp_path / "cut.tar"
    images.pinnace("save", "-o", str(cut), "tiny:v1")
    os.truncate(cut, cut.stat().st_size // 2)
    assert images.try_pinnace("load", "-i", str(cut)).returncode == 1
    assert images.try_pinnace("load", "-i", str(tmp_path / "nowhere")).returncode == 1


def test_a_container_is_exported_and_committed(images: Product, tmp_path: Path) -> None:
    images.pinnace("run", "--name", "made", "tiny:v1", "sh", "-c", "echo hi > /made; rm /www/index.html")
    images.pinnace("export", "made", "-o", str(tmp_path / "root.tar"))
    with tarfile.open(tmp_path / "root.tar") as tar:
        names = tar.getnames()
        made = tar.extractfile("made")
        assert made is not None and made.read() == b"hi\n"
    assert "bin/busybox" in names and "www/index.html" not in names
    images.pinnace("import", str(tmp_path / "root.tar"), "exported:v1")
    assert images.pinnace("run", "--rm", "exported:v1", "cat", "/made") == "hi\n"
    image_id = images.pinnace(
        "commit", "-m", "by hand", "-a", "me", "-c", 'CMD ["cat","/made"]', "made", "kept:v1"
    )
    assert images.pinnace("run", "--rm", "kept:v1") == "hi\n"
    document = json.loads(images.pinnace("inspect", "kept:v1"))[0]
    assert (document["Id"], document["Author"], document["Comment"]) == (image_id.strip(), "me", "by hand")
    rows = images.pinnace(
        "history", "--format", "{{.CreatedBy}}|{{.Size}}|{{.Comment}}", "kept:v1"
    ).splitlines()
    assert rows[0] == "sh -c echo hi > /made; rm /www/index.html|3B|by hand"
    layers = document["RootFS"]["Layers"]
    images.pinnace("save", "-o", str(tmp_path / "kept.tar"), "kept:v1")
    with tarfile.open(tmp_path / "kept.tar") as tar:
        layer = tar.extractfile("blobs/sha256/" + layers[-1].removeprefix("sha256:"))
        with tarfile.open(fileobj=layer) as changes:
            assert changes.getnames() == ["made", "www", "www/.wh.index.html"]
    images.pinnace("rm", "made")


def test_files_are_taken_out_of_an_image_by_way_of_a_container_that_never_runs(
    images: Product, tmp_path: Path
) -> None:
    images.pinnace("create", "--name", "never", "tiny:v1", "sh", "-c", "echo ran")
    images.pinnace("export", "never", "-o", str(tmp_path / "root.tar"))
    with tarfile.open(tmp_path / "root.tar") as tar:
        assert "bin/busybox" in tar.getnames()
    images.pinnace("commit", "never", "asmade:v1")
    assert images.pinnace("run", "--rm", "asmade:v1") == "ran\n"
    assert images.pinnace("start", "-a", "never") == "ran\n"
    images.pinnace("rm", "never")


def test_images_and_inspect_have_dockers_forms(images: Product) -> None:
    rows = images.pinnace("images", "--format", "{{.Repository}}:{{.Tag}}", "-f", "reference=my-*").split()
    assert sorted(rows) == ["my-model:v1", "my-model:v2"]
    assert images.pinnace("image", "ls", "tiny").splitlines()[0].split() == [
        *("REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE")
    ]
    assert images.pinnace("images", "--digests", "tiny").split()[2] == "DIGEST"
    assert images.pinnace("inspect", "-f", "{{json .Config.Env}}", "my-model:v2") == '["VERSION=2"]\n'
    done = images.try_pinnace("image", "inspect", "-f", "{{.Os}}", "nothing", "tiny:v1")
    assert (done.returncode, done.stdout) == (1, "linux\n")
    assert "No such image: nothing:latest" in done.stderr


def test_images_without_names_are_pruned_and_rmi_goes_on_after_a_failure(
    images: Product, root_tar: Path
) -> None:
    images.pinnace("import", str(root_tar), "again:v1", "-c", "LABEL n=1")
    images.pinnace("import", str(root_tar), "again:v1", "-c", "LABEL n=2")
    lost = images.pinnace("images", "-q", "--no-trunc", "-f", "dangling=true").strip()
    assert images.pinnace("image", "prune", stdin=b"n\n").startswith("WARNING! This will remove all dangling")
    said = images.pinnace("image", "prune", "-f")
    assert f"deleted: {lost}\n" in said and said.endswith("Total reclaimed space: 0B\n") is False
    assert images.pinnace("images", "-q", "-f", "dangling=true") == ""
    done = images.try_pinnace("rmi", "nothing", "again:v1")
    assert (done.returncode, "Untagged: again:v1\n" in done.stdout) == (1, True)
    assert images.try_pinnace("rmi", "-f", "nothing").returncode == 0


def test_the_disks_users_are_shown_and_unused_things_go(images: Product) -> None:
    for one in images.pinnace("ps", "-aq").split():
        images.pinnace("rm", "-f", one)
    images.pinnace(
        "run", "--name", "ended", "-v", "/data", "tiny:v1", "sh", "-c", "echo 12345 > /f; echo 1 > /data/f"
    )
    lines = images.pinnace("system", "df").splitlines()
    assert [line.split("   ")[0].strip() for line in lines] == [
        *("TYPE", "Images", "Containers", "Local Volumes", "Build Cache")
    ]
    shown = images.pinnace(
        "system", "df", "--format", "{{.Type}} {{.TotalCount}} {{.Active}} {{.Size}}"
    ).splitlines()
    assert shown[1:3] == ["Containers 1 0 6B", "Local Volumes 1 1 2B"]
    assert "ended" in images.pinnace("system", "df", "-v")
    said = images.pinnace("system", "prune", "-f", "--volumes")
    assert "Deleted Containers:" in said and "Total reclaimed space:" in said
    assert images.pinnace("ps", "-aq") == ""
