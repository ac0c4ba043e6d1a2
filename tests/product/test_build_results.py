"""What `pinnace build` writes for the person who runs it, and the build cache as it is shown and pruned."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.host.registries import PASSWORD, USER, RealRegistry, needs_registry, needs_skopeo, real_registry
from tests.product.fixtures import find_errors
from tests.product.instance import PINNACE, Product

TEXT = """
FROM tiny:v1 AS made
COPY f /out/f
RUN echo ran > /out/ran; ln -s /etc /out/link
FROM scratch
COPY --from=made /out /
"""


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    folder.mkdir()
    (folder / "f").write_text(f"{tmp_path}\n")  # so that no other test has done the same
    (folder / "Dockerfile").write_text(TEXT)
    return folder


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRegistry]:
    with real_registry(tmp_path_factory.mktemp("registry"), auth="basic") as one:
        yield one


def test_folder_gets_the_files_and_keeps_its_own(product: Product, context: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine").write_text("mine")
    (out / "f").write_text("old")
    done = product.try_pinnace("build", "-o", str(out), str(context))
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert sorted(os.listdir(out)) == ["f", "link", "mine", "ran"]
    assert ((out / "f").read_text(), (out / "mine").read_text()) == (f"{tmp_path}\n", "mine")
    assert os.readlink(out / "link") == "/etc"
    assert [path for path in tmp_path.rglob("*pinnace*") if path.is_file()] == []


def test_archive_goes_to_standard_output_and_nothing_else_does(product: Product, context: Path) -> None:
    words = [*PINNACE, "build", "-o", "-", str(context)]
    done = subprocess.run(words, env=product.env, capture_output=True, check=True, timeout=60)
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        assert sorted(archive.getnames()) == ["f", "link", "ran"]
    assert b"(not kept as an image)" in done.stderr
    assert product.try_pinnace("build", "-q", "-o", "-", str(context)).returncode == 1


@pytest.mark.parametrize("how", ["reader goes", "command is killed"])
def test_archive_that_nobody_reads_to_its_end_ends_the_build(
    product: Product, context: Path, how: str
) -> None:
    (context / "Dockerfile").write_text("FROM tiny:v1\nRUN head -c 20000000 /dev/zero > /zeros\n")
    product.pinnace("build", str(context))
    before = len(find_errors(product.log))
    words = [*PINNACE, "build", "-o", "-", str(context)]
    with subprocess.Popen(words, env=product.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.read(1000)
        if how == "reader goes":
            process.stdout.close()
        else:
            process.kill()
        error = process.stderr.read()
        process.wait(20)
    assert b"Traceback" not in error
    assert process.returncode != 0
    mounts = Path("/proc/self/mountinfo").read_text
    end = time.monotonic() + 10
    while f"{product.settings.home_path}/images/rootfs/build-" in mounts() and time.monotonic() < end:
        time.sleep(0.05)
    assert f"{product.settings.home_path}/images/rootfs/build-" not in mounts()
    assert find_errors(product.log)[before:] == []


def test_layout_in_a_folder_is_one_that_skopeo_reads(product: Product, context: Path, tmp_path: Path) -> None:
    out = tmp_path / "layout"
    product.pinnace("build", "-o", f"type=oci,dest={out},tar=false", str(context))
    words = ["skopeo", "inspect", "--config", f"oci:{out}"]
    try:
        found = subprocess.run(words, capture_output=True, check=True, timeout=60)
    except FileNotFoundError:
        pytest.skip("skopeo is not installed")
    assert len(json.loads(found.stdout)["rootfs"]["diff_ids"]) == 1


def test_files_about_the_image_are_written_and_a_failed_build_leaves_none(
    product: Product, context: Path, tmp_path: Path
) -> None:
    iid, metadata = tmp_path / "iid", tmp_path / "metadata.json"
    flags = ("--iidfile", str(iid), "--metadata-file", str(metadata))
    image = product.pinnace("build", "-q", *flags, "-t", "about:v1", str(context)).strip()
    assert iid.read_text() == image
    assert json.loads(metadata.read_text()) == {
        "containerimage.config.digest": image,
        "containerimage.digest": image,
        "image.name": "about:v1",
    }
    (context / "Dockerfile").write_text("FROM tiny:v1\nRUN false\n")
    assert product.try_pinnace("build", "--iidfile", str(iid), str(context)).returncode == 1
    assert not iid.exists()


def test_output_that_can_not_be_written_ends_the_build_with_its_reason(
    product: Product, context: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    done = product.try_pinnace("build", "-o", str(tmp_path / "file" / "out"), str(context))
    assert done.returncode == 1
    assert "Not a directory" in done.stderr
    done = product.try_pinnace("build", "--platform", "linux/amd64,linux/arm64", str(context))
    assert done.returncode == 1
    assert "one build makes one image, not 2" in done.stderr


@needs_registry
@needs_skopeo
def test_push_uses_the_persons_login_and_tells_the_digest(
    product: Product, registry: RealRegistry, context: Path, tmp_path: Path
) -> None:
    env = {"DOCKER_CONFIG": str(tmp_path / "docker")}
    name, metadata = registry.reference("team/pushed:v1"), tmp_path / "metadata.json"
    done = product.try_pinnace("build", "--push", "-t", name, str(context), env=env)
    assert done.returncode != 0
    assert "login" in done.stderr
    product.pinnace("login", "-u", USER, "--password-stdin", registry.host, stdin=PASSWORD.encode(), env=env)
    product.pinnace("build", "--push", "--metadata-file", str(metadata), "-t", name, str(context), env=env)
    digest = json.loads(metadata.read_text())["containerimage.digest"]
    assert registry.inspect("team/pushed:v1")["Digest"] == digest
    (context / "Dockerfile").write_text(f"FROM {name}\nLABEL a=b\n")
    product.pinnace("rmi", name)
    product.pinnace("build", "-t", "on-pushed:v1", str(context), env=env)


def test_epoch_of_the_environment_makes_builds_the_same(product: Product, context: Path) -> None:
    env = {"SOURCE_DATE_EPOCH": "1700000000"}
    first, second = (product.pinnace("build", "-q", "--no-cache", str(context), env=env) for _ in range(2))
    assert first == second
    assert product.pinnace("build", "-q", "--no-cache", str(context)) != first
    done = product.try_pinnace("build", str(context), env={"SOURCE_DATE_EPOCH": "soon"})
    assert (done.returncode, "invalid SOURCE_DATE_EPOCH" in done.stderr) == (1, True)


def test_cache_goes_to_a_folder_and_back_after_everything_was_pruned(
    product: Product, context: Path, tmp_path: Path
) -> None:
    place = tmp_path / "cache"
    first = product.pinnace("build", "-q", "--cache-to", f"type=local,dest={place},mode=max", str(context))
    product.pinnace("rmi", first.strip())
    product.pinnace("builder", "prune", "-a", "-f")
    assert "RUN echo ran" not in product.pinnace("builder", "du")
    done = product.try_pinnace("build", "--cache-from", f"type=local,src={place}", str(context))
    assert "3 of 3 steps cached" in done.stderr
    second = product.pinnace("build", "-q", str(context))
    assert second == first


def test_cache_is_shown_and_forgotten_by_age_and_size(product: Product, context: Path) -> None:
    product.pinnace("builder", "prune", "-a", "-f")
    product.pinnace("build", "-q", "-t", "kept:v1", str(context))
    shown = product.pinnace("builder", "du")
    assert "RUN echo ran > /out/ran" in shown
    rows = [json.loads(line) for line in product.pinnace("builder", "du", "--format", "json").splitlines()]
    assert len(rows) == 3
    assert sum(row["shared"] for row in rows) == 1  # the layer of the image
    assert "Forgot 0 " in product.pinnace("builder", "prune", "-f", "--filter", "until=1h")
    assert "Forgot 0 " in product.pinnace("builder", "prune", "-f", "--max-used-space", "1GB")
    assert "Forgot 2 " in product.pinnace("builder", "prune", "-f")
    assert "Forgot 1 " in product.pinnace("builder", "prune", "-f", "-a")
    assert product.try_pinnace("builder", "prune").stdout.endswith("[y/N] ")
