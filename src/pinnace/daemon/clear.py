"""Ends and removes what an instance runs: `pinnace down`, also after a daemon that died halfway."""

from __future__ import annotations

import asyncio
import shutil

from pinnace.api.facade import Api
from pinnace.base.chance import Chance
from pinnace.base.clock import SystemClock
from pinnace.base.settings import Settings
from pinnace.build.leftovers import clear_leftovers
from pinnace.daemon.host import build_host
from pinnace.daemon.lock import InstanceLock
from pinnace.daemon.owner import find_person, kubeconfig_of
from pinnace.engine.specs import is_ours
from pinnace.image.mounts import unmount
from pinnace.kubeapi.kubeconfig import remove_context
from pinnace.network.addresses import derive_table_name
from pinnace.network.foreign import ForeignFirewalls
from pinnace.network.nft import Nft
from pinnace.node.host import remove_folder
from pinnace.store.memory import MemoryStore

STOP_GRACE_S = 5.0  # between the stop signal and SIGKILL, for all containers together


async def clear_instance(settings: Settings, *, wipe: bool) -> list[str]:
    """End all processes, mounts, links, rules and cgroups; with `wipe`, forget objects, images and keys too.

    Raises: UserError while the daemon runs; HostError when something can't be removed.
    """
    lock = InstanceLock(settings.run_path / "pinnace.pid")
    lock.acquire(settings.name)
    try:
        clock = SystemClock()
        host = build_host(settings, Api(MemoryStore(), clock, Chance()), clock)
        await host.network.ensure()  # takes over the links that are there, so that they can be taken back
        count = 0
        if settings.home_path.exists():
            await host.sandboxes.adopt()
            await clear_leftovers(host.images, host.sandboxes)
            count = len(host.sandboxes.list_sandboxes())
        await asyncio.gather(
            *(host.sandboxes.stop(one.id, grace_s=STOP_GRACE_S) for one in host.sandboxes.list_containers()),
            return_exceptions=True,
        )
        kept = [] if wipe else [one.id for one in host.sandboxes.list_sandboxes() if is_ours(one.id)]
        await host.sandboxes.remove_all(keep=kept)
        for one in kept:
            # What the containers of `run` have written stays, for the next `up`; only the mounts go.
            for container in host.sandboxes.list_containers(one):
                unmount(container.rootfs)
        await host.runtime.cgroups.remove_all()
        await ForeignFirewalls(host.network, clock).remove_all()
        await Nft().delete_table(derive_table_name(settings.name))
        await host.network.remove_all()
        await host.sandboxes.close()
        lines = [
            f"{settings.name}: {count} sandboxes ended" if count else f"{settings.name}: nothing ran any more"
        ]
        if wipe:
            await host.images.wipe()
            for folder in (settings.home_path / "node").glob("*"):
                remove_folder(folder)
            shutil.rmtree(settings.home_path, ignore_errors=True)
            person = find_person()
            if remove_context(kubeconfig_of(person), settings.name):
                lines.append(f"context {settings.name!r} removed from {kubeconfig_of(person)}")
            lines.append(f"objects, images and keys forgotten: {settings.home_path}")
        await host.images.close()
        shutil.rmtree(settings.run_path, ignore_errors=True)
        return lines
    finally:
        lock.release()
