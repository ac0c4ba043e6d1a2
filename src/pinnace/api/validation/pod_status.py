"""Checks what is written into a pod's status. Pure.

Source: Kubernetes v1.36, pkg/apis/core/validation, ValidatePodStatusUpdate.
"""

from collections.abc import Iterable
from ipaddress import ip_address

from pinnace.api.validation.addresses import validate_ip
from pinnace.api.validation.names import check_qualified_name, check_subdomain
from pinnace.api.validation.problems import Problems
from pinnace.kube.objects.core_v1 import ContainerStatus, Pod

_OURS = ("PodScheduled", "Ready", "Initialized")


def validate_pod_status(new: Pod, old: Pod, problems: Problems) -> None:
    """Check the new status, and that no container that is not to be restarted comes back."""
    status, before = new.status, old.status
    for index, condition in enumerate(status.conditions):
        if condition.type not in _OURS:
            where = f"metadata.conditions[{index}].Type"
            problems.each(where, condition.type, check_qualified_name(condition.type))
    nominated = status.nominated_node_name
    if nominated and nominated != before.nominated_node_name:
        problems.each("status.nominatedNodeName", nominated, check_subdomain(nominated))
    policy = old.spec.restart_policy
    sidecars = {one.name for one in old.spec.init_containers if one.restart_policy == "Always"}
    for name, now, had, rule in (
        ("containerStatuses", status.container_statuses, before.container_statuses, policy),
        ("initContainerStatuses", status.init_container_statuses, before.init_container_statuses, policy),
        (
            "ephemeralContainerStatuses",
            status.ephemeral_container_statuses,
            before.ephemeral_container_statuses,
            "Never",
        ),
    ):
        if rule != "Always" and had:
            spared = sidecars if name == "initContainerStatuses" else set()
            _validate_transitions(now, had, f"status.{name}", rule, spared, problems)
    if status.pod_ips != before.pod_ips:
        _validate_addresses([one.ip for one in status.pod_ips], "status.podIPs", problems)
    if status.host_ips and status.host_ips != before.host_ips:
        addresses = [one.ip for one in status.host_ips]
        if addresses[0] != status.host_ip:
            problems.invalid("status.hostIPs[0].ip", addresses[0], "must be equal to `hostIP`")
        _validate_addresses(addresses, "status.hostIPs", problems)


def _validate_transitions(
    new: tuple[ContainerStatus, ...],
    old: tuple[ContainerStatus, ...],
    path: str,
    policy: str,
    spared: Iterable[str],
    problems: Problems,
) -> None:
    for index, before in enumerate(old):
        ended = before.state.terminated
        if ended is None or before.name in spared or (ended.exit_code != 0 and policy == "OnFailure"):
            continue
        for now in new:
            if now.name == before.name and now.state.terminated is None:
                problems.forbidden(
                    f"{path}[{index}].state", "may not be transitioned to non-terminated state"
                )


def _validate_addresses(addresses: list[str], path: str, problems: Problems) -> None:
    right = [validate_ip(text, f"{path}[{index}]", problems) for index, text in enumerate(addresses)]
    if len(addresses) < 2 or not all(right):
        return
    if len(addresses) > 2 or len({ip_address(text).version for text in addresses}) < 2:
        problems.invalid(path, addresses, "may specify no more than one IP for each IP family")
    for index, text in enumerate(addresses):
        if text in addresses[:index]:
            problems.duplicate(f"{path}[{index}]", {"ip": text})
