"""Ends and removes what an instance runs: `pinnace down`, also after a daemon that died halfway, or doesn't end.

What the instance was started with is what counts here, not how `down` was called: see `folders.recall_settings`.
"""

from __future__ import annotations

import asyncio

from pinnace.api.facade import Api
from pinnace.base.chance import Chance
from pinnace.base.clock import SystemClock
from pinnace.base.errors import UserError
from pinnace.base.settings import Settings
from pinnace.build.leftovers import clear_leftovers
from pinnace.container import system
from pinnace.daemon.folders import recall_settings, remove_run, remove_state
from pinnace.daemon.host import build_host
from pinnace.daemon.lock import InstanceLock
from pinnace.daemon.owner import find_person, kubeconfig_of
from pinnace.daemon.takeover import end_holder
from pinnace.engine.specs import is_ours
from pinnace.image.mounts import unmount
from pinnace.kubeapi.kubeconfig import remove_context
from pinnace.network.addresses import derive_table_name
from pinnace.network.foreign import ForeignFirewalls
from pinnace.network.nft import Nft
from pinnace.sandbox.namespaces import find_mounts_below
from pinnace.store.memory import MemoryStore

STOP_GRACE_S = 5.0  # between the stop signal and SIGKILL, for all containers together


async def clear_instance(settings: Settings, *, wipe: bool) -> list[str]:
    """End the daemon, all processes, mounts, links, rules and cgroups; with `wipe`, forget objects, images and keys too.

    Raises: HostError when something can't be removed.
    """
    settings = recall_settings(settings)
    clock = SystemClock()
    lock = InstanceLock(settings.run_path / "pinnace.pid")
    lines = await end_holder(lock, settings.name, clock)
    try:
        host = build_host(settings, Api(MemoryStore(), clock, Chance()), clock)
        await host.network.ensure()  # takes over the links that are there, so that they can be taken back
        count = 0
        if settings.home_path.exists():
            await host.sandboxes.adopt()
            await clear_leftovers(host.images, host.sandboxes, settings.home_path / "build" / "work")
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
        lines.append(
            f"{settings.name}: {count} sandboxes ended" if count else f"{settings.name}: nothing ran any more"
        )
        for place in find_mounts_below(settings.home_path):  # emptyDirs in memory end as on a reboot
            system.unmount(place)
        if wipe:
            await host.images.wipe()
            lines += _forget(settings)
        await host.images.close()
        remove_run(settings.run_path, lock)
        return lines
    finally:
        lock.release()


def _forget(settings: Settings) -> list[str]:
    empty = remove_state(settings.home_path)
    kept = "" if empty else " (what else is in it was kept)"
    lines = [f"objects, images and keys forgotten: {settings.home_path}{kept}"]
    kubeconfig = kubeconfig_of(find_person())
    try:
        if remove_context(kubeconfig, settings.name):
            lines.append(f"context {settings.name!r} removed from {kubeconfig}")
    except (UserError, OSError) as error:
        lines.append(f"context {settings.name!r} can't be removed from {kubeconfig}: {error}")
    return lines
