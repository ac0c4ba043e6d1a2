"""Faults in image work: a disk that fills, clients and daemons that are killed at every step, everything at once.

Each ends in a clear error or a finished job, and leaves no half image, layer, mount, cgroup, network or process.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.host.lying_registry import ALWAYS, Lie, LyingRegistry, lying_registry
from tests.host.registries import make_image, tar_of
from tests.product.fixtures import fresh_product
from tests.product.image_faults import Client, Traces, at_rest, client, look, until_clean
from tests.product.instance import Product

MIB = 1 << 20
DISK_MIB = 64
FULL = "[Nn]o space (is )?left|disk has only"
FILES = 1500


def write_context(folder: Path, dockerfile: str, files: dict[str, bytes] | None = None) -> Path:
    """Make a build context."""
    folder.mkdir(exist_ok=True)
    (folder / "Dockerfile").write_text(dockerfile)
    for name, data in (files or {}).items():
        (folder / name).write_bytes(data)
    return folder


# --- a disk that fills --------------------------------------------------------------------------------------------------


@pytest.fixture
def small(make_product: Callable[[], Product], root_tar: Path) -> Iterator[Product]:
    """An instance whose home is a small file system."""
    own = make_product()
    own.host.home.mkdir(parents=True)
    size = f"size={DISK_MIB}M"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(own.host.home)], check=True)
    try:
        own.up()
        own.pinnace("import", str(root_tar), "tiny:v1")
        yield own
        own.try_pinnace("down", "--wipe")
    finally:
        subprocess.run(["umount", "-l", str(own.host.home)], check=True)


FILLING = {
    "RUN": ("FROM tiny:v1\nRUN dd if=/dev/zero of=/big bs=1M count=200", "Dockerfile:2"),
    "COPY": ("FROM tiny:v1\nCOPY big /big", "Dockerfile:2"),
    "ADD of an archive": ("FROM tiny:v1\nADD big.tar /big/", "Dockerfile:2"),
}


@pytest.mark.parametrize("kind", FILLING)
def test_a_disk_that_fills_in_a_build(small: Product, tmp_path: Path, kind: str) -> None:
    dockerfile, place = FILLING[kind]
    context = write_context(tmp_path / "context", dockerfile, {"big": os.urandom(100 * MIB)})
    with tarfile.open(context / "big.tar", "w") as tar:
        tar.add(context / "big", "big")
    before = at_rest(small)
    done = small.try_pinnace("build", "-t", "full:v1", str(context))
    assert done.returncode in (1, 2) and "Traceback" not in done.stderr, done.stderr
    assert re.search(FULL, done.stderr) and place in done.stderr, done.stderr
    until_clean(small, before)
    # and with room again, all goes on
    write_context(context, "FROM tiny:v1\nRUN echo fine > /fine")
    small.pinnace("build", "-t", "fits:v1", str(context))
    assert small.pinnace("run", "--rm", "fits:v1", "cat", "/fine") == "fine\n"


def test_a_disk_that_fills_in_a_pull(small: Product) -> None:
    with lying_registry() as registry:
        layers = [tar_of({"big": os.urandom(100 * MIB)}), tar_of({"small": b"1"})]
        registry.put_image("team/big", "v1", make_image(layers))
        registry.put_image("team/small", "v1", make_image(layers[1:]))
        before = at_rest(small)
        done = small.try_pinnace("pull", registry.reference("team/big:v1"))
        assert done.returncode in (1, 2) and "Traceback" not in done.stderr, done.stderr
        assert re.search(FULL, done.stderr), done.stderr
        until_clean(small, before, but_whole_layers=True)
        small.pinnace("pull", registry.reference("team/small:v1"))
        small.pinnace("rmi", registry.reference("team/small:v1"))
        until_clean(small, before)


def test_a_disk_that_fills_in_a_load(small: Product, root_tar: Path, tmp_path: Path) -> None:
    big = tmp_path / "big.tar"
    with tarfile.open(big, "w") as tar:
        (tmp_path / "data").write_bytes(os.urandom(100 * MIB))
        tar.add(tmp_path / "data", "data")
    before = at_rest(small)
    done = small.try_pinnace("import", str(big), "big:v1")
    assert done.returncode in (1, 2) and "Traceback" not in done.stderr, done.stderr
    assert re.search(FULL, done.stderr), done.stderr
    until_clean(small, before)


def test_a_disk_that_fills_while_a_step_becomes_a_layer(small: Product, tmp_path: Path) -> None:
    context = write_context(
        tmp_path / "context", "FROM tiny:v1\nRUN echo made; sleep 0.5; seq 9999 > /n; true"
    )
    before = at_rest(small)
    ended = threading.Event()
    filler = small.host.home / "filler"

    def fill() -> None:
        with filler.open("wb", buffering=0) as file:
            size = MIB
            while not ended.is_set():
                try:
                    while file.write(b"x" * size):
                        pass
                except OSError:
                    size = 4096  # and whatever is given back is taken at once
                    time.sleep(0.0005)

    thread = threading.Thread(target=fill)
    with client(small, "build", "-t", "full:v1", "--progress", "plain", str(context)) as one:
        one.wait_for("made\n")
        thread.start()
        code, said = one.end()
    ended.set()
    thread.join()
    filler.unlink()
    assert code in (1, 2) and "Traceback" not in said, said
    assert re.search(FULL, said) and "Dockerfile:2" in said, said
    until_clean(small, before)


# --- killed at every kind of step -----------------------------------------------------------------------------------------


@dataclass
class World:
    """An instance with a base image, a registry that stalls when it is told to, a server that never answers."""

    product: Product
    registry: LyingRegistry
    silent: socket.socket
    context: Path
    held: list[socket.socket] = field(default_factory=list)


@pytest.fixture(scope="module")
def world(kubectl_binary: Path, root_tar: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    context = tmp_path_factory.mktemp("faults") / "context"
    (context / "many").mkdir(parents=True)
    for number in range(FILES):
        (context / "many" / f"f{number}").write_bytes(b"%d" % number * 500)
    with tarfile.open(context / "many.tar", "w") as tar:
        tar.add(context / "many", "many")
    with (
        lying_registry() as registry,
        socket.create_server(("127.0.0.1", 0)) as silent,
        fresh_product(kubectl_binary) as product,
    ):
        layers = [tar_of({"etc/name": b"app"}), tar_of({"large": os.urandom(4 * MIB)})]
        registry.put_image("team/app", "v1", make_image(layers))
        product.up()
        product.pinnace("import", str(root_tar), "tiny:v1")
        silent.settimeout(30)
        yield World(product, registry, silent, context)


@dataclass(frozen=True)
class Step:
    """What a build is in the middle of when it is killed: the Dockerfile, what is waited for, how much longer."""

    dockerfile: str
    marker: str
    then_s: float = 0.0
    words: tuple[str, ...] = ()
    stalls: bool = False


SILENT = "SILENT"  # the port of the server that never answers; as a marker: that it was called
MANY = "for i in $(seq 800); do echo $i > /srv-$i; done; echo made; true"
STEPS = {
    "RUN": Step("FROM tiny:v1\nRUN echo started; sleep 100", "started\n"),
    "RUN that ignores signals": Step(
        "FROM tiny:v1\nRUN trap '' TERM INT; echo started; sleep 100; sleep 100", "started\n"
    ),
    "RUN without a network": Step("FROM tiny:v1\nRUN --network=none echo started; sleep 100", "started\n"),
    "RUN with mounts": Step(
        "FROM tiny:v1\nRUN --mount=type=cache,target=/c --mount=type=tmpfs,target=/t "
        "--mount=type=bind,target=/b touch /c/x /t/x; echo started; sleep 100",
        "started\n",
    ),
    "commit of a RUN": Step(f"FROM tiny:v1\nRUN {MANY}", "made\n"),
    "two stages at once": Step(
        "FROM tiny:v1 AS a\nRUN echo started a; sleep 100\nFROM tiny:v1 AS b\nRUN sleep 100\n"
        "FROM tiny:v1\nCOPY --from=a / /a\nCOPY --from=b / /b",
        "started a\n",
    ),
    "COPY, read": Step("FROM tiny:v1\nCOPY many /many", "COPY many /many", 0.02),
    "COPY, written": Step("FROM tiny:v1\nCOPY many /many", "COPY many /many", 0.1),
    "COPY of a stage": Step(
        "FROM tiny:v1 AS a\nCOPY many /many\nFROM tiny:v1\nCOPY --from=a /many /other", "COPY --from=a", 0.05
    ),
    "ADD of an archive": Step("FROM tiny:v1\nADD many.tar /many/", "ADD many.tar", 0.1),
    "ADD of a URL": Step(f"FROM tiny:v1\nADD http://127.0.0.1:{SILENT}/file /file", SILENT),
    "FROM of a registry": Step("FROM REGISTRY/team/app:v1\nCOPY many /many", "#1", 0.3, stalls=True),
    "output as a tar": Step(
        "FROM tiny:v1\nCOPY many /many", "COPY many /many", 0.6, words=("--output", "type=tar,dest=OUT")
    ),
}


@dataclass
class Going:
    """A build that goes on."""

    words: tuple[str, ...]
    step: Step


def prepare(world: World, name: str, tmp_path: Path) -> Going:
    """Write the Dockerfile of a step, and make the registry stall if it is to."""
    step = STEPS[name]
    text = step.dockerfile.replace(SILENT, str(world.silent.getsockname()[1])).replace(
        "REGISTRY", world.registry.host
    )
    write_context(world.context, text)
    if step.stalls:
        world.registry.lie(Lie("GET", "/blobs/", stall_after=2000, times=ALWAYS))
    more = tuple(word.replace("OUT", str(tmp_path / "out.tar")) for word in step.words)
    named = () if more else ("-t", "killed:v1")
    return Going(("build", "--progress", "plain", "--no-cache", *named, *more, str(world.context)), step)


def wait_until_in(world: World, step: Step, one: Client) -> None:
    """Wait until the build is in the middle of the step."""
    if step.marker == SILENT:
        world.held.append(world.silent.accept()[0])
    else:
        one.wait_for(step.marker)
    time.sleep(step.then_s)


@pytest.mark.parametrize("name", STEPS)
def test_a_build_whose_client_is_gone_leaves_nothing(world: World, tmp_path: Path, name: str) -> None:
    product = world.product
    before = at_rest(product)
    going = prepare(world, name, tmp_path)
    with client(product, *going.words) as one:
        wait_until_in(world, going.step, one)
        one.cut()
    settle(world, before)


@pytest.mark.parametrize("name", STEPS)
def test_a_build_whose_daemon_is_killed_says_so_and_leaves_nothing(
    world: World, tmp_path: Path, name: str
) -> None:
    product = world.product
    before = at_rest(product)
    going = prepare(world, name, tmp_path)
    with client(product, *going.words) as one:
        wait_until_in(world, going.step, one)
        product.kill_daemon()
        code, said = one.end()
    if code:  # a job that was finished before is as good
        assert "error: " in said and "Traceback" not in said, said
    product.up()
    settle(world, before)
    write_context(world.context, "FROM tiny:v1\nRUN echo fine > /fine\nCOPY many/f1 /\n")
    product.pinnace("build", "-t", "killed:v1", str(world.context))
    assert product.pinnace("run", "--rm", "killed:v1", "cat", "/fine") == "fine\n"
    product.pinnace("rmi", "killed:v1")


def test_a_build_that_is_interrupted_ends_at_once(world: World, tmp_path: Path) -> None:
    before = at_rest(world.product)
    going = prepare(world, "RUN that ignores signals", tmp_path)
    with client(world.product, *going.words) as one:
        one.wait_for(going.step.marker)
        one.cut(signal.SIGINT)
        assert one.process.returncode in (130, -signal.SIGINT)
        assert b"Traceback" not in one.said
    settle(world, before)


def settle(world: World, before: Traces) -> None:
    """Take back what a job that was finished after all made: nothing else may be left then."""
    product = world.product
    world.registry.forget_lies()
    at_rest(product)
    product.try_pinnace("rmi", "-f", "killed:v1", f"{world.registry.host}/team/app:v1")
    product.pinnace("image", "prune", "-f")
    until_clean(product, before)


# --- pulls and pushes -------------------------------------------------------------------------------------------------------


def test_a_pull_in_whose_middle_the_daemon_is_killed(world: World) -> None:
    product, name = world.product, world.registry.reference("team/app:v1")
    before = at_rest(product)
    world.registry.lie(Lie("GET", "/blobs/", stall_after=2000, times=ALWAYS))
    with client(product, "pull", name) as one:
        product.poll(lambda: look(product).files)
        product.kill_daemon()
        code, said = one.end()
    assert code and "error: " in said and "Traceback" not in said, said
    product.up()
    until_clean(product, before, but_whole_layers=True)
    world.registry.forget_lies()
    product.pinnace("pull", name)
    product.pinnace("rmi", name)
    until_clean(product, before)


def test_a_pull_whose_client_is_gone_is_given_up(world: World) -> None:
    product, name = world.product, world.registry.reference("team/app:v1")
    before = at_rest(product)
    world.registry.lie(Lie("GET", "/blobs/", stall_after=2000, times=ALWAYS))
    with client(product, "pull", name) as one:
        product.poll(lambda: look(product).files)
        one.cut()
    until_clean(product, before, but_whole_layers=True)
    world.registry.forget_lies()
    product.pinnace("pull", name)
    product.pinnace("rmi", name)
    until_clean(product, before)


@pytest.mark.parametrize("who", ["client", "daemon"])
def test_a_push_that_is_cut_leaves_nothing_and_is_done_later(world: World, root_tar: Path, who: str) -> None:
    product, name = world.product, world.registry.reference(f"team/{who}:v1")
    product.pinnace("import", str(root_tar), name)
    before = at_rest(product)
    world.registry.lie(Lie("PATCH|PUT|POST", "/uploads/", stall_after=0))
    with client(product, "push", name) as one:
        product.poll(lambda: any("/uploads/" in seen.path for seen in world.registry.seen))
        time.sleep(0.1)
        if who == "client":
            one.cut()
        else:
            product.kill_daemon()
            code, said = one.end()
            assert code and "error: " in said and "Traceback" not in said, said
            product.up()
    world.registry.forget_lies()
    until_clean(product, before)
    assert (f"team/{who}", "v1") not in world.registry.manifests
    product.pinnace("push", name)
    assert (f"team/{who}", "v1") in world.registry.manifests
    product.pinnace("rmi", name)


# --- everything at once -----------------------------------------------------------------------------------------------------


def test_pulls_builds_and_prunes_at_once_lose_nothing(world: World) -> None:
    product, remote = world.product, world.registry.reference("team/app:v1")
    before = at_rest(product)
    failures: list[str] = []
    ended = threading.Event()

    def again(*words: str) -> None:
        while not ended.is_set():
            done = product.try_pinnace(*words)
            if done.returncode:
                failures.append(f"{' '.join(words)}: {done.stderr}")

    folders = []
    for number in range(2):
        dockerfile = (
            f"FROM tiny:v1\nRUN echo {number} > /n\nFROM tiny:v1\nCOPY --from=0 /n /n\nCOPY one /one\n"
        )
        folder = write_context(world.context.parent / f"c{number}", dockerfile, {"one": b"1"})
        folders.append(folder)
    jobs = [
        ("pull", remote),
        *(("build", "-t", f"at-once:v{n}", str(folder)) for n, folder in enumerate(folders)),
        ("builder", "prune", "-a", "-f"),
        ("image", "prune", "-f"),
    ]
    threads = [threading.Thread(target=again, args=words) for words in jobs]
    for thread in threads:
        thread.start()
    time.sleep(2.5)
    ended.set()
    for thread in threads:
        thread.join(60)
    assert failures == []
    for number in range(2):
        shown = product.pinnace("run", "--rm", f"at-once:v{number}", "cat", "/n", "/one")
        assert shown == f"{number}\n1"
    product.pinnace("rmi", "-f", "at-once:v0", "at-once:v1", remote)
    product.pinnace("image", "prune", "-f")
    until_clean(product, before)
