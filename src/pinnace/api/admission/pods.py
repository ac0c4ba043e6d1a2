"""Adds to a new pod what the cluster adds: its service account, priority, tolerations of nodes that fail.

Pure. Source: Kubernetes v1.36, plugin/pkg/admission (serviceaccount, priority, defaulttolerationseconds,
extendedresourcetoleration is not on by default and not here).
"""

from typing import Any

from msgspec.structs import replace

from pinnace.api.context import Context
from pinnace.api.errors import forbidden
from pinnace.api.strategy import Facts
from pinnace.kube.kinds import POD, SERVICE_ACCOUNT
from pinnace.kube.objects.core_v1 import Pod, PodSpec, Toleration

DEFAULT_ACCOUNT = "default"
TOLERATION_S = 300  # Source: plugin/pkg/admission/defaulttolerationseconds, default-*-toleration-seconds
NOT_READY = "node.kubernetes.io/not-ready"
UNREACHABLE = "node.kubernetes.io/unreachable"

# Source: Kubernetes v1.36, pkg/apis/scheduling/types.go, SystemCriticalPriority and the two classes built in.
PRIORITIES = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}

_TOLERATIONS = {
    key: Toleration(key=key, operator="Exists", effect="NoExecute", toleration_seconds=TOLERATION_S)
    for key in (NOT_READY, UNREACHABLE)
}


def admit_pod(pod: Pod, facts: Facts, context: Context) -> Pod:
    """Return the pod as the cluster takes it in.

    Raises: ApiError Forbidden when its service account or priority class is not there.
    """
    spec = pod.spec
    changes: dict[str, Any] = {"tolerations": add_tolerations(spec.tolerations)}
    changes.update(_choose_account(pod, facts))
    changes.update(_choose_priority(pod.metadata.name, spec))
    return replace(pod, spec=replace(spec, **changes))


def add_tolerations(tolerations: tuple[Toleration, ...]) -> tuple[Toleration, ...]:
    """Return the tolerations with five minutes of patience for nodes that are not ready or not reachable."""
    added = tuple(_TOLERATIONS[key] for key in (NOT_READY, UNREACHABLE) if not _tolerates(tolerations, key))
    return (*tolerations, *added) if added else tolerations


def _tolerates(tolerations: tuple[Toleration, ...], key: str) -> bool:
    return any(
        toleration.key in ("", key) and toleration.effect in ("", "NoExecute") for toleration in tolerations
    )


def _choose_account(pod: Pod, facts: Facts) -> dict[str, Any]:
    """Return the account's names, and its pull secrets where the pod has none.

    The default account may be missing: its controller makes it a moment after the namespace, and a manifest that
    brings its namespace along shall not lose that race. No token volume is added yet, whatever automount says.
    """
    name = pod.spec.service_account_name or DEFAULT_ACCOUNT
    account = facts.find(SERVICE_ACCOUNT, pod.metadata.namespace, name)
    if account is None and name != DEFAULT_ACCOUNT:
        why = f'error looking up service account {pod.metadata.namespace}/{name}: serviceaccount "{name}" not found'
        raise forbidden(POD, pod.metadata.name, why)
    changes: dict[str, Any] = {"service_account_name": name, "service_account": name}
    if account is not None and account.image_pull_secrets and not pod.spec.image_pull_secrets:
        changes["image_pull_secrets"] = account.image_pull_secrets
    return changes


def _choose_priority(name: str, spec: PodSpec) -> dict[str, Any]:
    priority = PRIORITIES.get(spec.priority_class_name, 0)
    if spec.priority_class_name and spec.priority_class_name not in PRIORITIES:
        raise forbidden(POD, name, f"no PriorityClass with name {spec.priority_class_name} was found")
    if spec.priority is not None and spec.priority != priority:
        why = f"the integer value of priority ({spec.priority}) must not be provided in pod spec; priority admission"
        raise forbidden(POD, name, f"{why} controller computed {priority} from the given PriorityClass name")
    return {"priority": priority, "preemption_policy": spec.preemption_policy or "PreemptLowerPriority"}
