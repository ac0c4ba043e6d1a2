"""Says what is wrong with a CustomResourceDefinition: group, names, versions, columns, subresources, conversion.

Pure; the schemas are judged by `schema_rules.py`. All problems are told at once, in Kubernetes' words.
Source: Kubernetes v1.37, apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go.
"""

from collections.abc import Iterator

from pinnace.api.custom.conditions import is_established
from pinnace.api.custom.formats import FORMATS
from pinnace.api.custom.schema_rules import SchemaJudge, schemas_below
from pinnace.api.validation.names import check_label_1035, check_subdomain
from pinnace.api.validation.problems import Problems
from pinnace.kube.objects.apiextensions_v1 import (
    CustomResourceColumnDefinition,
    CustomResourceConversion,
    CustomResourceDefinition,
    CustomResourceDefinitionNames,
    CustomResourceDefinitionVersion,
    CustomResourceSubresources,
    SelectableField,
)
from pinnace.kube.structural import Structural, compile_structural

SCOPES = ("Cluster", "Namespaced")
COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")
COLUMN_FORMATS = (
    "byte",
    "date",
    "date-time",
    "double",
    "float",
    "int32",
    "int64",
    "password",
)
MAX_SELECTABLE_FIELDS = 8
MAX_WARNING = 256
APPROVED = "api-approved.kubernetes.io"
_PROTECTED = (".k8s.io", ".kubernetes.io")


def validate_definition(
    crd: CustomResourceDefinition, old: CustomResourceDefinition | None, problems: Problems
) -> None:
    """Add everything that is wrong with a new definition, or with a changed one."""
    spec = crd.spec
    if old is None and crd.metadata.name != f"{spec.names.plural}.{spec.group}":
        problems.invalid("metadata.name", crd.metadata.name, 'must be spec.names.plural+"."+spec.group')
    _validate_group(spec.group, problems)
    problems.one_of("spec.scope", spec.scope, SCOPES, required=True)
    for index, version in enumerate(spec.versions):
        _validate_version(version, f"spec.versions[{index}]", problems)
    _validate_versions(spec.versions, problems)
    for attribute, wire in (
        ("plural", "plural"),
        ("singular", "singular"),
        ("kind", "kind"),
        ("list_kind", "listKind"),
    ):
        if not getattr(spec.names, attribute):
            problems.required(f"spec.names.{wire}")
    _validate_names(spec.names, "spec.names", problems)
    _validate_conversion(spec.conversion, problems)
    if old is not None:
        _validate_immutable(crd, old, problems)
    _validate_stored_versions(crd, problems)
    _validate_approval(crd, old, problems)
    if spec.preserve_unknown_fields:
        problems.invalid(
            "spec.preserveUnknownFields",
            True,
            "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead",
        )


def validate_definition_status(
    crd: CustomResourceDefinition, old: CustomResourceDefinition, problems: Problems
) -> None:
    """Add what is wrong with a definition's status."""
    if crd.status.accepted_names is not None:
        _validate_names(crd.status.accepted_names, "status.acceptedNames", problems)
    _validate_stored_versions(crd, problems)


def find_warnings(crd: CustomResourceDefinition) -> Iterator[str]:
    """Yield what Kubernetes warns of. Source: registry/customresourcedefinition/strategy.go, WarningsOnCreate."""
    sets: set[str] = set()
    for version in crd.spec.versions:
        for schema in schemas_below(version.schema.open_apiv3_schema if version.schema else {}):
            given, type_ = schema.get("format"), schema.get("type", "")
            if given and not _is_known_format(type_, given):
                yield f'unrecognized format "{given}"'
            items = schema.get("items")
            items = items if isinstance(items, dict) else {}
            if schema.get("x-kubernetes-list-type") == "set" and items.get("type") in ("object", "array"):
                sets.add(str(items["type"]))
    for type_ in sorted(sets):
        yield (
            f'x-kubernetes-list-type: set for items of type "{type_}" is not supported by server-side apply or CEL '
            "validation rules"
        )


def _is_known_format(type_: str, name: str) -> bool:
    match type_:
        case "" | "string":
            return name.replace("-", "") in FORMATS
        case "integer":
            return name in ("int32", "int64")
        case "number":
            return name in ("float", "double")
    return False


def _validate_group(group: str, problems: Problems) -> None:
    if not group:
        problems.required("spec.group")
    elif sentences := check_subdomain(group):
        problems.invalid("spec.group", group, ",".join(sentences))
    elif "." not in group:
        problems.invalid("spec.group", group, "should be a domain with at least one dot")


def _validate_versions(versions: tuple[CustomResourceDefinitionVersion, ...], problems: Problems) -> None:
    names = [version.name for version in versions]
    shown = [{"name": v.name, "served": v.served, "storage": v.storage} for v in versions]
    if len(set(names)) != len(names):
        problems.invalid("spec.versions", shown, "must contain unique version names")
    if sum(version.storage for version in versions) != 1:
        problems.invalid("spec.versions", shown, "must have exactly one version marked as storage version")


def _validate_version(version: CustomResourceDefinitionVersion, path: str, problems: Problems) -> None:
    if sentences := check_label_1035(version.name):
        problems.invalid(f"{path}.name", version.name, ",".join(sentences))
    _validate_deprecation(version, path, problems)
    if version.schema is None or not version.schema.open_apiv3_schema:
        problems.required(f"{path}.schema.openAPIV3Schema")
    else:
        has_status = version.subresources is not None and version.subresources.status is not None
        judge = SchemaJudge(version.schema.open_apiv3_schema, f"{path}.schema.openAPIV3Schema", problems)
        judge.judge(has_status=has_status)
    _validate_subresources(version.subresources, f"{path}.subresources", problems)
    for index, column in enumerate(version.additional_printer_columns):
        _validate_column(column, f"{path}.additionalPrinterColumns[{index}]", problems)
    if version.selectable_fields and version.schema is not None:
        structural = compile_structural(version.schema.open_apiv3_schema)
        _validate_selectable(version.selectable_fields, structural, f"{path}.selectableFields", problems)


def _validate_deprecation(version: CustomResourceDefinitionVersion, path: str, problems: Problems) -> None:
    text, field = version.deprecation_warning, f"{path}.deprecationWarning"
    if not text:
        return
    if not version.deprecated:
        problems.invalid(field, text, "can only be set for deprecated versions")
        return
    if len(text) > MAX_WARNING:
        problems.invalid(field, text, f"must be <= {MAX_WARNING} characters long")
    for index, letter in enumerate(text):
        if not letter.isprintable():
            why = f"must only contain printable UTF-8 characters; non-printable character found at index {index}"
            problems.invalid(field, text, why)
            break


def _validate_names(names: CustomResourceDefinitionNames, path: str, problems: Problems) -> None:
    for value, field in ((names.plural, "plural"), (names.singular, "singular")):
        if value and (sentences := check_label_1035(value)):
            problems.invalid(f"{path}.{field}", value, ",".join(sentences))
    for value, field in ((names.kind, "kind"), (names.list_kind, "listKind")):
        if value and (sentences := check_label_1035(value.lower())):
            why = f"may have mixed case, but should otherwise match: {','.join(sentences)}"
            problems.invalid(f"{path}.{field}", value, why)
    for index, name in enumerate(names.short_names):
        if sentences := check_label_1035(name):
            problems.invalid(f"{path}.shortNames[{index}]", name, ",".join(sentences))
    if names.kind and names.kind == names.list_kind:
        problems.invalid(f"{path}.listKind", names.list_kind, "kind and listKind may not be the same")
    for index, name in enumerate(names.categories):
        if sentences := check_label_1035(name):
            problems.invalid(f"{path}.categories[{index}]", name, ",".join(sentences))


def _validate_column(column: CustomResourceColumnDefinition, path: str, problems: Problems) -> None:
    if not column.name:
        problems.required(f"{path}.name")
    allowed = f"must be one of {','.join(COLUMN_TYPES)}"
    if not column.type:
        problems.required(f"{path}.type", allowed)
    elif column.type not in COLUMN_TYPES:
        problems.invalid(f"{path}.type", column.type, allowed)
    if column.format and column.format not in COLUMN_FORMATS:
        problems.invalid(f"{path}.format", column.format, f"must be one of {','.join(COLUMN_FORMATS)}")
    if not column.json_path:
        problems.required(f"{path}.JSONPath")
    else:
        _validate_simple_path(column.json_path, f"{path}.JSONPath", problems)


def _validate_simple_path(text: str, path: str, problems: Problems) -> bool:
    if text.startswith("."):
        return True
    problems.invalid(path, text, "must be a simple json path starting with .")
    return False


def _validate_subresources(
    subresources: CustomResourceSubresources | None, path: str, problems: Problems
) -> None:
    if subresources is None or subresources.scale is None:
        return
    scale = subresources.scale
    for text, field, prefix in (
        (scale.spec_replicas_path, "specReplicasPath", ".spec."),
        (scale.status_replicas_path, "statusReplicasPath", ".status."),
    ):
        where = f"{path}.scale.{field}"
        if not text:
            problems.required(where)
        elif _validate_simple_path(text, where, problems) and not text.startswith(prefix):
            problems.invalid(where, text, f"should be a json path under {prefix.rstrip('.')}")
    text, where = scale.label_selector_path, f"{path}.scale.labelSelectorPath"
    if text and _validate_simple_path(text, where, problems) and not text.startswith((".spec.", ".status.")):
        problems.invalid(where, text, "should be a json path under either .spec or .status")


def _validate_selectable(
    fields: tuple[SelectableField, ...], schema: Structural, path: str, problems: Problems
) -> None:
    seen: set[str] = set()
    for index, field in enumerate(fields):
        where, text = f"{path}[{index}].jsonPath", field.json_path
        if not text:
            problems.required(where)
            continue
        found, why = find_schema(schema, text)
        if why:
            problems.invalid(where, text, f"is an invalid path: {why}")
            continue
        if text.startswith(".metadata."):
            problems.invalid(where, text, "must not point to fields in metadata")
        if found is None or found.type not in ("string", "boolean", "integer"):
            why = (
                "must point to a field of type string, boolean or integer. Enum string fields and strings with formats "
                "are allowed."
            )
            problems.invalid(where, text, why)
        if text in seen:
            problems.duplicate(where, text)
        seen.add(text)
    if len(seen) > MAX_SELECTABLE_FIELDS:
        problems.too_many(path, len(seen), MAX_SELECTABLE_FIELDS)


def find_schema(schema: Structural, path: str) -> tuple[Structural | None, str]:
    """Return the schema that a path of fields (".spec.a") leads to, and why it leads nowhere, "" if it does."""
    if "[" in path:
        return None, "array notation is not allowed"
    if not path.startswith("."):
        return None, f"expected [ or . but got: {path.partition('.')[0]}"
    for name in path[1:].split("."):
        if name in schema.properties:
            schema = schema.properties[name]
        elif not schema.properties and isinstance(schema.additional, Structural):
            schema = schema.additional
        else:
            return None, "does not refer to a valid field"
    return schema, ""


def _validate_conversion(conversion: CustomResourceConversion | None, problems: Problems) -> None:
    if conversion is None:
        return
    path = "spec.conversion"
    if conversion.strategy == "Webhook":
        problems.not_supported(f"{path}.strategy", conversion.strategy, ["None"])
        return
    problems.one_of(f"{path}.strategy", conversion.strategy, ("None", "Webhook"), required=True)
    if conversion.webhook is not None:
        problems.forbidden(
            f"{path}.webhookClientConfig", "should not be set when strategy is not set to Webhook"
        )


def _validate_immutable(
    crd: CustomResourceDefinition, old: CustomResourceDefinition, problems: Problems
) -> None:
    new, before = crd.spec, old.spec
    if is_established(old):
        if new.scope != before.scope:
            problems.immutable("spec.scope", new.scope)
        if new.names.kind != before.names.kind:
            problems.immutable("spec.names.kind", new.names.kind)
    if new.group != before.group:
        problems.immutable("spec.group", new.group)
    if new.names.plural != before.names.plural:
        problems.immutable("spec.names.plural", new.names.plural)


def _validate_stored_versions(crd: CustomResourceDefinition, problems: Problems) -> None:
    stored, path = crd.status.stored_versions, "status.storedVersions"
    if not stored:
        problems.invalid(path, [], "must have at least one stored version")
        return
    known = {version.name for version in crd.spec.versions}
    for version in crd.spec.versions:
        if version.storage and version.name not in stored:
            problems.invalid(path, list(stored), f"must have the storage version {version.name}")
    for index, name in enumerate(stored):
        if name not in known:
            why = (
                f"missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions "
                f"until a storage migration ensures no data remains persisted in {name} and removes {name} from "
                "status.storedVersions"
            )
            problems.invalid(f"{path}[{index}]", name, why)


def _validate_approval(
    crd: CustomResourceDefinition, old: CustomResourceDefinition | None, problems: Problems
) -> None:
    """Groups of the Kubernetes community carry proof of their approval. Source: apihelpers, GetAPIApprovalState."""
    group = crd.spec.group
    if not (group in ("k8s.io", "kubernetes.io") or group.endswith(_PROTECTED)):
        return
    given = crd.metadata.annotations.get(APPROVED)
    if old is not None and old.metadata.annotations.get(APPROVED) == given:
        return
    path = f"metadata.annotations[{APPROVED}]"
    advice = "see https://github.com/kubernetes/enhancements/pull/1111"
    if given is None:
        problems.required(path, f'protected groups must have approval annotation "{APPROVED}", {advice}')
    elif not given.startswith(("unapproved", "https://", "http://")):
        why = f'protected groups must have approval annotation "{APPROVED}" with either a URL or a reason starting with "unapproved", {advice}'
        problems.invalid(path, given, why)
