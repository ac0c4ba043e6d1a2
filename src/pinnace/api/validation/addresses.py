"""Checks IP addresses. Pure. Source: Kubernetes v1.36, pkg/apis/core/validation, ValidateEndpointIP."""

from ipaddress import ip_address

from pinnace.api.validation.problems import Problems

NOT_AN_IP = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"


def is_ip(text: str) -> bool:
    """Say whether a text is an IPv4 or IPv6 address."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def validate_endpoint_ip(text: str, path: str, problems: Problems) -> None:
    """Check an address that traffic may be sent to."""
    if not is_ip(text):
        problems.invalid(path, text, NOT_AN_IP)
        return
    address = ip_address(text)
    if address.is_unspecified:
        problems.invalid(path, text, f"may not be unspecified ({text})")
    if address.is_loopback:
        problems.invalid(path, text, "may not be in the loopback range (127.0.0.0/8, ::1/128)")
    if address.is_link_local:
        problems.invalid(path, text, "may not be in the link-local range (169.254.0.0/16, fe80::/10)")
