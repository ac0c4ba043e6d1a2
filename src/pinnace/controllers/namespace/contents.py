"""Decides and makes what every namespace holds from the start: the ServiceAccount "default", the cluster's CA certificate.

Run by the runner. Invariant: in a namespace that is not terminating both are there, and the certificate is the present one.
Source: Kubernetes v1.36, pkg/controller/serviceaccount and pkg/controller/certificates/rootcacertpublisher.
"""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from pinnace.api.facade import Api, ObjectChange
from pinnace.base.errors import ApiError, Reason
from pinnace.controllers.apply import apply_plan
from pinnace.controllers.plan import Change, Create, Plan, Step
from pinnace.controllers.runner import ObjectKey, Requeue, Source, Stale, own_key
from pinnace.kube.kinds import CONFIG_MAP, NAMESPACE, SERVICE_ACCOUNT
from pinnace.kube.objects.core_v1 import ConfigMap, Namespace, ServiceAccount
from pinnace.kube.objects.meta_v1 import ObjectMeta

COMPONENT = "namespace-contents-controller"
ACCOUNT = "default"
ROOT_CA = "kube-root-ca.crt"
# Source: rootcacertpublisher/publisher.go, DescriptionAnnotation (the key; the sentence is ours).
DESCRIPTION = {
    "kubernetes.io/description": "The certificate authority that signed the API server's certificate."
}


def reconcile_contents(
    namespace: Namespace, account: ServiceAccount | None, root_ca: ConfigMap | None, ca_text: str
) -> Plan:
    """Return what is missing in the namespace."""
    name = namespace.metadata.name
    if namespace.metadata.deletion_timestamp:
        return Plan()
    steps: list[Step] = []
    if account is None:
        steps.append(Create(ServiceAccount(metadata=ObjectMeta(name=ACCOUNT, namespace=name))))
    data = {"ca.crt": ca_text}
    if root_ca is None:
        metadata = ObjectMeta(name=ROOT_CA, namespace=name, annotations=DESCRIPTION)
        steps.append(Create(ConfigMap(metadata=metadata, data=data)))
    elif root_ca.data != data:
        steps.append(
            Change(root_ca, msgspec.structs.replace(root_ca, data=data), "the cluster's CA certificate")
        )
    return Plan(tuple(steps))


class NamespaceContentsController:
    """Fills namespaces. `ca_text`: the CA certificate as PEM."""

    name = "namespace-contents"
    kind = NAMESPACE

    def __init__(self, api: Api, ca_text: str) -> None:
        self._api = api
        self._ca_text = ca_text
        self.sources = (
            Source(NAMESPACE, own_key),
            Source(SERVICE_ACCOUNT, _keys_of(ACCOUNT)),
            Source(CONFIG_MAP, _keys_of(ROOT_CA)),
        )

    async def reconcile(self, key: ObjectKey) -> Requeue | None:
        namespace = self._api.find(NAMESPACE, "", key.name)
        if namespace is None:
            return None
        account = self._api.find(SERVICE_ACCOUNT, key.name, ACCOUNT)
        root_ca = self._api.find(CONFIG_MAP, key.name, ROOT_CA)
        try:
            return await apply_plan(
                self._api, reconcile_contents(namespace, account, root_ca, self._ca_text), COMPONENT
            )
        except ApiError as error:
            if error.reason is Reason.ALREADY_EXISTS:
                raise Stale(str(error)) from error
            if error.reason is Reason.FORBIDDEN or error.reason is Reason.NOT_FOUND:
                raise Stale(f"namespace {key.name} goes") from error
            raise


def _keys_of(name: str) -> Callable[[ObjectChange[Any]], Iterator[ObjectKey]]:
    """Return the function from a change to the namespace of the object, if the object has `name`."""

    def keys(change: ObjectChange[Any]) -> Iterator[ObjectKey]:
        meta = change.object.metadata
        if meta.name == name and change.type != "ADDED":
            yield ObjectKey("", meta.namespace)

    return keys
