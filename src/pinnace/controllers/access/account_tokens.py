"""Fills Secrets of type kubernetes.io/service-account-token, and removes those whose account is gone.

`reconcile_secret` is pure, given who signs. Tokens in Secrets have no end: they are for those who ask for one by making
such a Secret; pods get tokens that end.
Source: Kubernetes v1.36, pkg/controller/serviceaccount/tokens_controller.go.
"""

from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any

from msgspec.structs import replace

from pinnace.api.access.claims import TOKEN_KEY
from pinnace.api.access.tokens import Tokens
from pinnace.api.facade import Api, ObjectChange
from pinnace.controllers.apply import apply_plan
from pinnace.controllers.plan import Change, Delete, Plan
from pinnace.controllers.runner import ObjectKey, Requeue, Source
from pinnace.kube.kinds import SECRET, SERVICE_ACCOUNT
from pinnace.kube.objects.core_v1 import Secret, ServiceAccount

TOKEN_TYPE = "kubernetes.io/service-account-token"
ACCOUNT_NAME = "kubernetes.io/service-account.name"
ACCOUNT_UID = "kubernetes.io/service-account.uid"
COMPONENT = "tokens-controller"

Sign = Callable[[Secret, ServiceAccount], str]


def reconcile_secret(secret: Secret, account: ServiceAccount | None, ca_text: str, sign: Sign) -> Plan:
    """Return what is to be done about one Secret of the type."""
    meta = secret.metadata
    if meta.deletion_timestamp:
        return Plan()
    uid = meta.annotations.get(ACCOUNT_UID, "")
    if account is None or (uid and uid != account.metadata.uid):
        name = meta.annotations.get(ACCOUNT_NAME, "")
        return Plan((Delete(secret, f'there is no service account "{name}" any more'),))
    wanted = {"ca.crt": _encode(ca_text), "namespace": _encode(meta.namespace)}
    if not secret.data.get(TOKEN_KEY):
        wanted[TOKEN_KEY] = _encode(sign(secret, account))
    data = {**secret.data, **wanted}
    annotations = {**meta.annotations, ACCOUNT_UID: account.metadata.uid}
    if data == secret.data and annotations == meta.annotations:
        return Plan()
    filled = replace(secret, metadata=replace(meta, annotations=annotations), data=data)
    return Plan((Change(secret, filled, "the account's token"),))


def _encode(text: str) -> str:
    return b64encode(text.encode()).decode()


class AccountTokensController:
    """Keeps such Secrets. `ca_text`: the CA certificate as PEM."""

    name = "serviceaccount-tokens"
    kind = SECRET

    def __init__(self, api: Api, tokens: Tokens, ca_text: str) -> None:
        self._api = api
        self._tokens = tokens
        self._ca_text = ca_text
        self.sources = (Source(SECRET, _own_keys), Source(SERVICE_ACCOUNT, self._keys_of_account))

    def _keys_of_account(self, change: ObjectChange[Any]) -> Iterator[ObjectKey]:
        meta = change.object.metadata
        for secret in self._api.list(SECRET, meta.namespace):
            if secret.type == TOKEN_TYPE and secret.metadata.annotations.get(ACCOUNT_NAME) == meta.name:
                yield ObjectKey(meta.namespace, secret.metadata.name)

    async def reconcile(self, key: ObjectKey) -> Requeue | None:
        secret = self._api.find(SECRET, key.namespace, key.name)
        if secret is None or secret.type != TOKEN_TYPE:
            return None
        name = secret.metadata.annotations.get(ACCOUNT_NAME, "")
        account = self._api.find(SERVICE_ACCOUNT, key.namespace, name)
        plan = reconcile_secret(secret, account, self._ca_text, self._tokens.issue_legacy)
        return await apply_plan(self._api, plan, COMPONENT)


def _own_keys(change: ObjectChange[Any]) -> Iterator[ObjectKey]:
    if change.object.type == TOKEN_TYPE:
        yield ObjectKey(change.object.metadata.namespace, change.object.metadata.name)
