"""What a person says about the commands of a build, beside the Dockerfile: as values.

`CommandRules` is what the plan needs (and partly the cache keys), `RunOptions` what only the doing needs.
Invariant: what is in `RunOptions` never reaches a plan, a cache key, a history or the news of a build; a secret is shown by
nothing that prints these values.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field

from pinnace.base.errors import UserError
from pinnace.container.cgroup import Limits
from pinnace.container.plan import Rlimit

HOST_NETWORK, INSECURE, DEVICES = "network.host", "security.insecure", "device"
# Source: BuildKit, util/entitlements: what a client may allow a build.
ENTITLEMENTS = (HOST_NETWORK, INSECURE, DEVICES)
NETWORKS = ("default", "none", "host")
SECRET_MAX_BYTES = 500 << 10  # Source: BuildKit, session/secrets/secretsprovider, MaxSecretSize
HOST_GATEWAY = "host-gateway"


@dataclass(frozen=True, slots=True)
class CommandRules:
    """`network` is that of a RUN which names none, `allow` what a Dockerfile may ask for, `hosts` lines of /etc/hosts.

    Shape: `hosts` are (name, address); the address may be "host-gateway".
    """

    network: str = "default"
    allow: frozenset[str] = frozenset()
    hosts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class RunOptions:
    """`secrets` are values by id, `ssh` paths of agents' sockets by id. Units: bytes."""

    limits: Limits = Limits()
    rlimits: tuple[Rlimit, ...] = ()
    shm_bytes: int = 0
    secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    ssh: Mapping[str, str] = field(default_factory=dict)


def read_rules(network: str, allow: tuple[str, ...], hosts: tuple[str, ...]) -> CommandRules:
    """Return the rules that flags give. Raises: UserError.

    A person who gives the whole build the host's network allows it. Source: docker/buildx, build/opt.go (behaviour).
    """
    network = network or "default"
    if network not in NETWORKS:
        raise UserError(f"--network={network}: there is no such network for builds", "default, none or host")
    for name in allow:
        if name not in ENTITLEMENTS:
            raise UserError(f"--allow={name}: invalid entitlement", " or ".join(ENTITLEMENTS[:2]))
    allowed = {*allow, HOST_NETWORK} if network == "host" else set(allow)
    return CommandRules(network, frozenset(allowed), tuple(_read_host(host) for host in hosts))


def _read_host(text: str) -> tuple[str, str]:
    """Return name and address. Example: "db:10.0.0.3", "db=10.0.0.3", "six:[::1]"."""
    mark = "=" if "=" in text else ":"
    name, found, address = text.partition(mark)
    if not name or not found or not address:
        raise UserError(f"bad format for add-host: {text!r}", "--add-host NAME:IP, or NAME:host-gateway")
    address = address.removeprefix("[").removesuffix("]")
    if address != HOST_GATEWAY and not _is_ip(address):
        raise UserError(
            f"invalid IP address in add-host: {address!r}", "--add-host NAME:IP, or NAME:host-gateway"
        )
    return name, address


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def check_secrets(secrets: Mapping[str, bytes]) -> None:
    """Refuse what is too large for a secret. Raises: UserError."""
    for name, value in secrets.items():
        if len(value) > SECRET_MAX_BYTES:
            raise UserError(
                f"invalid secret {name}: it has {len(value)} bytes, the most is {SECRET_MAX_BYTES}",
                "mount larger files with RUN --mount=type=bind and --build-context",
            )
