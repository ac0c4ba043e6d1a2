"""Makes rows of the table of kinds of a CustomResourceDefinition: one for each of its versions.

Pure; called by `definitions.py` for definitions that are established. The definition has been validated before it was
stored, so nothing here refuses anything.
"""

from typing import Any

from pinnace.kube.custom import CustomVersion, Family, PrinterColumn, ScalePaths
from pinnace.kube.kinds import SCALE_SUBRESOURCE, STATUS, Kind, Subresource
from pinnace.kube.objects.apiextensions_v1 import (
    CustomResourceDefinition,
    CustomResourceDefinitionVersion,
    CustomResourceSubresources,
)
from pinnace.kube.structural import compile_structural
from pinnace.kube.structural.shape import shape_of_structural

# What a kind shows that says nothing of columns. Source: apiextensions-apiserver/pkg/apiserver/conversion... helpers,
# GetColumnsForVersion (v1.37, pkg/apiserver/customresource_handler.go).
AGE = PrinterColumn("Age", "date", ".metadata.creationTimestamp")


def build_family(crd: CustomResourceDefinition) -> Family:
    """Return the rows of an established definition."""
    family = Family(crd.metadata.uid, crd.metadata.name)
    family.terminating = bool(crd.metadata.deletion_timestamp)
    for version in crd.spec.versions:
        if version.storage:
            family.storage_version = version.name
        family.rows[version.name] = _build_kind(crd, version, family)
        if version.served:
            family.served.append(version.name)
    return family


def _build_kind(
    crd: CustomResourceDefinition, version: CustomResourceDefinitionVersion, family: Family
) -> Kind[Any]:
    names = crd.status.accepted_names or crd.spec.names
    raw = version.schema.open_apiv3_schema if version.schema is not None else {}
    structural = compile_structural(raw)
    return Kind(
        crd.spec.group,
        version.name,
        names.kind,
        crd.spec.names.plural,
        "custom.CustomObject",
        namespaced=crd.spec.scope == "Namespaced",
        short_names=names.short_names,
        categories=names.categories,
        subresources=_subresources(version.subresources),
        singular_name=names.singular,
        list_name=names.list_kind,
        custom=CustomVersion(
            family=family,
            schema=raw,
            structural=structural,
            shape=shape_of_structural(structural, names.kind),
            columns=tuple(
                PrinterColumn(
                    column.name,
                    column.type,
                    column.json_path,
                    column.description,
                    column.format,
                    column.priority or 0,
                )
                for column in version.additional_printer_columns
            )
            or (AGE,),
            selectable={
                (name := field.json_path.removeprefix(".")): tuple(name.split("."))
                for field in version.selectable_fields
            },
            scale=_scale(version.subresources),
            warning=_deprecation(crd, version, names.kind),
        ),
    )


def _subresources(subresources: CustomResourceSubresources | None) -> tuple[Subresource, ...]:
    if subresources is None:
        return ()
    parts = ((subresources.scale, SCALE_SUBRESOURCE), (subresources.status, STATUS))
    return tuple(part for said, part in parts if said is not None)


def _scale(subresources: CustomResourceSubresources | None) -> ScalePaths | None:
    if subresources is None or subresources.scale is None:
        return None
    scale = subresources.scale

    def steps(path: str) -> tuple[str, ...]:
        return tuple(step for step in path.split(".") if step)

    return ScalePaths(
        steps(scale.spec_replicas_path), steps(scale.status_replicas_path), steps(scale.label_selector_path)
    )


def _deprecation(crd: CustomResourceDefinition, version: CustomResourceDefinitionVersion, kind: str) -> str:
    """Return what users of a deprecated version are told. Source: customresource_handler.go, ServeHTTP."""
    if not version.deprecated:
        return ""
    return version.deprecation_warning or f"{crd.spec.group}/{version.name} {kind} is deprecated"
