"""Gives a new pod its service account, and the account's pull secrets where the pod has none.

A row of the chain. Pure. Source: Kubernetes v1.36, plugin/pkg/admission/serviceaccount.
"""

from typing import Any

from msgspec.structs import replace

from pinnace.api.admission.attempt import Admission, Attempt, Operation
from pinnace.api.errors import forbidden
from pinnace.kube.kinds import POD, SERVICE_ACCOUNT
from pinnace.kube.objects.core_v1 import Pod

DEFAULT_ACCOUNT = "default"


def admit_account(attempt: Attempt) -> Pod:
    """Return the pod with its account.

    The default account may be missing: its controller makes it a moment after the namespace, and a manifest that
    brings its namespace along shall not lose that race. No token volume is added yet, whatever automount says.
    Raises: ApiError Forbidden when the account is not there.
    """
    pod: Pod = attempt.object
    name = pod.spec.service_account_name or DEFAULT_ACCOUNT
    account = attempt.facts.find(SERVICE_ACCOUNT, attempt.namespace, name)
    if account is None and name != DEFAULT_ACCOUNT:
        why = (
            f'error looking up service account {attempt.namespace}/{name}: serviceaccount "{name}" not found'
        )
        raise forbidden(POD, pod.metadata.name, why)
    changes: dict[str, Any] = {"service_account_name": name, "service_account": name}
    if account is not None and account.image_pull_secrets and not pod.spec.image_pull_secrets:
        changes["image_pull_secrets"] = account.image_pull_secrets
    return replace(pod, spec=replace(pod.spec, **changes))


ROW = Admission(
    name="ServiceAccount",
    mutate=admit_account,
    resources=frozenset({POD.resource}),
    operations=frozenset({Operation.CREATE}),
)
