"""Brings the layers of one image in. The doer between `registries` and the worker's job `receive`.

Layers come several at once and are unpacked while they come; those that are here are only held. A layer whose archive
leaves directories out waits, unpacked, for the layers below it.
Invariant: what `receive_all` returns is held by the lease; what failed has left nothing but whole blobs and layers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from pinnace.base.errors import PinnaceError, UserError
from pinnace.image import frames
from pinnace.image.blobs import Blobs
from pinnace.image.ingest import Ingest
from pinnace.image.layers import TREE, Layer, Layers
from pinnace.image.leases import Lease, Leases
from pinnace.image.registry.client import Access
from pinnace.image.registry.flights import Arrival, Flight, Flights
from pinnace.image.registry.news import LayerNews, OnNews, State
from pinnace.image.registry.receive import Received, ReceiveJob, SettleJob, receive_layer, settle_tree
from pinnace.image.workers import Workers
from pinnace.oci.digest import Digest, chain_ids
from pinnace.oci.manifest import Descriptor

RETRYING = "retrying "


class Pulls:
    """Downloads of one store."""

    def __init__(
        self, layers: Layers, blobs: Blobs, ingest: Ingest, leases: Leases, workers: Workers, at_once: int
    ) -> None:
        self._layers = layers
        self._blobs = blobs
        self._ingest = ingest
        self._leases = leases
        self._workers = workers
        self._slots = asyncio.Semaphore(at_once)
        self._flights = Flights()

    async def close(self) -> None:
        """Cancel what is under way."""
        await self._flights.close()

    async def receive_all(
        self,
        access: Access,
        blobs: Sequence[Descriptor],
        diff_ids: Sequence[Digest],
        lease: Lease,
        on_news: OnNews | None,
    ) -> tuple[tuple[Layer, ...], int]:
        """Return an image's layers, bottom first, and how many bytes came. Raises: ApiError, UserError, HostError."""
        image = _Image(self, access, blobs, diff_ids, lease, on_news)
        return await image.run(), image.received

    def find(self, diff_id: Digest, chain_id: Digest) -> Layer | None:
        """Return a layer that is here."""
        return self._layers.find(diff_id, chain_id)

    def hold(self, lease: Lease, layer: Layer) -> None:
        """Have a lease hold a layer, and its archive."""
        self._leases.hold(lease, layer.key)

    def has_blob(self, blob: Descriptor) -> bool:
        """Say whether a layer's archive is here."""
        return self._blobs.has(blob.digest)

    async def unpack(self, blob: Descriptor, diff_ids: Sequence[Digest], lease: Lease) -> Layer:
        """Unpack an archive that is here."""
        return await self._ingest.unpack_layer(blob, diff_ids, lease)

    def flight(self, access: Access, blob: Descriptor, diff_id: Digest) -> tuple[Flight, bool]:
        """Return the download of a layer, and whether it begins with this call."""
        found = self._flights.find(diff_id)
        if found is not None:
            return found, False
        return self._flights.begin(diff_id, lambda one: self.bring(one, access, blob, diff_id)), True

    async def bring(
        self, flight: Flight, access: Access, blob: Descriptor, diff_id: Digest
    ) -> Arrival | None:
        """Download and unpack; give the layer its name, unless it needs the layers below first."""
        try:
            return await self._bring(flight, access, blob, diff_id)
        except UserError:
            if not access.settings.mirrors.get(access.domain):
                raise
        # a mirror's blob was no good, and we have fed it to the unpacker: from the start, from the registry itself
        honest = replace(access, settings=replace(access.settings, mirrors={}), endpoint=None)
        return await self._bring(flight, honest, blob, diff_id)

    async def _bring(
        self, flight: Flight, access: Access, blob: Descriptor, diff_id: Digest
    ) -> Arrival | None:
        path = await self._ingest.begin()
        try:
            async with self._slots:
                received = await self._receive(flight, access, blob, diff_id, path)
            await self._ingest.keep_blob(path / "blob", blob.digest, None)
            if received.implied:
                return Arrival(path, received)
            await self.keep(path, received, blob, diff_id, diff_id, None)
        except BaseException:
            await self._ingest.give_up(path)
            raise
        return None

    async def _receive(
        self, flight: Flight, access: Access, blob: Descriptor, diff_id: Digest, path: Path
    ) -> Received:
        def tell(progress: frames.Progress) -> None:
            if progress.what.startswith(RETRYING):
                flight.tell("retrying", progress.size, progress.what.removeprefix(RETRYING))
            elif progress.what == "downloading":
                flight.tell("downloading", progress.size)
            else:
                flight.tell("extracting", progress.size)

        job = ReceiveJob(
            access=access,
            blob=blob,
            diff_id=diff_id,
            file=str(path / "blob"),
            tree=str(path / TREE),
            implied=str(path / "implied"),
        )
        return await self._workers.call(receive_layer, job, tell)

    async def keep(
        self,
        path: Path,
        received: Received,
        blob: Descriptor,
        diff_id: Digest,
        key: Digest,
        lease: Lease | None,
    ) -> Layer:
        """Give an unpacked layer its name."""
        layer = Layer(
            diff_id=diff_id,
            key=key,
            size=received.size,
            tar_size=received.tar_size,
            entries=received.entries,
            own=False,
            blob=Descriptor(media_type=blob.media_type, digest=blob.digest, size=blob.size),
        )
        return await self._ingest.keep(path, layer, lease)

    async def settle(self, path: Path, below: Sequence[Layer]) -> None:
        """Give directories that an archive left out what they have in the layers below."""
        job = SettleJob(
            tree=str(path / TREE),
            parents=tuple(str(self._layers.tree(layer)) for layer in reversed(below)),
            implied=str(path / "implied"),
        )
        await self._workers.call(settle_tree, job)

    async def give_up(self, path: Path) -> None:
        """Throw an unpacked layer away."""
        await self._ingest.give_up(path)


class _Image:
    """The layers of one pull."""

    def __init__(
        self,
        pulls: Pulls,
        access: Access,
        blobs: Sequence[Descriptor],
        diff_ids: Sequence[Digest],
        lease: Lease,
        on_news: OnNews | None,
    ) -> None:
        self._pulls = pulls
        self._access = access
        self._blobs = blobs
        self._diff_ids = diff_ids
        self._chain = chain_ids(diff_ids)
        self._lease = lease
        self._on_news = on_news
        self._tasks: list[asyncio.Task[Layer]] = []
        self.received = 0

    async def run(self) -> tuple[Layer, ...]:
        loop = asyncio.get_running_loop()
        for number, blob in enumerate(self._blobs):
            self._tell(blob, "waiting")
            self._tasks.append(loop.create_task(self._layer(number), name=f"image/layer {blob.digest}"))
        try:
            # the first failure ends it; a layer that waits for a failed one fails with it
            await asyncio.gather(*self._tasks)
            return tuple(task.result() for task in self._tasks)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _layer(self, number: int) -> Layer:
        blob, diff_id, chain_id = self._blobs[number], self._diff_ids[number], self._chain[number]
        while True:
            there = self._pulls.find(diff_id, chain_id)
            if there is not None:
                self._pulls.hold(self._lease, there)
                self._tell(blob, "exists", blob.size)
                return there
            self._lease.hold(blob.digest)
            flight, mine = None, False
            if self._pulls.has_blob(blob):
                await self._below(number)
                self._tell(blob, "extracting")
                layer = await self._pulls.unpack(blob, self._diff_ids[: number + 1], self._lease)
            else:
                flight, mine = self._pulls.flight(self._access, blob, diff_id)
                found = await self._follow(number, flight, mine)
                if found is None:
                    continue
                layer = found
            self._tell(blob, "pulled", blob.size)
            return layer

    async def _follow(self, number: int, flight: Flight, mine: bool) -> Layer | None:
        """Wait for a download; return the layer, or None to look anew."""
        blob, diff_id = self._blobs[number], self._diff_ids[number]
        try:
            arrival = await flight.join(lambda state, current, text: self._tell(blob, state, current, text))
        except PinnaceError:
            if mine:
                raise
            return None  # somebody else's: their credentials may be others
        except asyncio.CancelledError:
            await self._abandon(flight)
            task = asyncio.current_task()
            if mine or (task is not None and task.cancelling()):
                raise
            return None
        if mine:
            self.received += blob.size
        if arrival is None:
            there = self._pulls.find(diff_id, self._chain[number])
            if there is not None:
                self._pulls.hold(self._lease, there)
            return there
        if not arrival.claim():
            await arrival.done.wait()
            return None
        try:
            return await self._complete(number, arrival)
        finally:
            arrival.done.set()

    async def _abandon(self, flight: Flight) -> None:
        """Throw away what has come just when the last one who waited for it went."""
        task = flight.task
        if flight.listeners or task is None or not task.done() or task.cancelled() or task.exception():
            return
        arrival = task.result()
        if arrival is not None and arrival.claim():
            await self._pulls.give_up(arrival.path)

    async def _complete(self, number: int, arrival: Arrival) -> Layer:
        """Name a layer that takes after those below it."""
        try:
            below = await self._below(number)
            if below:
                await self._pulls.settle(arrival.path, below)
            return await self._pulls.keep(
                arrival.path,
                arrival.received,
                self._blobs[number],
                self._diff_ids[number],
                self._chain[number],
                self._lease,
            )
        except BaseException:
            await self._pulls.give_up(arrival.path)
            raise

    async def _below(self, number: int) -> list[Layer]:
        return [await asyncio.shield(task) for task in self._tasks[:number]]

    def _tell(self, blob: Descriptor, state: State, current: int = 0, text: str = "") -> None:
        if self._on_news is not None:
            self._on_news(
                LayerNews(digest=blob.digest, state=state, current=current, total=blob.size, text=text)
            )
