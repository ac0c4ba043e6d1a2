"""Checks what a pod says about names: its resolver's configuration and its own hosts. Pure.

Source: Kubernetes v1.36, pkg/apis/core/validation, validatePodDNSConfig and ValidateHostAliases.
"""

import re

from pinnace.api.validation.addresses import validate_ip
from pinnace.api.validation.names import check_subdomain
from pinnace.api.validation.problems import Problems
from pinnace.kube.objects.core_v1 import HostAlias, PodSpec

_NAMESERVERS_MOST = 3
_SEARCHES_MOST = 32
_SEARCH_CHARACTERS_MOST = 2048
_PART = "_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
_SEARCH = rf"{_PART}(\.{_PART})*"
_SEARCH_RE = re.compile(_SEARCH)


def validate_dns(spec: PodSpec, path: str, problems: Problems) -> None:
    """Check the resolver's configuration, and that there is one where the policy leaves all to it."""
    config = spec.dns_config
    if spec.dns_policy == "None":
        if config is None:
            problems.required(path, "must provide `dnsConfig` when `dnsPolicy` is None")
            return
        if not config.nameservers:
            words = "must provide at least one DNS nameserver when `dnsPolicy` is None"
            problems.required(f"{path}.nameservers", words)
            return
    if config is None:
        return
    if len(config.nameservers) > _NAMESERVERS_MOST:
        words = f"must not have more than {_NAMESERVERS_MOST} nameservers"
        problems.invalid(f"{path}.nameservers", config.nameservers, words)
    for index, address in enumerate(config.nameservers):
        validate_ip(address, f"{path}.nameservers[{index}]", problems)
    if len(config.searches) > _SEARCHES_MOST:
        words = f"must not have more than {_SEARCHES_MOST} search paths"
        problems.invalid(f"{path}.searches", config.searches, words)
    if len(" ".join(config.searches)) > _SEARCH_CHARACTERS_MOST:
        words = f"must not have more than {_SEARCH_CHARACTERS_MOST} characters (including spaces) in the search list"
        problems.invalid(f"{path}.searches", config.searches, words)
    for index, search in enumerate(config.searches):
        _validate_search(search, f"{path}.searches[{index}]", problems)
    for index, option in enumerate(config.options):
        if not option.name:
            problems.required(f"{path}.options[{index}]", "must not be empty")


def _validate_search(text: str, path: str, problems: Problems) -> None:
    if text == ".":
        return
    name = text.removesuffix(".")
    if len(name) > 253:
        problems.invalid(path, name, "must be no more than 253 characters")
    if not _SEARCH_RE.fullmatch(name):
        words = (
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', "
            "and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation "
            f"is '{_SEARCH}')"
        )
        problems.invalid(path, name, words)


def validate_host_aliases(aliases: tuple[HostAlias, ...], path: str, problems: Problems) -> None:
    """Check the lines that a pod adds to its /etc/hosts."""
    for index, alias in enumerate(aliases):
        validate_ip(alias.ip, f"{path}[{index}].ip", problems)
        for at, hostname in enumerate(alias.hostnames):
            problems.each(f"{path}[{index}].hostnames[{at}]", hostname, check_subdomain(hostname))
