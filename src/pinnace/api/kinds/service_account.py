"""The ServiceAccount's row: nothing beyond its metadata. Pure.

Source of the warning: Kubernetes v1.36, pkg/registry/core/serviceaccount/strategy.go.
"""

from collections.abc import Iterator

from pinnace.api.strategy import Strategy
from pinnace.kube.kinds import SERVICE_ACCOUNT
from pinnace.kube.objects.core_v1 import ServiceAccount

ENFORCE = "kubernetes.io/enforce-mountable-secrets"


def _warn(account: ServiceAccount) -> Iterator[str]:
    if ENFORCE in account.metadata.annotations:
        yield (
            f"metadata.annotations[{ENFORCE}]: deprecated in v1.32+; prefer separate namespaces to isolate access to "
            "mounted secrets"
        )


STRATEGY = Strategy(kind=SERVICE_ACCOUNT, warn=_warn)
