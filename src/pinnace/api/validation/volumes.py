"""Checks a pod's volumes: their names, their type, and the files that some of them bring. Pure.

Source: Kubernetes v1.36, pkg/apis/core/validation, ValidateVolumes.
"""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import fields

from pinnace.api.validation.downward import VOLUME_FIELDS, validate_amount_of, validate_field
from pinnace.api.validation.names import check_label_name, check_subdomain
from pinnace.api.validation.paths import validate_mode, validate_unreserved_path
from pinnace.api.validation.problems import Problems
from pinnace.api.validation.selectors import validate_label_selector
from pinnace.api.validation.signers import validate_certificate
from pinnace.api.validation.volume_sources import SOURCES
from pinnace.kube.objects.core_v1 import (
    ClusterTrustBundleProjection,
    DownwardAPIVolumeFile,
    DownwardAPIVolumeSource,
    KeyToPath,
    ProjectedVolumeSource,
    ServiceAccountTokenProjection,
    Volume,
)

_TOKEN_LEAST_S = 600
_TOKEN_MOST_S = 2**32
_CONFLICT = "conflicting duplicate paths"


def validate_volumes(
    volumes: tuple[Volume, ...], path: str, problems: Problems, *, pod_name: str = ""
) -> Mapping[str, Volume]:
    """Check names and sources; return the volumes that are right by name, for the mounts.

    `pod_name` is that of the pod, "" for a template: the claims of ephemeral volumes are called after it.
    """
    names: set[str] = set()
    by_name: dict[str, Volume] = {}
    claims = {f"{pod_name}-{one.name}" for one in volumes if pod_name and one.ephemeral is not None}
    for index, volume in enumerate(volumes):
        where = f"{path}[{index}]"
        before = len(problems.found)
        _validate_source(volume, where, problems, pod_name)
        if not volume.name:
            problems.required(f"{where}.name")
        else:
            problems.each(f"{where}.name", volume.name, check_label_name(volume.name))
        if volume.name in names:
            problems.duplicate(f"{where}.name", volume.name)
        if len(problems.found) == before:
            names.add(volume.name)
            by_name[volume.name] = volume
        claim = volume.persistent_volume_claim
        if claim is not None and claim.claim_name in claims:
            words = "must not reference a PVC that gets created for an ephemeral volume"
            problems.invalid(f"{where}.persistentVolumeClaim.claimName", claim.claim_name, words)
    return by_name


def _validate_source(volume: Volume, path: str, problems: Problems, pod_name: str) -> None:
    found = False
    for row in SOURCES:
        source = getattr(volume, row.attribute)
        if source is None:
            continue
        if found:
            problems.forbidden(f"{path}.{row.wire}", "may not specify more than 1 volume type")
            continue
        found = True
        row.validate(source, path, problems)
        own = _OWN_CHECKS.get(row.attribute)
        if own is not None:
            own(source, f"{path}.{row.wire}", problems)
    iscsi = volume.iscsi
    if iscsi is not None and iscsi.initiator_name and len(f"{volume.name}:{iscsi.target_portal}") > 64:
        words = (
            "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if "
            "iscsi.initiatorName is specified."
        )
        problems.invalid(f"{path}.name", volume.name, words)
    if volume.ephemeral is not None and pod_name and volume.name:
        claim = f"{pod_name}-{volume.name}"
        for wrong in check_subdomain(claim):
            problems.invalid(f"{path}.name", volume.name, f'PVC name "{claim}": {wrong}')
    if not found:
        problems.required(path, "must specify a volume type")


def _validate_files(source: Any, path: str, problems: Problems) -> None:
    """Check a ConfigMap's or a Secret's files."""
    validate_mode(source.default_mode, f"{path}.defaultMode", problems)
    _validate_items(source.items, f"{path}.items", problems)


def _validate_items(items: tuple[KeyToPath, ...], path: str, problems: Problems) -> None:
    for index, item in enumerate(items):
        where = f"{path}[{index}]"
        if not item.key:
            problems.required(f"{where}.key")
        if not item.path:
            problems.required(f"{where}.path")
        validate_unreserved_path(item.path, f"{where}.path", problems)
        validate_mode(item.mode, f"{where}.mode", problems)


def _validate_downward(source: DownwardAPIVolumeSource, path: str, problems: Problems) -> None:
    validate_mode(source.default_mode, f"{path}.defaultMode", problems)
    for file in source.items:
        _validate_downward_file(file, path, problems)


def _validate_downward_file(file: DownwardAPIVolumeFile, path: str, problems: Problems) -> None:
    if not file.path:
        problems.required(f"{path}.path")
    validate_unreserved_path(file.path, f"{path}.path", problems)
    if file.field_ref is not None:
        validate_field(file.field_ref, VOLUME_FIELDS, f"{path}.fieldRef", problems)
        if file.resource_field_ref is not None:
            words = "fieldRef and resourceFieldRef can not be specified simultaneously"
            problems.invalid(path, "resource", words)
    elif file.resource_field_ref is not None:
        validate_amount_of(file.resource_field_ref, f"{path}.resourceFieldRef", problems, in_volume=True)
    else:
        problems.required(path, "one of fieldRef and resourceFieldRef is required")
    validate_mode(file.mode, f"{path}.mode", problems)


def _validate_projected(source: ProjectedVolumeSource, path: str, problems: Problems) -> None:
    validate_mode(source.default_mode, f"{path}.defaultMode", problems)
    paths: set[str] = set()

    def take(file: str, shown: str) -> None:
        """Remember where a file lies; two can't lie in one place."""
        if file in paths:
            problems.invalid(path, shown, _CONFLICT)
        paths.add(file)

    for index, part in enumerate(source.sources):
        where = f"{path}.sources[{index}]"
        count = 0
        for wire, reference in (("secret", part.secret), ("configMap", part.config_map)):
            if reference is None:
                continue
            count += 1
            if not reference.name:
                problems.required(f"{where}.{wire}.name")
            _validate_items(reference.items, f"{where}.{wire}.items", problems)
            for item in reference.items:
                if item.path:
                    take(item.path, reference.name)
        if part.downward_api is not None:
            count += 1
            for file in part.downward_api.items:
                _validate_downward_file(file, f"{where}.downwardAPI", problems)
                if file.path:
                    take(file.path, file.path)
        if part.service_account_token is not None:
            count += 1
            _validate_token(part.service_account_token, f"{where}.serviceAccountToken", path, problems)
        if part.cluster_trust_bundle is not None:
            count += 1
            _validate_bundle(part.cluster_trust_bundle, f"{where}.clusterTrustBundlePEM", problems)
            take(part.cluster_trust_bundle.path, part.cluster_trust_bundle.path)
        if part.pod_certificate is not None:
            count += 1
            for where_to in validate_certificate(part.pod_certificate, f"{where}.podCertificate", problems):
                take(where_to, where_to)
        if count > 1:
            problems.forbidden(where, "may not specify more than 1 volume type")


def _validate_token(
    token: ServiceAccountTokenProjection, path: str, volume_path: str, problems: Problems
) -> None:
    seconds = token.expiration_seconds
    if seconds is not None and seconds < _TOKEN_LEAST_S:
        words = "may not specify a duration less than 10 minutes"
        problems.invalid(f"{path}.expirationSeconds", seconds, words)
    if seconds is not None and seconds > _TOKEN_MOST_S:
        words = "may not specify a duration larger than 2^32 seconds"
        problems.invalid(f"{path}.expirationSeconds", seconds, words)
    if not token.path:
        problems.required(f"{volume_path}.path")
    else:
        validate_unreserved_path(token.path, f"{volume_path}.path", problems)


def _validate_bundle(bundle: ClusterTrustBundleProjection, path: str, problems: Problems) -> None:
    if bundle.name and bundle.signer_name:
        problems.invalid(path, bundle, "only one of name and signerName may be used")
    elif bundle.name:
        name = bundle.name.rpartition(":")[2]
        for wrong in check_subdomain(name):
            words = f"not a valid clustertrustbundlename: {wrong}"
            problems.invalid(f"{path}.name", bundle.name, words)
        if bundle.label_selector is not None:
            words = "labelSelector must be unset if name is specified"
            problems.invalid(f"{path}.labelSelector", bundle.label_selector, words)
    elif bundle.signer_name:
        if bundle.label_selector is not None:
            validate_label_selector(bundle.label_selector, f"{path}.labelSelector", problems)
    else:
        problems.required(path, "either name or signerName must be specified")
    if not bundle.path:
        problems.required(f"{path}.path")
    validate_unreserved_path(bundle.path, f"{path}.path", problems)


_OWN_CHECKS: Mapping[str, Callable[[Any, str, Problems], None]] = {
    "config_map": _validate_files,
    "downward_api": _validate_downward,
    "projected": _validate_projected,
    "secret": _validate_files,
}
_missing = {field.name for field in fields(Volume)} - {row.attribute for row in SOURCES} - {"name"}
assert not _missing, f"volumes of the types {_missing} have no row"
