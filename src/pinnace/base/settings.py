"""The settings of an instance: one table from which flags, environment variables, `status` and the docs follow.

Read by `cli/` (flags → a JSON text) and `daemon/` (the JSON text → `Settings`). Imports nothing heavy: the command line
starts with it. Invariant: every field of `Settings` has one row in `ROWS`, in the same order.
"""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from pinnace.base.amounts import parse_amount, parse_span
from pinnace.base.errors import UserError

_NOT_IN_NAMES = re.compile(r"[^a-z0-9.-]")
_DOMAIN = re.compile(r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*$")
_INSECURE = re.compile(r"^(\[[0-9a-fA-F:]+\]|[a-zA-Z0-9]([-.a-zA-Z0-9]*[a-zA-Z0-9])?)(:[0-9]+|/[0-9]+)?$")
_MIRROR = re.compile(r"^([a-zA-Z0-9][-.:a-zA-Z0-9]*=)?https?://[^\s/@?#,]+(/[^\s@?#,]*)?$")
_NAME = re.compile(r"^[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What one instance runs with. Shape: ranges are CIDR texts; an empty text means "decide yourself"."""

    name: str = "pinnace"
    home: str = ""
    run: str = ""
    api_port: int = 6443
    pod_range: str = "10.244.0.0/20"
    service_range: str = "10.96.0.0/16"
    cluster_domain: str = "cluster.local"
    runtime: str = ""
    cgroup_driver: str = ""
    node_name: str = ""
    node_capacity: tuple[str, ...] = ()
    node_label: tuple[str, ...] = ()
    insecure_registries: tuple[str, ...] = ()
    registry_mirrors: tuple[str, ...] = ()
    registry_certs: tuple[str, ...] = ("/etc/docker/certs.d",)
    build_cache_age: str = "14d"
    build_cache_size: str = ""
    kubeconfig: bool = True
    debug: bool = False

    @property
    def home_path(self) -> Path:
        return Path(
            self.home or ("/var/lib/pinnace" if self.name == "pinnace" else f"/var/lib/pinnace-{self.name}")
        )

    @property
    def run_path(self) -> Path:
        return Path(self.run or ("/run/pinnace" if self.name == "pinnace" else f"/run/pinnace-{self.name}"))

    @property
    def kube_socket(self) -> Path:
        return self.run_path / "kube.sock"

    @property
    def kubeconfig_path(self) -> Path:
        return self.home_path / "kubeconfig"

    @property
    def node(self) -> str:
        return self.node_name or _host_name(socket.gethostname().split(".")[0]) or "localhost"


@dataclass(frozen=True, slots=True)
class Row:
    """One setting. `env` is "" when only a flag sets it; `metavar` is shown in help."""

    field: str
    env: str
    help: str
    metavar: str = "TEXT"
    parse: Callable[[str], Any] = str

    @property
    def flag(self) -> str:
        return "--" + self.field.replace("_", "-")


def _port(text: str) -> int:
    if not text.isdigit() or int(text) > 65535:
        raise UserError(f"{text!r} is not a port", "a number from 1 to 65535; 0 takes a free one")
    return int(text)


def _range(text: str) -> str:
    import ipaddress

    try:
        return str(ipaddress.IPv4Network(text))
    except ValueError as error:
        raise UserError(f"{text!r} is no range of addresses: {error}", "like 10.244.0.0/20") from None


def _services_range(text: str) -> str:
    import ipaddress

    if ipaddress.IPv4Network(_range(text)).prefixlen > 24:
        raise UserError(f"{text!r} is too small for Services", "a /24 or larger, like 10.96.0.0/16")
    return _range(text)


def _domain(text: str) -> str:
    if len(text) > 253 or not _DOMAIN.match(text):
        hint = "lower-case letters, digits and '-', in parts with dots between them, like cluster.local"
        raise UserError(f"{text!r} is no DNS name", hint)
    return text


def _folder(text: str) -> str:
    return os.path.abspath(text)  # the daemon works in another folder than the caller


def _host_name(text: str) -> str:
    name = _NOT_IN_NAMES.sub("-", text.lower()).strip("-.")
    return name[:63].rstrip("-.")


def _span(text: str) -> str:
    parse_span(text)
    return text


def _amount(text: str) -> str:
    parse_amount(text)
    return text


def _flag(text: str) -> bool:
    return text.lower() not in ("", "0", "no", "false")


def _list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _folders(text: str) -> tuple[str, ...]:
    return tuple(map(_folder, _list(text)))


def _insecure(text: str) -> tuple[str, ...]:
    """Source: moby, registry/config.go, loadInsecureRegistries: hosts, hosts with ports, or ranges."""
    for one in _list(text):
        if "://" in one:
            raise UserError(f"insecure registry {one!r}: should not contain '://'", one.partition("://")[2])
        if not _INSECURE.match(one):
            raise UserError(f"{one!r} is no registry", "HOST, HOST:PORT or a range like 10.0.0.0/8")
    return _list(text)


def _mirrors(text: str) -> tuple[str, ...]:
    """Source: moby, registry/config.go, ValidateMirror: http or https, no user, no query."""
    for one in _list(text):
        if not _MIRROR.match(one):
            raise UserError(
                f"{one!r} is no mirror",
                "URL for docker.io, DOMAIN=URL for others, like ghcr.io=https://mirror.example.com",
            )
    return _list(text)


def split_mirrors(items: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Return the mirrors' URLs by the domain that they stand in for, in order. Example: docker.io for a bare URL."""
    found: dict[str, tuple[str, ...]] = {}
    for item in items:
        domain, equal, url = item.partition("=")
        domain, url = (domain, url) if equal and "://" not in domain else ("docker.io", item)
        found[domain] = (*found.get(domain, ()), url.rstrip("/"))
    return found


ROWS: tuple[Row, ...] = (
    Row(
        "name", "PINNACE_NAME", "Name of the instance: of its bridge, rules, cgroups and kubeconfig context."
    ),
    Row("home", "PINNACE_HOME", "Where images, objects and volumes are kept.", "DIR", _folder),
    Row("run", "PINNACE_RUN", "Where sockets and the pid file are.", "DIR", _folder),
    Row("api_port", "PINNACE_API_PORT", "Port of the Kubernetes API; 0 takes a free one.", "PORT", _port),
    Row(
        "pod_range",
        "PINNACE_POD_RANGE",
        "Addresses of pods; the next free range when it is taken.",
        "CIDR",
        _range,
    ),
    Row("service_range", "PINNACE_SERVICE_RANGE", "Addresses of Services.", "CIDR", _services_range),
    Row("cluster_domain", "PINNACE_CLUSTER_DOMAIN", "Domain of the cluster's DNS names.", "DOMAIN", _domain),
    Row("runtime", "PINNACE_RUNTIME", "OCI runtime: runc or crun; decided by the host when not set.", "NAME"),
    Row(
        "cgroup_driver",
        "PINNACE_CGROUP_DRIVER",
        "cgroupfs or systemd; decided by the host when not set.",
        "NAME",
    ),
    Row("node_name", "PINNACE_NODE_NAME", "Name of the node; the host's name when not set.", "NAME", _domain),
    Row(
        "node_capacity",
        "PINNACE_NODE_CAPACITY",
        "Pose as a node of this capacity: cpu=16,memory=64Gi.",
        "NAME=QUANTITY,…",
        _list,
    ),
    Row("node_label", "PINNACE_NODE_LABEL", "Labels of the node.", "KEY=VALUE,…", _list),
    Row(
        "insecure_registries",
        "PINNACE_INSECURE_REGISTRIES",
        "Registries that may be spoken to without TLS, or with any certificate; those on this machine always may.",
        "HOST[:PORT]|CIDR,…",
        _insecure,
    ),
    Row(
        "registry_mirrors",
        "PINNACE_REGISTRY_MIRRORS",
        "Asked before the registry that an image's name says: docker.io, unless a domain is given.",
        "[DOMAIN=]URL,…",
        _mirrors,
    ),
    Row(
        "registry_certs",
        "PINNACE_REGISTRY_CERTS",
        "Folders of CA and client certificates of registries, in HOST[:PORT]/{ca.crt,client.cert,client.key}.",
        "DIR,…",
        _folders,
    ),
    Row(
        "build_cache_age",
        "PINNACE_BUILD_CACHE_AGE",
        "How long the build cache keeps what nobody uses.",
        "TIME",
        _span,
    ),
    Row(
        "build_cache_size",
        "PINNACE_BUILD_CACHE_SIZE",
        "How much the build cache may hold; as much as leaves a fifth of the disk free when not set.",
        "SIZE",
        _amount,
    ),
    Row("kubeconfig", "PINNACE_MERGE_KUBECONFIG", "Merge a context into ~/.kube/config.", "BOOL", _flag),
    Row("debug", "PINNACE_DEBUG", "Log more, and show tracebacks.", "BOOL", _flag),
)


def read_settings(flags: Mapping[str, Any], environ: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings: flags win over variables, variables over defaults. Raises: UserError."""
    values: dict[str, Any] = {}
    for row in ROWS:
        if flags.get(row.field) not in (None, ()):
            values[row.field] = flags[row.field]
        elif environ.get(row.env):
            values[row.field] = row.parse(environ[row.env])
    settings = Settings(**values)
    if not _NAME.match(settings.name):
        raise UserError(
            f"instance name {settings.name!r} can't be used",
            "lower-case letters, digits and '-', at most 32, beginning and ending with a letter or digit",
        )
    return settings


def render_settings(settings: Settings) -> str:
    """Return the settings as JSON."""
    return json.dumps({field.name: getattr(settings, field.name) for field in fields(Settings)})


def parse_settings(text: str) -> Settings:
    """Return the settings that `render_settings` wrote."""
    document: dict[str, Any] = json.loads(text)
    known = {field.name for field in fields(Settings)}  # another version may have written it
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in document.items()
        if key in known
    }
    return Settings(**values)
