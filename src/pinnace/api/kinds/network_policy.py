"""The NetworkPolicy's row. Pure. Source: Kubernetes v1.36, pkg/apis/networking/v1/defaults.go and validation."""

from typing import TypeVar

from msgspec.structs import replace

from pinnace.api.strategy import Strategy
from pinnace.api.validation.cluster_warnings import find_policy_warnings
from pinnace.api.validation.hosts import NOT_A_RANGE, parse_range
from pinnace.api.validation.names import check_port_name
from pinnace.api.validation.problems import Problems
from pinnace.api.validation.selectors import validate_label_selector
from pinnace.kube.kinds import NETWORK_POLICY
from pinnace.kube.objects.networking_v1 import (
    IPBlock,
    NetworkPolicy,
    NetworkPolicyEgressRule,
    NetworkPolicyIngressRule,
    NetworkPolicyPeer,
    NetworkPolicyPort,
)

R = TypeVar("R", NetworkPolicyIngressRule, NetworkPolicyEgressRule)

_PROTOCOLS = frozenset({"SCTP", "TCP", "UDP"})
_TYPES = frozenset({"Egress", "Ingress"})


def _default(policy: NetworkPolicy) -> NetworkPolicy:
    spec = policy.spec
    return replace(
        policy,
        spec=replace(
            spec,
            policy_types=spec.policy_types or (("Ingress", "Egress") if spec.egress else ("Ingress",)),
            ingress=tuple(_default_rule(rule) for rule in spec.ingress),
            egress=tuple(_default_rule(rule) for rule in spec.egress),
        ),
    )


def _default_rule(rule: R) -> R:
    ports = tuple(port if port.protocol else replace(port, protocol="TCP") for port in rule.ports)
    return replace(rule, ports=ports)


def _validate(policy: NetworkPolicy, problems: Problems) -> None:
    spec = policy.spec
    validate_label_selector(spec.pod_selector, "spec.podSelector", problems)
    for index, ingress in enumerate(spec.ingress):
        _validate_rule(ingress.ports, ingress.from_, f"spec.ingress[{index}]", "from", problems)
    for index, egress in enumerate(spec.egress):
        _validate_rule(egress.ports, egress.to, f"spec.egress[{index}]", "to", problems)
    if len(spec.policy_types) > len(_TYPES):
        why = "may not specify more than two policyTypes"
        problems.invalid("spec.policyTypes", spec.policy_types, why)
        return
    for index, word in enumerate(spec.policy_types):
        problems.one_of(f"spec.policyTypes[{index}]", word, _TYPES)


def _validate_rule(
    ports: tuple[NetworkPolicyPort, ...],
    peers: tuple[NetworkPolicyPeer, ...],
    path: str,
    side: str,
    problems: Problems,
) -> None:
    for index, port in enumerate(ports):
        _validate_port(port, f"{path}.ports[{index}]", problems)
    for index, peer in enumerate(peers):
        _validate_peer(peer, f"{path}.{side}[{index}]", problems)


def _validate_port(port: NetworkPolicyPort, path: str, problems: Problems) -> None:
    problems.one_of(f"{path}.protocol", port.protocol, _PROTOCOLS)
    last = port.end_port
    if port.port is None:
        if last is not None:
            problems.invalid(f"{path}.endPort", last, "must not be specified when `port` is not specified")
    elif isinstance(port.port, str):
        if last is not None:
            problems.invalid(f"{path}.endPort", last, "may not be specified when `port` is non-numeric")
        problems.each(f"{path}.port", port.port, check_port_name(port.port))
    else:
        problems.port(f"{path}.port", port.port)
        if last is not None:
            if last < port.port:
                problems.invalid(f"{path}.endPort", last, "must be greater than or equal to `port`")
            problems.port(f"{path}.endPort", last)


def _validate_peer(peer: NetworkPolicyPeer, path: str, problems: Problems) -> None:
    for name, selector in (
        ("podSelector", peer.pod_selector),
        ("namespaceSelector", peer.namespace_selector),
    ):
        if selector is not None:
            validate_label_selector(selector, f"{path}.{name}", problems)
    if peer.ip_block is not None:
        _validate_block(peer.ip_block, f"{path}.ipBlock", problems)
    selects = peer.pod_selector is not None or peer.namespace_selector is not None
    if not selects and peer.ip_block is None:
        problems.required(path, "must specify a peer")
    elif selects and peer.ip_block is not None:
        problems.forbidden(path, "may not specify both ipBlock and another peer")


def _validate_block(block: IPBlock, path: str, problems: Problems) -> None:
    if not block.cidr:
        problems.required(f"{path}.cidr")
        return
    whole = parse_range(block.cidr)
    if whole is None:
        problems.invalid(f"{path}.cidr", block.cidr, NOT_A_RANGE)
        return
    for index, text in enumerate(block.except_):
        where, part = f"{path}.except[{index}]", parse_range(text)
        if part is None:
            problems.invalid(where, text, NOT_A_RANGE)
        elif (
            part.version != whole.version
            or part.network_address not in whole
            or part.prefixlen <= whole.prefixlen
        ):
            problems.invalid(where, text, "must be a strict subset of `cidr`")


STRATEGY = Strategy(
    kind=NETWORK_POLICY, default=_default, validate=_validate, generation=True, warn=find_policy_warnings
)
