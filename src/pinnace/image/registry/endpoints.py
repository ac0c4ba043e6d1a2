"""Decides where a registry is reached: mirrors first, TLS or not, through which proxy. Pure.

Source: moby, registry/service_v2.go and registry/config.go (docker.io, mirrors, loopback); Go, x/net/http/httpproxy.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from pinnace.base.errors import UserError
from pinnace.image.registry.settings import RegistrySettings
from pinnace.oci.reference import DEFAULT_DOMAIN

DOCKER_HUB = "registry-1.docker.io"
LOOPBACK = ("127.0.0.0/8", "::1/128")


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One address of a registry. `verify`: whether its certificate must be good. `domain` is what credentials are for."""

    scheme: str
    host: str
    prefix: str = ""
    verify: bool = True
    mirror: bool = False
    domain: str = ""

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}{self.prefix}"


def compute_endpoints(domain: str, settings: RegistrySettings, *, push: bool = False) -> tuple[Endpoint, ...]:
    """Return the addresses to try, in order; a push never goes to a mirror.

    Raises: UserError for a mirror's address that can't be used.
    Example: "localhost:5000" gives https (any certificate), then http.
    """
    found: list[Endpoint] = []
    if not push:
        for url in settings.mirrors.get(domain, ()):
            found += _mirror(url, settings)
    host = DOCKER_HUB if domain == DEFAULT_DOMAIN else domain
    found += _both(Endpoint(scheme="https", host=host, domain=domain), settings)
    return tuple(found)


def _mirror(url: str, settings: RegistrySettings) -> list[Endpoint]:
    parts = urlsplit(url if "://" in url else f"https://{url}")
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or "@" in parts.netloc:
        raise UserError(f"the mirror {url!r} is no address", hint="write https://HOST[:PORT][/PATH]")
    one = Endpoint(
        scheme=parts.scheme,
        host=parts.netloc,
        prefix=parts.path.rstrip("/"),
        mirror=True,
        domain=parts.netloc,
    )
    return [one] if parts.scheme == "http" else _both(one, settings)


def _both(secure: Endpoint, settings: RegistrySettings) -> list[Endpoint]:
    """Return an address with TLS, and where that is allowed the same without."""
    if not is_insecure(secure.host, settings):
        return [secure]
    return [
        msgspec.structs.replace(secure, verify=False),
        msgspec.structs.replace(secure, scheme="http", verify=False),
    ]


def is_insecure(host: str, settings: RegistrySettings) -> bool:
    """Say whether a host may be spoken to without a good certificate.

    Loopback may, unless somebody gave certificates for it.
    """
    name = host_name(host)
    if host in settings.insecure or name in settings.insecure:
        return True
    if in_ranges(name, settings.insecure):
        return True
    return in_ranges("127.0.0.1" if name == "localhost" else name, LOOPBACK) and not find_certs(
        host, settings.cert_dirs
    )


def find_certs(host: str, cert_dirs: tuple[str, ...]) -> Path | None:
    """Return the folder with certificates for HOST:PORT, if there is one."""
    for folder in cert_dirs:
        path = Path(folder) / host
        if path.is_dir():
            return path
    return None


def in_ranges(name: str, ranges: tuple[str, ...]) -> bool:
    """Say whether an address lies in one of the ranges; a name never does."""
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    for text in ranges:
        try:
            if address in ipaddress.ip_network(text, strict=False):
                return True
        except ValueError:
            continue
    return False


def host_name(host: str) -> str:
    """Return the name without its port and brackets. Example: "[::1]:5000" gives "::1"."""
    return urlsplit(f"//{host}").hostname or host


def host_port(host: str, scheme: str) -> int:
    """Return the port, or the scheme's. Raises: UserError."""
    try:
        return urlsplit(f"//{host}").port or (443 if scheme == "https" else 80)
    except ValueError:
        raise UserError(f"{host!r} has no port that could be used") from None


def find_proxy(
    scheme: str, host: str, settings: RegistrySettings, environment: Mapping[str, str]
) -> str | None:
    """Return the proxy's URL for an address, or None to go there directly. Loopback is never behind a proxy."""
    name = host_name(host)
    if name == "localhost" or in_ranges(name, LOOPBACK):
        return None

    def said(key: str) -> str:
        return environment.get(key.lower()) or environment.get(key.upper()) or ""

    proxy = (settings.https_proxy if scheme == "https" else settings.http_proxy) or said(f"{scheme}_proxy")
    if not proxy or _is_spared(name, host_port(host, scheme), settings.no_proxy or said("no_proxy")):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _is_spared(name: str, port: int, no_proxy: str) -> bool:
    for word in (word.strip().lower() for word in no_proxy.split(",")):
        if word == "*" or (word and in_ranges(name, (word,))):
            return True
        if word.count(":") == 1:
            word, _, its_port = word.partition(":")
            if its_port != str(port):
                continue
        word = word.removeprefix("*")
        if word and (name.lower() == word.removeprefix(".") or name.lower().endswith("." + word.lstrip("."))):
            return True
    return False
