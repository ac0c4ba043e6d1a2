"""The Secret's row. Pure. Source: Kubernetes v1.36, pkg/apis/core/validation, ValidateSecret."""

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping

from msgspec.structs import replace

from pinnace.api.kinds.config_map import LIMIT_BYTES, validate_base64
from pinnace.api.strategy import Strategy
from pinnace.api.validation.names import check_config_key
from pinnace.api.validation.problems import Problems
from pinnace.kube.kinds import SECRET
from pinnace.kube.objects.core_v1 import Secret

# The keys that a type can't do without.
_REQUIRED_KEYS: Mapping[str, tuple[str, ...]] = {
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
}
_JSON_KEYS = (".dockercfg", ".dockerconfigjson")
_ACCOUNT_ANNOTATION = "kubernetes.io/service-account.name"


def _default(secret: Secret) -> Secret:
    """Fill in the type, and move `stringData` into `data` (it wins, and is never read back)."""
    data = secret.data
    if secret.string_data:
        data = {
            **data,
            **{key: b64encode(text.encode()).decode() for key, text in secret.string_data.items()},
        }
    elif secret.type:
        return secret
    return replace(secret, type=secret.type or "Opaque", data=data, string_data={})


def _validate(secret: Secret, problems: Problems) -> None:
    total = 0
    for key, text in secret.data.items():
        problems.each(f"data[{key}]", key, check_config_key(key))
        total += validate_base64(text, f"data[{key}]", problems)
    if total > LIMIT_BYTES:
        problems.too_long("data", LIMIT_BYTES)
    for key in _REQUIRED_KEYS.get(secret.type, ()):
        if key not in secret.data:
            problems.required(f"data[{key}]")
        elif key in _JSON_KEYS and not _is_json(secret.data[key]):
            problems.invalid(f"data[{key}]", "<secret contents redacted>", "invalid character")
    if secret.type == "kubernetes.io/basic-auth" and not {"username", "password"} & set(secret.data):
        problems.required("data[username]")
        problems.required("data[password]")
    if secret.type == "kubernetes.io/service-account-token" and not secret.metadata.annotations.get(
        _ACCOUNT_ANNOTATION
    ):
        problems.required(f"metadata.annotations[{_ACCOUNT_ANNOTATION}]")


def _is_json(text: str) -> bool:
    try:
        json.loads(b64decode(text))
    except (ValueError, RecursionError):
        return False
    return True


def _validate_update(new: Secret, old: Secret, problems: Problems) -> None:
    if new.type != old.type:
        problems.immutable("type", new.type)
    if not old.immutable:
        return
    words = "field is immutable when `immutable` is set"
    if not new.immutable:
        problems.forbidden("immutable", words)
    if new.data != old.data:
        problems.forbidden("data", words)


STRATEGY = Strategy(kind=SECRET, default=_default, validate=_validate, validate_update=_validate_update)
