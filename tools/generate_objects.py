"""Writes src/pinnace/kube/objects/ from the published Kubernetes OpenAPI definitions.

Development time only: reads the schemas inside the package kubernetes-validate (newest version), keeps names, types,
required, merge keys and list types, and drops prose and defaults (defaults are ours, in api/).
Run `python tools/generate_objects.py`; a test renders again and compares, so the output is never edited by hand.

What a field becomes (the conventions are in pinnace/kube/objects/__init__.py) is decided by `render_field` and the
override tables above it, and by nothing else.
"""

from __future__ import annotations

import json
import keyword
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

Schema = dict[str, Any]

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "src" / "pinnace" / "kube" / "objects"
META = "io.k8s.apimachinery.pkg.apis.meta.v1"
APIEXTENSIONS = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1"

# Module name -> prefix of its definitions.
MODULES: dict[str, str] = {
    "meta_v1": META,
    "core_v1": "io.k8s.api.core.v1",
    "admissionregistration_v1": "io.k8s.api.admissionregistration.v1",
    "apiextensions_v1": APIEXTENSIONS,
    "apps_v1": "io.k8s.api.apps.v1",
    "authentication_v1": "io.k8s.api.authentication.v1",
    "authorization_v1": "io.k8s.api.authorization.v1",
    "autoscaling_v1": "io.k8s.api.autoscaling.v1",
    "autoscaling_v2": "io.k8s.api.autoscaling.v2",
    "batch_v1": "io.k8s.api.batch.v1",
    "coordination_v1": "io.k8s.api.coordination.v1",
    "discovery_v1": "io.k8s.api.discovery.v1",
    "events_v1": "io.k8s.api.events.v1",
    "networking_v1": "io.k8s.api.networking.v1",
    "node_v1": "io.k8s.api.node.v1",
    "policy_v1": "io.k8s.api.policy.v1",
    "rbac_v1": "io.k8s.api.rbac.v1",
    "scheduling_v1": "io.k8s.api.scheduling.v1",
    "storage_v1": "io.k8s.api.storage.v1",
}

# Definitions that are no structs: definition -> (Python type, its zero value as a default factory, or "" for none).
SCALARS: dict[str, tuple[str, str]] = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": ("str | int | float", "int"),
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": ("int | str", "int"),
    f"{META}.FieldsV1": (
        "Raw",
        "",
    ),  # kept as it is written: most readers don't look into it, and it is large
    "io.k8s.apimachinery.pkg.runtime.RawExtension": ("dict[str, Any]", ""),
    f"{APIEXTENSIONS}.JSON": ("Any", ""),
    f"{APIEXTENSIONS}.JSONSchemaProps": ("dict[str, Any]", ""),
    f"{META}.Time": ("str", ""),
    f"{META}.MicroTime": ("str", ""),
}
UNUSED = {  # definitions without fields or users
    f"{META}.Patch",
    f"{APIEXTENSIONS}.ExternalDocumentation",
    f"{APIEXTENSIONS}.JSONSchemaPropsOrArray",
    f"{APIEXTENSIONS}.JSONSchemaPropsOrBool",
    f"{APIEXTENSIONS}.JSONSchemaPropsOrStringArray",
}

# Strings where "" differs from absent.
OPTIONAL_STRINGS = {
    "io.k8s.api.batch.v1.CronJobSpec.timeZone",
    "io.k8s.api.core.v1.GRPCAction.service",  # kubectl reads it without looking whether it is there
    "io.k8s.api.core.v1.PersistentVolumeClaimSpec.storageClassName",
    "io.k8s.api.core.v1.PersistentVolumeClaimSpec.volumeAttributesClassName",
    "io.k8s.api.discovery.v1.EndpointPort.name",  # kubectl reads it without looking whether it is there
}

# Nested structs that always exist, beside metadata, spec, status, template and whatever is required: they are no
# pointers in Kubernetes' own types either, and its answers always show them.
VALUES = {
    "io.k8s.api.apps.v1.DaemonSetSpec.updateStrategy",
    "io.k8s.api.apps.v1.DeploymentSpec.strategy",
    "io.k8s.api.apps.v1.StatefulSetSpec.updateStrategy",
    "io.k8s.api.authentication.v1.SelfSubjectReviewStatus.userInfo",
    "io.k8s.api.authentication.v1.TokenReviewStatus.user",
    "io.k8s.api.core.v1.Container.resources",
    "io.k8s.api.core.v1.ContainerStatus.lastState",
    "io.k8s.api.core.v1.ContainerStatus.state",
    "io.k8s.api.core.v1.EphemeralContainer.resources",
    "io.k8s.api.core.v1.Event.source",
    "io.k8s.api.core.v1.NodeDaemonEndpoints.kubeletEndpoint",
    "io.k8s.api.core.v1.NodeStatus.daemonEndpoints",
    "io.k8s.api.core.v1.NodeStatus.nodeInfo",
    "io.k8s.api.core.v1.PersistentVolumeClaimSpec.resources",
    "io.k8s.api.core.v1.ServiceStatus.loadBalancer",
    "io.k8s.api.discovery.v1.Endpoint.conditions",
    "io.k8s.api.events.v1.Event.deprecatedSource",
    "io.k8s.api.events.v1.Event.regarding",
    "io.k8s.api.networking.v1.IngressServiceBackend.port",
    "io.k8s.api.networking.v1.IngressStatus.loadBalancer",
    "io.k8s.api.networking.v1.NetworkPolicySpec.podSelector",
}
VALUE_NAMES = {"metadata", "spec", "status", "template"}
# Required, yet pointers: their absence is a validation error of its own.
POINTER_NAMES = {"selector", "secretRef", "parentRef"}
# Of a name that usually means a value, yet its absence says something.
POINTERS = {f"{APIEXTENSIONS}.CustomResourceSubresources.status"}

FIRST_FIELDS = ("apiVersion", "kind", "metadata", "spec", "status")
PLAIN = {"string": "str", "integer": "int", "boolean": "bool", "number": "float", "object": "dict[str, Any]"}

HEADER = '''"""Kubernetes {what}, as values. Generated by tools/generate_objects.py: never edit.

Source: Kubernetes {version}, OpenAPI definitions {prefix}.*
"""
'''


class Field(NamedTuple):
    """One attribute of a struct: its Python type, and the default as an expression or a factory."""

    attribute: str
    wire: str
    type: str
    default: str
    factory: str


def read_definitions() -> tuple[str, dict[str, Schema]]:
    """Return the newest Kubernetes version that the installed kubernetes-validate carries, and its definitions."""
    import kubernetes_validate

    root = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema"
    folders = {
        tuple(map(int, m[1].split("."))): p
        for p in root.iterdir()
        if (m := re.fullmatch(r"v([\d.]+)-local", p.name))
    }
    version = max(folders)
    document = json.loads((folders[version] / "_definitions.json").read_text())
    return "v" + ".".join(map(str, version)), document.get("$defs") or document["definitions"]


def to_snake(wire: str) -> str:
    """Return the attribute for a wire name.

    Example: hostIPC -> host_ipc, podIPs -> pod_ips, setHostnameAsFQDN -> set_hostname_as_fqdn, from -> from_.
    """
    name = re.sub(r"([A-Z]{2,})s(?![a-z])", lambda m: m[1].capitalize() + "s", wire)
    name = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name)
    name = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower().replace("$", "").replace("-", "_")
    return name + "_" if keyword.iskeyword(name) else name


def to_camel(attribute: str) -> str:
    """Return what msgspec's rename="camel" makes of an attribute."""
    first, *rest = attribute.split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in rest)


def type_of(schema: Schema) -> str:
    declared = schema.get("type", "object")
    return next(t for t in declared if t != "null") if isinstance(declared, list) else str(declared)


def ref_of(schema: Schema) -> str:
    return str(schema.get("$ref", "")).rpartition("/")[2]


def is_struct(ref: str) -> bool:
    """Say whether a reference is to a struct that we generate; alpha groups' parts stay free-form."""
    return ref not in SCALARS and ref.rpartition(".")[0] in MODULES.values()


def module_of(definition: str) -> str:
    prefix = definition.rpartition(".")[0]
    return next(module for module, known in MODULES.items() if known == prefix)


def refs_of(schema: Schema) -> Iterator[str]:
    """Yield the struct definitions that the fields of a definition name."""
    for field in schema.get("properties", {}).values():
        for part in (field, field.get("items", {}), field.get("additionalProperties", {})):
            if isinstance(part, dict) and is_struct(ref := ref_of(part)):
                yield ref


def render_type(schema: Schema, module: str) -> str:
    """Return the Python type of one value: never optional, a struct qualified unless it is in the same module."""
    if ref := ref_of(schema):
        if ref in SCALARS:
            return SCALARS[ref][0]
        if not is_struct(ref):
            return "dict[str, Any]"
        name = ref.rpartition(".")[2]
        return name if module_of(ref) == module else f"{module_of(ref)}.{name}"
    kind = type_of(schema)
    if kind == "array":
        return f"tuple[{render_type(schema['items'], module)}, ...]"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"dict[str, {render_type(schema['additionalProperties'], module)}]"
    return PLAIN[kind]


def render_field(definition: str, wire: str, schema: Schema, required: bool) -> Field:
    """Decide type and default of one field.

    A required scalar or list has a default *factory*: the encoder leaves out only plain defaults, and Kubernetes'
    answers always carry the required fields, as "", 0, false or [].
    """
    path = f"{definition}.{wire}"
    attribute, kind = to_snake(wire), render_type(schema, module_of(definition))
    ref = ref_of(schema)
    if is_struct(ref):
        if is_value(path, wire, required):
            return Field(attribute, wire, kind, "", f"shared({kind})")
        return Field(attribute, wire, f"{kind} | None", "None", "")
    if kind.startswith("tuple"):
        return Field(attribute, wire, kind, "" if required else "()", "no_items" if required else "")
    if kind.startswith("dict"):
        return Field(attribute, wire, kind, "{}", "")
    if kind == "Raw":
        return Field(attribute, wire, kind, "Raw()", "")
    if kind == "str":
        if path in OPTIONAL_STRINGS:
            return Field(attribute, wire, "str | None", "None", "")
        always = required and not ref  # a required time that is not set stays away: "" is no time
        return Field(attribute, wire, kind, "" if always else '""', "str" if always else "")
    if required:
        return Field(attribute, wire, kind, "", SCALARS[ref][1] if ref else kind)
    return Field(attribute, wire, f"{kind} | None", "None", "")


def is_value(path: str, wire: str, required: bool) -> bool:
    if path in POINTERS:
        return False
    return path in VALUES or wire in VALUE_NAMES or (required and wire not in POINTER_NAMES)


def kind_of(schema: Schema) -> tuple[str, str] | None:
    """Return (apiVersion, kind) of a top-level object; None for a part of one."""
    rows = schema.get("x-kubernetes-group-version-kind")
    if not rows or "apiVersion" not in schema.get("properties", {}):
        return None
    row = min(rows, key=lambda r: (r["group"], r["version"] != "v1"))
    return f"{row['group']}/{row['version']}".lstrip("/"), row["kind"]


def render_struct(definition: str, schema: Schema) -> str:
    """Return the source of one struct."""
    lines = [
        f'class {definition.rpartition(".")[2]}(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True, rename="camel"):'
    ]
    top, required = kind_of(schema), schema.get("required", [])
    properties = schema.get("properties", {})
    order = {wire: index for index, wire in enumerate(FIRST_FIELDS)}
    for wire in sorted(properties, key=lambda w: (order.get(w, len(order)), w)):
        if top and wire in ("apiVersion", "kind"):
            value = top[0] if wire == "apiVersion" else top[1]
            lines.append(f'    {to_snake(wire)}: str = field(default_factory=lambda: "{value}")')
            continue
        row = render_field(definition, wire, properties[wire], wire in required)
        name = "" if to_camel(row.attribute) == wire else f'name="{wire}"'
        if name or row.factory:
            default = f"default_factory={row.factory}" if row.factory else f"default={row.default}"
            default = default.replace("default={}", "default_factory=dict")
            value = f"field({', '.join(filter(None, (default, name)))})"
        else:
            value = row.default
        lines.append(f"    {row.attribute}: {row.type} = {value}")
    return "\n".join(lines if properties else [*lines, "    pass"])


def order_structs(names: list[str], definitions: Mapping[str, Schema]) -> list[str]:
    """Return the definitions so that each comes after those it names; else alphabetical."""
    done: dict[str, None] = {}

    def visit(name: str) -> None:
        if name in done or name not in names:
            return
        for ref in sorted(refs_of(definitions[name])):
            visit(ref)
        done[name] = None

    for name in sorted(names):
        visit(name)
    return list(done)


def names_in(module: str, definitions: Mapping[str, Schema]) -> list[str]:
    """Return the struct definitions of a module. Lists are left out: lists are spliced from stored bytes."""
    prefix = MODULES[module]
    return [
        name
        for name, schema in definitions.items()
        if name.rpartition(".")[0] == prefix
        and name not in SCALARS
        and name not in UNUSED
        and not (
            "metadata" in schema.get("properties", {})
            and ref_of(schema["properties"]["metadata"]).endswith(".ListMeta")
            and name.endswith("List")
        )
    ]


def render_module(module: str, version: str, definitions: Mapping[str, Schema]) -> str:
    """Return the unformatted source of one module."""
    names = order_structs(names_in(module, definitions), definitions)
    body = "\n\n\n".join(render_struct(name, definitions[name]) for name in names)
    # A field may be called `field`, so its struct can't call the function of that name any longer.
    body = re.sub(r"(?<=[= ])field\(", "_field(", body)
    others = sorted({module_of(ref) for name in names for ref in refs_of(definitions[name])} - {module})
    what = module.replace("_", "/")
    lines = [HEADER.format(what=what, version=version, prefix=MODULES[module])]
    if "Any]" in body:
        lines.append("from typing import Any\n")
    lines.append(f"from msgspec import {'Raw, ' if 'Raw()' in body else ''}Struct")
    if "_field(" in body:
        lines.append("from msgspec import field as _field")
    lines.append("")
    if others:
        lines.append(f"from pinnace.kube.objects import {', '.join(others)}")
    if helpers := [name for name in ("no_items", "shared") if re.search(rf"\b{name}\b", body)]:
        lines.append(f"from pinnace.kube.objects.shared import {', '.join(helpers)}")
    return "\n".join([*lines, "", "", body, ""])


def render_merge(version: str, definitions: Mapping[str, Schema]) -> str:
    """Return the table of patch strategies and list types."""
    rows, atomic = {}, []
    for module in MODULES:
        for name in names_in(module, definitions):
            short = f"{module}.{name.rpartition('.')[2]}"
            if definitions[name].get("x-kubernetes-map-type") == "atomic":
                atomic.append(short)
            fields = {
                w: rule for w, s in definitions[name].get("properties", {}).items() if (rule := merge_rule(s))
            }
            if fields:
                rows[short] = fields
    lines = [
        f'"""How lists and maps of each struct merge. Generated by tools/generate_objects.py: never edit.\n\nSource: Kubernetes {version}, the x-kubernetes-* extensions of its OpenAPI definitions.\n"""\n',
        "from typing import Final, TypeAlias\n",
        "# (patch strategies with commas, patch merge key, list or map type, list map keys)",
        "Row: TypeAlias = tuple[str, str, str, tuple[str, ...]]\n",
        "# Struct -> wire name -> row; a field that is missing here is replaced as a whole by patches, if it is a list.",
        "ROWS: Final[dict[str, dict[str, Row]]] = {",
    ]
    for short, fields in sorted(rows.items()):
        lines.append(f'    "{short}": {{')
        lines += [f"        {json.dumps(wire)}: {rule!r}," for wire, rule in sorted(fields.items())]
        lines.append("    },")
    lines += [
        "}",
        "",
        "# Structs that server-side apply owns as a whole.",
        "ATOMIC: Final[frozenset[str]] = frozenset({",
    ]
    lines += [f'    "{short}",' for short in sorted(atomic)]
    return "\n".join([*lines, "})", ""])


def merge_rule(schema: Schema) -> tuple[str, str, str, tuple[str, ...]] | None:
    rule = (
        schema.get("x-kubernetes-patch-strategy", ""),
        schema.get("x-kubernetes-patch-merge-key", ""),
        schema.get("x-kubernetes-list-type", "") or schema.get("x-kubernetes-map-type", ""),
        tuple(schema.get("x-kubernetes-list-map-keys", ())),
    )
    # An atomic list without a strategy is what a list is anyway.
    return (
        None
        if (rule in (("", "", "", ()), ("", "", "atomic", ())) and type_of(schema) == "array")
        or not any(rule)
        else rule
    )


def format_source(source: str) -> str:
    """Return the source as ruff formats it."""
    command = [sys.executable, "-m", "ruff", "format", "--config", str(ROOT / "pyproject.toml"), "-"]
    return subprocess.run(command, input=source, capture_output=True, text=True, check=True).stdout


def render_all() -> dict[str, str]:
    """Return file name -> formatted content of all generated modules."""
    version, definitions = read_definitions()
    sources = {f"{module}.py": render_module(module, version, definitions) for module in MODULES}
    sources["merge.py"] = render_merge(version, definitions)
    return {name: format_source(source) for name, source in sources.items()}


def main() -> None:
    TARGET.mkdir(parents=True, exist_ok=True)
    for name, content in render_all().items():
        (TARGET / name).write_text(content)


if __name__ == "__main__":
    main()
