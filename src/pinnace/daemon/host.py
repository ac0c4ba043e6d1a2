"""Builds the rooms that touch the machine, for a daemon that serves and for one that clears away."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pinnace.api.facade import Api
from pinnace.base.clock import Clock
from pinnace.base.errors import UserError
from pinnace.base.settings import Settings, split_mirrors
from pinnace.container.cgroup import CgroupHost, Cgroups, detect_cgroups
from pinnace.container.config import read_daemon_rights
from pinnace.container.programs import Programs, choose_programs
from pinnace.container.runtime import Runtime
from pinnace.daemon.adapters import SandboxImages, SandboxNetwork
from pinnace.engine.engine import Engine
from pinnace.engine.specs import is_ours
from pinnace.image.api_names import ApiNames
from pinnace.image.registry.settings import RegistrySettings
from pinnace.image.removal import Use
from pinnace.image.store import ImageStore
from pinnace.network import Network
from pinnace.sandbox.sandboxes import Sandboxes
from pinnace.sandbox.spec import Sandbox


@dataclass(frozen=True, slots=True)
class Host:
    """The machine's rooms of one instance."""

    cgroups: CgroupHost
    programs: Programs
    runtime: Runtime
    network: Network
    images: ImageStore
    sandbox_images: SandboxImages
    sandboxes: Sandboxes


def find_image_uses(host: Host, engine: Engine, image_id: str) -> tuple[Use, ...]:
    """Return the containers of pods and of `run` that were made from an image, also those that were never started."""
    pods = (one for one in host.sandboxes.list_containers() if not is_ours(one.sandbox_id))
    uses = [
        Use(one.id, running=one.state == "running", pod=_pod_of(host.sandboxes.get_sandbox(one.sandbox_id)))
        for one in pods
        if one.spec.image == image_id
    ]
    return (*uses, *(Use(one, running=running) for one, running in engine.users_of_image(image_id)))


def _pod_of(sandbox: Sandbox | None) -> str:
    labels = sandbox.spec.labels if sandbox is not None else {}
    name = labels.get("io.kubernetes.pod.name", "")
    return f"{labels.get('io.kubernetes.pod.namespace', '')}/{name}" if name else ""


def choose_cgroups(settings: Settings) -> CgroupHost:
    """Return how cgroups are used: what the host has, unless a driver was set."""
    found = detect_cgroups()
    match settings.cgroup_driver:
        case "":
            return found
        case "cgroupfs" | "systemd" as driver:
            return replace(found, driver=driver)
        case other:
            raise UserError(f"{other!r} is no cgroup driver", "cgroupfs or systemd")


def build_host(settings: Settings, api: Api, clock: Clock) -> Host:
    """Build them; nothing is started. Raises: HostError when a program is missing, with what to install."""
    cgroups = choose_cgroups(settings)
    programs = choose_programs(settings.runtime, cgroups)
    runtime = Runtime(
        programs, settings.run_path, Cgroups(cgroups, settings.name, clock), clock, read_daemon_rights()
    )
    network = Network(settings.name, pods_range=settings.pod_range, services_range=settings.service_range)
    registries = RegistrySettings(
        insecure=settings.insecure_registries,
        mirrors=split_mirrors(settings.registry_mirrors),
        cert_dirs=settings.registry_certs,
    )
    images = ImageStore(settings.home_path / "images", ApiNames(api), clock=clock, registries=registries)
    sandbox_images = SandboxImages(images)
    sandboxes = Sandboxes(
        runtime,
        sandbox_images,
        SandboxNetwork(network),
        home=settings.home_path,
        run=settings.run_path,
        clock=clock,
    )
    return Host(cgroups, programs, runtime, network, images, sandbox_images, sandboxes)
