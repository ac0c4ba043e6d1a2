"""Checks IP addresses and ranges of them. Pure.

Source: Kubernetes v1.36, apimachinery/pkg/util/validation/ip.go; pkg/apis/core/validation, ValidateNonSpecialIP.
"""

import re
from ipaddress import IPv6Address, ip_address, ip_network

from pinnace.api.validation.problems import Problems

NOT_AN_IP = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
NOT_A_RANGE = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
_DOTTED = re.compile(r"[0-9]{1,3}(\.[0-9]{1,3}){3}")


def is_ip(text: str) -> bool:
    """Say whether a text is an IPv4 or IPv6 address."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _without_zeros(text: str) -> str:
    """Return a dotted address without the zeros before its numbers."""
    return ".".join(str(int(part)) for part in text.split("."))


def validate_ip(text: str, path: str, problems: Problems, *, canonical: bool = False) -> bool:
    """Check an address; return whether it is one. `canonical` is for fields that are newer than the rule."""
    if _DOTTED.fullmatch(text) and text != _without_zeros(text) and is_ip(_without_zeros(text)):
        problems.invalid(path, text, "must not have leading 0s")
        return False
    if not is_ip(text) or "%" in text:
        problems.invalid(path, text, NOT_AN_IP)
        return False
    address = ip_address(text)
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        problems.invalid(path, text, "must not be an IPv4-mapped IPv6 address")
        return False
    if canonical and text != str(address):
        problems.invalid(path, text, f'must be in canonical form ("{address}")')
        return False
    return True


def validate_range(text: str, path: str, problems: Problems) -> bool:
    """Check a range like 10.9.8.0/24; return whether it is one."""
    address, slash, length = text.partition("/")
    try:
        network = ip_network(text, strict=False) if slash and length.isdigit() else None
    except ValueError:
        network = None
    if network is None:
        problems.invalid(path, text, NOT_A_RANGE)
        return False
    if length != str(int(length)):
        problems.invalid(path, text, "must not have leading 0s in IP or prefix length")
        return False
    if ip_address(address) != network.network_address:
        problems.invalid(path, text, "must not have bits set beyond the prefix length")
        return False
    return True


def validate_endpoint_ip(text: str, path: str, problems: Problems) -> None:
    """Check an address that traffic may be sent to."""
    if not validate_ip(text, path, problems):
        return
    address = ip_address(text)
    if address.is_unspecified:
        problems.invalid(path, text, f"may not be unspecified ({text})")
    if address.is_loopback:
        problems.invalid(path, text, "may not be in the loopback range (127.0.0.0/8, ::1/128)")
    if address.is_link_local:
        problems.invalid(path, text, "may not be in the link-local range (169.254.0.0/16, fe80::/10)")
    if (
        address.is_multicast
        and (int(address.packed[0]) == 224 or address.version == 6)
        and _is_link_local(text)
    ):
        problems.invalid(path, text, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)")


def _is_link_local(text: str) -> bool:
    return text.startswith("224.0.0.") or text.lower().startswith("ff02:")
