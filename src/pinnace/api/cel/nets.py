"""CEL's functions on URLs and addresses. Pure. Source: Kubernetes v1.37, apiserver/pkg/cel/library (urls, ip, cidr)."""

import ipaddress
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from pinnace.api.cel.tagged import tag, untag

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

URL, IP, CIDR = "kubernetes.URL", "net.IP", "net.CIDR"


def _split_url(text: str) -> Any:
    parts = urlsplit(text)
    if any(letter.isspace() or ord(letter) < 0x20 for letter in text):
        raise ValueError(f"URL parse error during conversion from string: invalid character in {text!r}")
    if not parts.scheme and not text.startswith("/"):
        raise ValueError(
            f'URL parse error during conversion from string: parse "{text}": invalid URI for request'
        )
    _ = parts.port  # checks that it is a number
    return parts


def url(text: str) -> dict[str, Any]:
    _split_url(text)
    return tag(URL, text)


def is_url(text: str) -> bool:
    try:
        _split_url(text)
    except ValueError:
        return False
    return True


def _part(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: read(_split_url(untag(value, URL)))


def _hostname(parts: Any) -> str:
    host: str = (
        parts.netloc.rpartition("@")[2].rpartition(":")[0].strip("[]")
        if parts.port is not None
        else parts.netloc.rpartition("@")[2].strip("[]")
    )
    return host


URL_PARTS: dict[str, Callable[[Any], Any]] = {
    "getScheme": _part(lambda parts: parts.scheme),
    "getHost": _part(lambda parts: parts.netloc.rpartition("@")[2]),
    "getHostname": _part(_hostname),
    "getPort": _part(lambda parts: "" if parts.port is None else str(parts.port)),
    "getEscapedPath": _part(lambda parts: quote(parts.path, safe="/%:@!$&'()*+,;=~-._")),
    "getQuery": _part(lambda parts: parse_qs(parts.query, keep_blank_values=True)),
}


def _address(text: str) -> Address:
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        raise ValueError(
            f'IP Address "{text}" parse error during conversion from string: unable to parse IP'
        ) from None
    if "%" in text:
        raise ValueError(f'IP address with zone value is not allowed: "{text}"')
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        raise ValueError(f'IPv4-mapped IPv6 address is not allowed: "{text}"')
    return found


def ip(text: str) -> dict[str, Any]:
    return tag(IP, str(_address(text)))


def is_ip(text: str) -> bool:
    try:
        _address(text)
    except ValueError:
        return False
    return True


def is_canonical(text: str) -> bool:
    return str(_address(text)) == text


def family(value: Any) -> int:
    return _address(untag(value, IP)).version


def _test(read: Callable[[Address], bool]) -> Callable[[Any], bool]:
    return lambda value: read(_address(untag(value, IP)))


IP_TESTS: dict[str, Callable[[Any], bool]] = {
    "isUnspecified": _test(lambda address: address.is_unspecified),
    "isLoopback": _test(lambda address: address.is_loopback),
    "isLinkLocalUnicast": _test(lambda address: address.is_link_local),
    "isLinkLocalMulticast": _test(
        lambda address: (
            address in ipaddress.ip_network("224.0.0.0/24")
            if address.version == 4
            else address in ipaddress.ip_network("ff02::/16")
        )
    ),
    "isGlobalUnicast": _test(
        lambda address: (
            not (
                address.is_unspecified or address.is_loopback or address.is_multicast or address.is_link_local
            )
            and str(address) != "255.255.255.255"
        )
    ),
}


def _network(text: str) -> tuple[Address, Network]:
    host, slash, length = text.partition("/")
    if not slash or not length.isdigit():
        raise ValueError(
            f'network address parse error during conversion from string: netip.ParsePrefix("{text}")'
        )
    address = _address(host)
    try:
        return address, ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(
            f'network address parse error during conversion from string: netip.ParsePrefix("{text}")'
        ) from None


def cidr(text: str) -> dict[str, Any]:
    address, network = _network(text)
    return tag(CIDR, f"{address}/{network.prefixlen}")


def is_cidr(text: str) -> bool:
    try:
        _network(text)
    except ValueError:
        return False
    return True


def ip_of_cidr(value: Any) -> dict[str, Any]:
    return tag(IP, str(_network(untag(value, CIDR))[0]))


def masked(value: Any) -> dict[str, Any]:
    return tag(CIDR, str(_network(untag(value, CIDR))[1]))


def prefix_length(value: Any) -> int:
    return _network(untag(value, CIDR))[1].prefixlen


def contains_ip(value: Any, other: Any) -> bool:
    network = _network(untag(value, CIDR))[1]
    address = _address(other if isinstance(other, str) else untag(other, IP))
    return address in network


def contains_cidr(value: Any, other: Any) -> bool:
    network = _network(untag(value, CIDR))[1]
    inner = _network(other if isinstance(other, str) else untag(other, CIDR))[1]
    return (
        network.version == inner.version
        and inner.network_address in network
        and inner.prefixlen >= network.prefixlen
    )
