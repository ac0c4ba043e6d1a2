"""Checks hosts, paths with a domain, and ranges of addresses. Pure.

Source: Kubernetes v1.36, apimachinery/pkg/util/validation/validation.go.
"""

import re
from ipaddress import IPv4Network, IPv6Network, ip_network

from pinnace.api.validation.names import check_subdomain
from pinnace.api.validation.problems import Problems

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_WILDCARD = rf"\*\.{_LABEL}(\.{_LABEL})*"
_WILDCARD_RE = re.compile(_WILDCARD)
_WILDCARD_SENTENCE = (
    "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of"
    " lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. '*.example.com',"
    f" regex used for validation is '{_WILDCARD}')"
)
_HTTP_PATH = r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+"
NOT_A_RANGE = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"


def validate_host(host: str, path: str, problems: Problems) -> None:
    """Check a name, or a name whose first label is a star."""
    if "*" not in host:
        problems.each(path, host, check_subdomain(host))
        return
    if len(host) > 253:
        problems.invalid(path, host, "must be no more than 253 bytes")
    if not _WILDCARD_RE.fullmatch(host):
        problems.invalid(path, host, _WILDCARD_SENTENCE)


def validate_domain_path(text: str, path: str, problems: Problems) -> None:
    """Check a name like "acme.io/foo"."""
    host, _, rest = text.partition("/")
    if not text:
        problems.required(path)
        return
    if not host or not rest:
        problems.invalid(path, text, 'must be a domain-prefixed path (such as "acme.io/foo")')
        return
    problems.each(path, host, check_subdomain(host))
    if not re.fullmatch(_HTTP_PATH, rest):
        problems.invalid(path, rest, f"Invalid path (regex used for validation is '{_HTTP_PATH}')")


def parse_range(text: str) -> IPv4Network | IPv6Network | None:
    """Return the range of addresses; None when the text is none."""
    if "/" not in text:
        return None
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None
