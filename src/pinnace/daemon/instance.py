"""One running instance: builds every room, wires them with plain arguments, starts and ends them in order.

Nothing is decided here but the order: the store before all, addresses before what listens on them, what runs already is
adopted before anything new is started, and the API answers last, when the node stands.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from pinnace import __version__
from pinnace.api.access.tokens import Tokens
from pinnace.api.facade import Api
from pinnace.api.settings import ApiSettings
from pinnace.base.amounts import parse_amount, parse_span
from pinnace.base.chance import Chance
from pinnace.base.clock import SystemClock
from pinnace.base.errors import UserError
from pinnace.base.person import docker_config_of
from pinnace.base.settings import Settings
from pinnace.build.builder import Builder
from pinnace.build.keeping import CacheRules
from pinnace.controllers.access.ensure import ensure_default_access
from pinnace.controllers.ensure import ensure_cluster_objects
from pinnace.controllers.runner import ControllerRunner
from pinnace.controllers.table import build_controllers
from pinnace.daemon.folders import prepare_folders, remember_settings
from pinnace.daemon.host import build_host, find_image_uses
from pinnace.daemon.housekeeping import Housekeeping
from pinnace.daemon.keyring import PersonKeyring
from pinnace.daemon.lock import InstanceLock
from pinnace.daemon.owner import find_person, kubeconfig_of
from pinnace.daemon.takeover import wait_for_lock
from pinnace.engine.engine import Engine
from pinnace.engine.queries import Queries
from pinnace.engine.snapshots import Snapshots
from pinnace.engine.specs import NetworkFacts
from pinnace.image.removal import InUse
from pinnace.kube.quantity import cpu_milli, to_bytes
from pinnace.kubeapi import pki
from pinnace.kubeapi.audit import AuditLog
from pinnace.kubeapi.kubeconfig import build_kubeconfig, merge_into, write_kubeconfig
from pinnace.kubeapi.server import KubeServer
from pinnace.kubeapi.settings import ServerSettings, World
from pinnace.kubeapi.signing_key import ensure_signing_key
from pinnace.network.bridge import find_main_address
from pinnace.network.dns.server import Dns
from pinnace.network.foreign import ForeignFirewalls
from pinnace.network.proxy import ServiceProxy
from pinnace.node.agent import AgentSettings, NodeAgent
from pinnace.node.dialing import HostDialer
from pinnace.node.environment import NodeFacts
from pinnace.node.host import HostMachine
from pinnace.node.host_images import HostImages
from pinnace.node.node_server import HostNodeServer
from pinnace.node.registration import (
    NodeDescription,
    NodeRegistration,
    parse_capacity,
    parse_pairs,
    read_machine,
)
from pinnace.node.specs import DnsFacts
from pinnace.node.streams import PodStreams
from pinnace.node.tokens import PodTokens
from pinnace.node.usage import CgroupUsage
from pinnace.ownapi.archives import archive_routes
from pinnace.ownapi.build import build_routes
from pinnace.ownapi.containers import container_routes
from pinnace.ownapi.disk import disk_routes
from pinnace.ownapi.images import image_routes
from pinnace.ownapi.instance import instance_routes
from pinnace.ownapi.registries import registry_routes
from pinnace.ownapi.router import PREFIX, Router
from pinnace.scheduler.scheduler import Scheduler
from pinnace.store.sqlite import SqliteStore

log = logging.getLogger("pinnace.daemon")

CLOSE_TIMEOUT_S = 10.0
RESOLV_CONF = Path("/etc/resolv.conf")
CA_BUNDLES = (  # Debian and Ubuntu; Fedora and RHEL; SUSE
    Path("/etc/ssl/certs/ca-certificates.crt"),
    Path("/etc/pki/tls/certs/ca-bundle.crt"),
    Path("/etc/ssl/ca-bundle.pem"),
)


def find_ca_bundle() -> Path | None:
    """Return the host's CA bundle, if it has one."""
    return next((path for path in CA_BUNDLES if path.is_file()), None)


class Instance:
    """Everything that one `pinnace up` runs."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = InstanceLock(settings.run_path / "pinnace.pid")
        self._undo: list[tuple[str, Callable[[], Awaitable[None]]]] = []
        self._failed: dict[str, str] = {}
        self._person = find_person()
        self._lines: list[str] = []

    def greeting(self) -> list[str]:
        """Return what the person who called `up` is told."""
        return list(self._lines)

    # --- start -------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start all rooms. Raises: UserError, HostError; call `close` then too."""
        settings, clock = self._settings, SystemClock()
        if os.geteuid() != 0:
            raise UserError(
                "the daemon needs root: it makes network links, mounts and cgroups", "sudo pinnace up"
            )
        capacity = parse_capacity(settings.node_capacity)
        labels = parse_pairs(settings.node_label, "label")
        prepare_folders(settings)
        await wait_for_lock(self._lock, settings.kube_socket, settings.name, clock)
        began = clock.monotonic()

        store = SqliteStore(settings.home_path / "state.db")
        self._undo.append(("store", store.close))
        service_range = ipaddress.ip_network(settings.service_range)
        dns_ip = str(service_range[10])
        api = Api(store, clock, Chance(), ApiSettings(service_range=settings.service_range, dns_ip=dns_ip))
        self._api = api

        host = build_host(settings, api, clock)
        self._host = host
        remember_settings(settings)  # only what can be built can be taken down again
        await host.network.ensure()
        self._undo.append(("network", host.network.close))
        gateway = host.network.gateway
        await host.images.start()
        self._undo.append(("images", host.images.close))

        names = (*pki.DEFAULT_NAMES, str(service_range[1]), gateway, find_main_address())
        certificates = pki.ensure(settings.home_path / "pki", clock, names=tuple(dict.fromkeys(names)))

        tokens = Tokens(
            api,
            ensure_signing_key(settings.home_path / "pki"),
            clock,
            Chance(),
            issuer=f"https://kubernetes.default.svc.{settings.cluster_domain}",
        )

        machine_capacity = {**read_machine(), **capacity}
        node = NodeFacts(
            settings.node,
            find_main_address(),
            cpu_milli(machine_capacity["cpu"]),
            to_bytes(machine_capacity["memory"]),
        )
        ranges = (host.network.range, host.network.services_range)
        dns = Dns(api, zone=settings.cluster_domain, service_ip=dns_ip, ranges=ranges)
        dns_port = await dns.start(gateway)
        self._undo.append(("dns", dns.close))
        proxy = ServiceProxy(
            api, host.network, clock, dns_ip=dns_ip, dns_port=dns_port, on_failure=self._task_failed
        )
        self._proxy = proxy

        def dns_facts() -> DnsFacts:
            text = RESOLV_CONF.read_text() if RESOLV_CONF.exists() else ""
            return DnsFacts(dns_ip, settings.cluster_domain, text)

        machine = HostMachine(
            api,
            host.sandboxes,
            proxy,
            clock,
            home=settings.home_path,
            node=node,
            dns=dns_facts,
            tokens=PodTokens(tokens, clock, Chance()),
        )
        engine = Engine(
            api,
            host.sandboxes,
            host.images,
            proxy,
            clock,
            Chance(),
            home=settings.home_path,
            network=lambda: NetworkFacts(dns_ip, gateway, dns_facts().host_resolv_conf),
        )
        keyring = PersonKeyring(self._person, docker_config_of(self._person))
        pod_images = HostImages(api, host.sandbox_images.find, host.images.pull, keyring.find_store, clock)
        queries = Queries(engine.book, engine.maker, host.sandboxes, host.images, engine.prober)
        snapshots = Snapshots(engine.book, host.images, clock)
        agent = NodeAgent(
            api,
            machine,
            pod_images,
            clock,
            Chance(),
            AgentSettings(settings.node, node.host_ip),
            on_failure=self._task_failed,
        )
        usage = CgroupUsage(host.sandboxes, agent.book, clock, settings.node)
        streams = PodStreams(host.sandboxes, agent.book, clock, machine.log_path)
        await host.sandboxes.adopt()
        await host.images.release_all_but(one.id for one in host.sandboxes.list_containers())
        self._undo.append(("sandboxes", host.sandboxes.close))
        await engine.start()
        self._undo.append(("engine", engine.close))

        builder = Builder(
            host.images,
            host.sandboxes,
            clock,
            Chance(),
            home=settings.home_path,
            resolv_conf=lambda: f"nameserver {dns_ip}\n",
            find_ca_bundle=find_ca_bundle,
            concurrency=max(2, len(os.sched_getaffinity(0))),
            rules=_cache_rules(settings),
        )
        await builder.start()
        self._undo.append(("builder", builder.close))

        node_server = HostNodeServer(
            api,
            host.sandboxes,
            agent.book,
            usage,
            streams,
            clock,
            name=settings.node,
            version=f"v{__version__}",
            daemon_log=settings.run_path / "daemon.log",
            log_path=machine.log_path,
        )
        world = World(
            logs=streams,
            exec=streams,
            attach=streams,
            port_forward=streams,
            usage=usage,
            dialer=HostDialer(),
            node=node_server,
        )
        in_use: InUse = lambda image: find_image_uses(host, engine, image)  # noqa: E731
        router = Router(
            [
                *instance_routes(self.describe),
                *image_routes(host.images, in_use),
                *archive_routes(host.images, snapshots),
                *disk_routes(host.images, in_use, engine, queries, snapshots, builder),
                *registry_routes(host.images, keyring.find),
                *container_routes(engine, queries),
                *build_routes(builder, keyring.find),
            ]
        )
        audit = AuditLog(settings.home_path / "audit.log", clock, Chance())
        server = KubeServer(
            api, world, ServerSettings(), mounts={PREFIX + "/": router}, tokens=tokens, audit=audit
        )
        self._undo.append(("kubeapi", server.close))
        await ensure_default_access(api)
        context = certificates.server_context()
        port = await server.serve_tls("127.0.0.1", settings.api_port, context)
        await server.serve_tls(gateway, port, context)
        self._api_port = port

        await ensure_cluster_objects(api, api_addresses=(gateway,), api_port=port)
        registration = NodeRegistration(
            api,
            clock,
            NodeDescription(settings.node, node.host_ip, capacity, labels, f"pinnace://{__version__}"),
            on_failure=self._task_failed,
        )
        await registration.start()
        self._undo.append(("node registration", registration.close))
        await proxy.start()
        self._undo.append(("service proxy", proxy.close))
        self._firewalls = ForeignFirewalls(
            host.network, clock, ports=(("tcp", port), ("tcp", dns_port), ("udp", dns_port))
        )
        await self._firewalls.start()
        self._undo.append(("foreign firewalls", self._firewalls.close))

        scheduler = Scheduler(api, clock, Chance(), on_failure=self._task_failed)
        scheduler.start()
        self._undo.append(("scheduler", scheduler.close))
        controllers = build_controllers(
            api, clock, usage, ca_text=certificates.ca_certificate.decode(), tokens=tokens
        )
        runner = ControllerRunner(api, controllers, clock, on_failure=self._task_failed)
        runner.start()
        self._undo.append(("controllers", runner.close))
        await agent.start()
        self._undo.append(("node", agent.close))
        usage.start()
        self._undo.append(("usage", usage.close))
        housekeeping = Housekeeping(host.sandboxes, clock, self._task_failed)
        housekeeping.start()
        self._undo.append(("housekeeping", housekeeping.close))

        self._write_kubeconfigs(certificates, port)
        await server.serve_unix(settings.kube_socket, self._person.ids)
        self._undo.append(
            ("kubeapi", server.close)
        )  # the edges end first: nobody meets a room that is closing
        self._lines.insert(
            0, f"{settings.name} is ready in {clock.monotonic() - began:.2f} s: https://127.0.0.1:{port}"
        )

    def _task_failed(self, name: str, error: BaseException) -> None:
        self._failed[name] = f"{type(error).__name__}: {error}"

    def _write_kubeconfigs(self, certificates: pki.Certificates, port: int) -> None:
        settings, person = self._settings, self._person
        document = build_kubeconfig(settings.name, f"https://127.0.0.1:{port}", certificates)
        write_kubeconfig(settings.kubeconfig_path, document, owner=person.ids)
        self._lines.append(f"kubeconfig: {settings.kubeconfig_path}")
        if settings.kubeconfig:
            try:
                self._lines.append(merge_into(kubeconfig_of(person), document, owner=person.ids).describe())
            except (UserError, OSError) as error:
                self._lines.append(f"no context was merged: {error}")

    # --- what it is ----------------------------------------------------------------------------------------------------

    def describe(self) -> list[tuple[str, str]]:
        """Return the lines of `pinnace status`."""
        settings, host, rules = self._settings, self._host, self._proxy.status()
        rows = [
            ("instance", f"{settings.name} (pid {os.getpid()}, version {__version__})"),
            ("api", f"https://127.0.0.1:{self._api_port}, {settings.kube_socket}"),
            ("kubeconfig", str(settings.kubeconfig_path)),
            ("state", str(settings.home_path)),
            ("node", settings.node),
            ("pods", f"{host.network.range} on {host.network.bridge}"),
            ("services", settings.service_range),
            ("rules", f"table {rules.table}: {rules.services} Services, {rules.published} published ports"),
            ("cgroups", host.cgroups.describe()),
            ("runtime", host.programs.describe()),
            ("sandboxes", str(len(host.sandboxes.list_sandboxes()))),
            ("images", str(len(host.images.list()))),
            ("revision", str(self._api.store.revision)),
        ]
        if settings.registry_mirrors:
            rows.append(("mirrors", ", ".join(settings.registry_mirrors)))
        if settings.insecure_registries:
            rows.append(("insecure", ", ".join(settings.insecure_registries)))
        rows += [("foreign firewall", line) for line in self._firewalls.status()]
        rows += [("waiting", line) for line in rules.waiting]
        if rules.last_error:
            rows.append(("rules failed", rules.last_error))
        rows += [("failed", f"{name}: {why} (see daemon.log)") for name, why in self._failed.items()]
        return rows

    # --- end -----------------------------------------------------------------------------------------------------------

    async def close(self) -> None:
        """End the rooms in the reverse order; containers go on."""
        while self._undo:
            name, close = self._undo.pop()
            try:
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await close()
            except Exception:  # a room that can't end must not keep the others from it
                log.exception("closing %s", name)
        if self._lock.held:  # else the socket is that of the daemon that runs
            self._settings.kube_socket.unlink(missing_ok=True)
        self._lock.release()


def _cache_rules(settings: Settings) -> CacheRules:
    size = settings.build_cache_size
    return CacheRules(parse_span(settings.build_cache_age), parse_amount(size) if size else None)
