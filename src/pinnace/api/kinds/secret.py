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

_SSH_KEY = "ssh-privatekey"
# The keys that a type can't do without.
_REQUIRED_KEYS: Mapping[str, tuple[str, ...]] = {
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/ssh-auth": (_SSH_KEY,),
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
        if key not in secret.data or (key == _SSH_KEY and not secret.data[key]):
            problems.required(f"data[{key}]")
        elif key in _JSON_KEYS:
            wrong = _check_json(secret.data[key])
            if wrong:
                problems.invalid(f"data[{key}]", "<secret contents redacted>", wrong)
    if secret.type == "kubernetes.io/basic-auth" and not {"username", "password"} & set(secret.data):
        problems.required("data[username]")
        problems.required("data[password]")
    if secret.type == "kubernetes.io/service-account-token" and not secret.metadata.annotations.get(
        _ACCOUNT_ANNOTATION
    ):
        problems.required(f"metadata.annotations[{_ACCOUNT_ANNOTATION}]")


def _check_json(text: str) -> str:
    """Return what is wrong with a JSON object in base64, nearly in Go's words; "" when nothing is."""
    try:
        document = b64decode(text).decode()
    except ValueError:
        return "invalid character"
    if not document.strip():
        return "unexpected end of JSON input"
    try:
        found = json.loads(document)
    except json.JSONDecodeError as error:
        if error.pos >= len(document.rstrip()):
            return "unexpected end of JSON input"
        return f"invalid character '{document[error.pos]}' looking for beginning of value"
    except RecursionError:
        return "exceeded max depth"
    kinds = {list: "array", str: "string", bool: "bool", int: "number", float: "number"}
    if found is None or isinstance(found, dict):
        return ""
    kind = kinds.get(type(found), "value")
    return f"json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}"


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
