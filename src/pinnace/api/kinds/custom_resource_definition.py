"""The CustomResourceDefinition's row. Pure.

Source: Kubernetes v1.37, apiextensions-apiserver/pkg/registry/customresourcedefinition/strategy.go, etcd.go, and
pkg/apis/apiextensions/v1/defaults.go.
"""

from msgspec.structs import replace

from pinnace.api.custom.conditions import CLEANUP_FINALIZER
from pinnace.api.custom.definition_rules import (
    find_warnings,
    validate_definition,
    validate_definition_status,
)
from pinnace.api.custom.schema_rules import clean_schema
from pinnace.api.strategy import Strategy, with_meta
from pinnace.kube.kinds import CUSTOM_RESOURCE_DEFINITION
from pinnace.kube.objects.apiextensions_v1 import (
    CustomResourceConversion,
    CustomResourceDefinition,
    CustomResourceDefinitionStatus,
)


def _default(crd: CustomResourceDefinition) -> CustomResourceDefinition:
    spec, names = crd.spec, crd.spec.names
    names = replace(
        names,
        singular=names.singular or names.kind.lower(),
        list_kind=names.list_kind or (f"{names.kind}List" if names.kind else ""),
    )
    versions = tuple(
        version
        if version.schema is None
        else replace(
            version,
            schema=replace(version.schema, open_apiv3_schema=clean_schema(version.schema.open_apiv3_schema)),
        )
        for version in spec.versions
    )
    conversion = spec.conversion or CustomResourceConversion(strategy="None")
    return replace(crd, spec=replace(spec, names=names, conversion=conversion, versions=versions))


def _store_in(crd: CustomResourceDefinition) -> CustomResourceDefinition:
    """Return the definition with its storage version among those that objects may have been stored in."""
    storage = next((version.name for version in crd.spec.versions if version.storage), "")
    held = crd.status.stored_versions
    if not storage or storage in held:
        return crd
    return replace(crd, status=replace(crd.status, stored_versions=(*held, storage)))


def _prepare_create(crd: CustomResourceDefinition) -> CustomResourceDefinition:
    return _store_in(replace(crd, status=CustomResourceDefinitionStatus()))


def _prepare_update(new: CustomResourceDefinition, old: CustomResourceDefinition) -> CustomResourceDefinition:
    return _store_in(replace(new, status=old.status))


def _prepare_status(new: CustomResourceDefinition, old: CustomResourceDefinition) -> CustomResourceDefinition:
    return replace(new, spec=old.spec, metadata=replace(old.metadata, finalizers=new.metadata.finalizers))


def _begin_deletion(crd: CustomResourceDefinition) -> CustomResourceDefinition:
    """Its objects go first: a finalizer keeps it until they are gone."""
    finalizers = crd.metadata.finalizers
    if CLEANUP_FINALIZER not in finalizers:
        finalizers = (*finalizers, CLEANUP_FINALIZER)
    return with_meta(crd, finalizers=finalizers)


STRATEGY = Strategy(
    kind=CUSTOM_RESOURCE_DEFINITION,
    default=_default,
    prepare_create=_prepare_create,
    prepare_update=_prepare_update,
    prepare_status=_prepare_status,
    validate_change=validate_definition,
    validate_status=validate_definition_status,
    begin_deletion=_begin_deletion,
    generation=True,
    unconditional_update=False,
    warn=find_warnings,
)
