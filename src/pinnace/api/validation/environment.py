"""Checks a container's environment variables. Pure. Source: Kubernetes v1.36, pkg/apis/core/validation, ValidateEnv."""

from pinnace.api.validation.downward import ENV_FIELDS, validate_amount_of, validate_field
from pinnace.api.validation.names import as_prefix, check_config_key, check_env_name, check_subdomain
from pinnace.api.validation.paths import validate_unreserved_path
from pinnace.api.validation.problems import Problems
from pinnace.kube.objects.core_v1 import EnvFromSource, EnvVar, EnvVarSource

_TOO_MANY = "may not have more than one field specified at a time"
_check_name_prefix = as_prefix(check_subdomain)


def validate_env(variables: tuple[EnvVar, ...], path: str, problems: Problems) -> None:
    """Check variables, each with a value or a place to take it from."""
    for index, variable in enumerate(variables):
        where = f"{path}[{index}]"
        if not variable.name:
            problems.required(f"{where}.name")
        else:
            problems.each(f"{where}.name", variable.name, check_env_name(variable.name))
        if variable.value_from is not None:
            _validate_value_from(variable, variable.value_from, f"{where}.valueFrom", problems)


def _validate_value_from(variable: EnvVar, source: EnvVarSource, path: str, problems: Problems) -> None:
    count = 0
    if source.field_ref is not None:
        count += 1
        validate_field(source.field_ref, ENV_FIELDS, f"{path}.fieldRef", problems)
    if source.resource_field_ref is not None:
        count += 1
        validate_amount_of(source.resource_field_ref, f"{path}.resourceFieldRef", problems, in_volume=False)
    for name, reference in (
        ("configMapKeyRef", source.config_map_key_ref),
        ("secretKeyRef", source.secret_key_ref),
    ):
        if reference is None:
            continue
        count += 1
        problems.each(f"{path}.{name}.name", reference.name, check_subdomain(reference.name))
        if not reference.key:
            problems.required(f"{path}.{name}.key")
        else:
            problems.each(f"{path}.{name}.key", reference.key, check_config_key(reference.key))
    if source.file_key_ref is not None:
        count += 1
        file = source.file_key_ref
        for name, text in (("key", file.key), ("volumeName", file.volume_name), ("path", file.path)):
            if not text:
                problems.required(f"{path}.fileKeyRef.{name}")
        if file.path:
            validate_unreserved_path(file.path, f"{path}.fileKeyRef.path", problems)
    if count == 0:
        problems.invalid(
            path,
            "",
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
        )
    elif variable.value:
        problems.invalid(path, "", "may not be specified when `value` is not empty")
    elif count > 1:
        problems.invalid(path, "", _TOO_MANY)


def validate_env_from(sources: tuple[EnvFromSource, ...], path: str, problems: Problems) -> None:
    """Check the ConfigMaps and Secrets that become variables as a whole."""
    for index, source in enumerate(sources):
        where = f"{path}[{index}]"
        if source.prefix:
            problems.each(f"{where}.prefix", source.prefix, check_env_name(source.prefix))
        present = [
            (name, reference)
            for name, reference in (("configMapRef", source.config_map_ref), ("secretRef", source.secret_ref))
            if reference is not None
        ]
        for name, reference in present:
            if not reference.name:
                problems.required(f"{where}.{name}.name")
            else:
                problems.each(f"{where}.{name}.name", reference.name, _check_name_prefix(reference.name))
        if not present:
            problems.invalid(path, "", "must specify one of: `configMapRef` or `secretRef`")
        elif len(present) > 1:
            problems.invalid(path, "", _TOO_MANY)
