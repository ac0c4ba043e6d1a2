"""A builder with real layers, mounts and sandboxes in this process; only the network is a stand-in (an address without a way)."""

from __future__ import annotations

import contextlib
import os
import tarfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pinnace.base.chance import Chance
from pinnace.base.clock import SystemClock
from pinnace.build.builder import Builder
from pinnace.build.contexts.spec import ContextFlag, MainContext
from pinnace.build.inputs import BuildRequest
from pinnace.build.plan import BuildOptions
from pinnace.build.progress import Built, News, Output, StepNews, Warned
from pinnace.build.run_options import CommandRules, RunOptions
from pinnace.daemon.adapters import SandboxImages
from pinnace.image.names import MemoryNames
from pinnace.image.store import ImageStore, host_architecture
from pinnace.image.views import Image
from pinnace.sandbox.sandboxes import Sandboxes
from tests.host.conftest import Instance, NoNetwork, make_runtime
from tests.unit.build.trees import Tree, grow

BASE = "busybox:v1"


@dataclass
class Told:
    """What a build said."""

    news: list[News] = field(default_factory=list)

    def __call__(self, one: News) -> None:
        self.news.append(one)

    @property
    def output(self) -> str:
        return "".join(one.text for one in self.news if isinstance(one, Output))

    @property
    def warnings(self) -> list[str]:
        return [one.text for one in self.news if isinstance(one, Warned)]

    def steps(self, state: str) -> list[str]:
        """Return the texts of the steps that came into a state, without their arguments' blanks, in order."""
        seen = [one.text for one in self.news if isinstance(one, StepNews) and one.state == state]
        return list(dict.fromkeys(seen))


class BuildWorld:
    """One instance's builder. `again` is the next daemon on the same folders."""

    def __init__(self, instance: Instance, names: MemoryNames | None = None) -> None:
        self.instance = instance
        self.names = names or MemoryNames()
        clock = SystemClock()
        self.images = ImageStore(instance.home / "images", self.names)
        self.sandboxes = Sandboxes(
            make_runtime(instance),
            SandboxImages(self.images),
            NoNetwork(),
            home=instance.home,
            run=instance.run,
            clock=clock,
        )
        self.ca_bundle = instance.root / "ca.crt"
        self.builder = Builder(
            self.images,
            self.sandboxes,
            clock,
            Chance(),
            home=instance.home,
            resolv_conf=lambda: "nameserver 10.0.0.10\n",
            find_ca_bundle=lambda: self.ca_bundle if self.ca_bundle.exists() else None,
            concurrency=4,
        )
        self.context = instance.root / "context"

    async def start(self) -> None:
        await self.images.start()
        await self.sandboxes.adopt()
        await self.builder.start()

    async def close(self) -> None:
        await self.builder.close()
        await self.sandboxes.remove_all()
        await self.sandboxes.close()
        await self.images.wipe()
        await self.images.close()

    async def bring_base(self, root: Path) -> None:
        tar = self.instance.root / "busybox.tar"
        with tarfile.open(tar, "w") as archive:
            archive.add(root, ".")
        await self.images.import_tar(tar, BASE)

    async def build(
        self,
        dockerfile: str,
        files: Tree | None = None,
        *,
        told: Told | None = None,
        name: str = "made:v1",
        target: str = "",
        no_cache: bool = False,
        host_ca: bool = False,
        build_args: dict[str, str] | None = None,
        run: RunOptions | None = None,
        commands: CommandRules | None = None,
        file: str = "Dockerfile",
        source: MainContext = MainContext(),
        contexts: tuple[ContextFlag, ...] = (),
        platform: str = "",
        **more: Any,
    ) -> Built:
        """Build a Dockerfile; `files` are put into the context before. "" is the context's own Dockerfile.

        `more` are fields of `BuildRequest`.
        """
        grow(self.context, files or {})
        path = self.instance.root / file if dockerfile else Path(file)
        if dockerfile and not (
            path.exists() and path.read_text() == dockerfile
        ):  # another build may be reading it
            path.write_text(dockerfile)
        options = BuildOptions(
            target=target,
            build_args=build_args or {},
            architecture=host_architecture(),
            commands=commands or CommandRules(),
            platform=platform,
        )
        request = BuildRequest(
            self.context,
            path,
            (name,) if name else (),
            options=options,
            no_cache=no_cache,
            host_ca=host_ca,
            run=run or RunOptions(),
            source=source,
            contexts=contexts,
            **more,
        )
        return await self.builder.build(request, told or Told())

    def image(self, name: str = "made:v1") -> Image:
        return self.images.require(name)

    def layers(self, name: str = "made:v1") -> list[list[str]]:
        """Return what each layer of an image holds, bottom first, as sorted names; folders end with a slash."""
        trees = [self.images.layers.tree(one) for one in self.images.catalog.layers(self.image(name).config)]
        return [names_below(tree) for tree in trees]

    def read(self, path: str, name: str = "made:v1") -> str:
        """Return a file of an image, from the topmost layer that has it."""
        for layer in reversed(self.images.catalog.layers(self.image(name).config)):
            place = self.images.layers.tree(layer) / path.lstrip("/")
            if place.is_file():
                return place.read_text()
        raise AssertionError(f"{path} is not in {name}")

    def leftovers(self) -> list[str]:
        """Return what no build may leave: sandboxes, mounts, root filesystems, leases, files."""
        work = self.instance.home / "build" / "work"
        return [
            *(f"sandbox {one.id}" for one in self.sandboxes.list_sandboxes()),
            *(f"mount {point}" for point in self.instance.find_mounts()),
            *(f"root filesystem {one.id}" for one in self.images.roots.records()),
            *(f"lease on {digest}" for digest in self.images._leases.held()),
            *(f"file {path}" for path in work.rglob("*")),
            *(f"ingest {path}" for path in (self.instance.home / "images" / "ingest").iterdir()),
        ]


def names_below(tree: Path) -> list[str]:
    found = []
    for folder, folders, files in os.walk(tree):
        inside = Path(folder).relative_to(tree)
        found += [f"{inside / name}/" for name in folders] + [str(inside / name) for name in files]
    return sorted(found)


@contextlib.asynccontextmanager
async def built(instance: Instance, base: Path | None = None) -> AsyncIterator[BuildWorld]:
    """A world for one test, with `base` as busybox:v1 in it; nothing of its builds may be left in the end."""
    one = BuildWorld(instance)
    await one.start()
    if base is not None:
        await one.bring_base(base)
    yield one
    left = one.leftovers()
    await one.close()
    assert left == [], "the build left something behind"
