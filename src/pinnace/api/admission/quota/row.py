"""The row of the chain that keeps namespaces within their quotas. Source: Kubernetes v1.36, apiserver, resourcequota."""

from pinnace.api.admission.attempt import Admission, Attempt


def check_quota(attempt: Attempt) -> None:
    """Raises: ApiError Forbidden when a quota has no room for what the attempt adds."""
    if attempt.quotas is not None and attempt.namespace:
        attempt.quotas.check(attempt)


ROW = Admission(name="ResourceQuota", validate=check_quota, subresources=frozenset({"", "resize"}))
