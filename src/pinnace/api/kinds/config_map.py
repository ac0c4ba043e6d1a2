"""The ConfigMap's row. Pure. Source: Kubernetes v1.36, pkg/apis/core/validation, ValidateConfigMap."""

from base64 import b64decode

from pinnace.api.strategy import Strategy
from pinnace.api.validation.names import check_config_key
from pinnace.api.validation.problems import Problems
from pinnace.kube.kinds import CONFIG_MAP
from pinnace.kube.objects.core_v1 import ConfigMap

LIMIT_BYTES = 1024 * 1024  # Source: Kubernetes v1.36, pkg/apis/core/types.go, MaxSecretSize


def _validate(config_map: ConfigMap, problems: Problems) -> None:
    total = 0
    for key, text in config_map.data.items():
        problems.each(f"data[{key}]", key, check_config_key(key))
        if key in config_map.binary_data:
            problems.invalid(f"data[{key}]", key, "duplicate of key present in binaryData")
        total += len(text.encode())
    for key, text in config_map.binary_data.items():
        problems.each(f"binaryData[{key}]", key, check_config_key(key))
        total += validate_base64(text, f"binaryData[{key}]", problems)
    if total > LIMIT_BYTES:
        problems.too_long("", LIMIT_BYTES)


def validate_base64(text: str, path: str, problems: Problems) -> int:
    """Check one value; return the number of bytes it stands for."""
    try:
        return len(b64decode(text, validate=True))
    except ValueError:
        problems.invalid(path, text, "illegal base64 data")
        return 0


def _validate_update(new: ConfigMap, old: ConfigMap, problems: Problems) -> None:
    if not old.immutable:
        return
    words = "field is immutable when `immutable` is set"
    if not new.immutable:
        problems.forbidden("immutable", words)
    if new.data != old.data:
        problems.forbidden("data", words)
    if new.binary_data != old.binary_data:
        problems.forbidden("binaryData", words)


STRATEGY = Strategy(kind=CONFIG_MAP, validate=_validate, validate_update=_validate_update)
