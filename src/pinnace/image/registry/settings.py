"""How this machine reaches registries, as values: mirrors, hosts without TLS, folders of certificates, patience.

Made by `daemon/` from its settings, and handed to the image store; worker processes get it with each job. The names are
those of Docker's daemon.json (insecure-registries, registry-mirrors, proxies, max-concurrent-downloads).
"""

from __future__ import annotations

import msgspec

DOCKER_CERTS = "/etc/docker/certs.d"  # Source: Docker, docs/engine/security/certificates


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """How long is waited, and how often tried. Units: seconds.

    `stall_s`: without a byte for so long, a connection counts as broken. `tries` are for one request, or for one blob
    without progress; between two of them `first_delay_s` passes, doubled each time up to `most_delay_s`.
    """

    connect_s: float = 15.0
    stall_s: float = 45.0
    tries: int = 6
    first_delay_s: float = 0.5
    most_delay_s: float = 20.0


class RegistrySettings(msgspec.Struct, frozen=True, kw_only=True):
    """What is set by a person.

    `insecure`: HOST, HOST:PORT or a range (10.0.0.0/8) that may be spoken to without TLS or with any certificate; loopback
    always may. `mirrors`: for a domain as references have it, URLs that are asked first, in order.
    `cert_dirs`: folders with HOST[:PORT]/{*.crt, *.cert + *.key}. The proxies are the environment's where they are empty.
    """

    insecure: tuple[str, ...] = ()
    mirrors: dict[str, tuple[str, ...]] = {}
    cert_dirs: tuple[str, ...] = (DOCKER_CERTS,)
    http_proxy: str = ""
    https_proxy: str = ""
    no_proxy: str = ""
    layers_at_once: int = 3  # Source: Docker, max-concurrent-downloads
    patience: Patience = Patience()
