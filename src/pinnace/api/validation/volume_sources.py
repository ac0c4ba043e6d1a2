"""Checks what each type of volume needs: one row for each type, in the order in which Kubernetes looks at them. Pure.

Source: Kubernetes v1.36, pkg/apis/core/validation, validateVolumeSource and the function of each type.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pinnace.api.validation.metadata import validate_annotations, validate_labels
from pinnace.api.validation.names import check_label_name, check_subdomain
from pinnace.api.validation.paths import validate_local_path, validate_no_backsteps
from pinnace.api.validation.problems import Problems
from pinnace.api.validation.resources import is_negative
from pinnace.api.validation.volume_claims import validate_claim_spec
from pinnace.kube.objects.core_v1 import (
    AzureDiskVolumeSource,
    CSIVolumeSource,
    EmptyDirVolumeSource,
    EphemeralVolumeSource,
    FCVolumeSource,
    FlexVolumeSource,
    FlockerVolumeSource,
    GitRepoVolumeSource,
    HostPathVolumeSource,
    ImageVolumeSource,
    ISCSIVolumeSource,
    NFSVolumeSource,
    QuobyteVolumeSource,
    StorageOSVolumeSource,
)
from pinnace.kube.objects.meta_v1 import ObjectMeta

PULL_POLICIES = ("Always", "IfNotPresent", "Never")
HOST_PATH_TYPES = frozenset(
    {
        "",
        "DirectoryOrCreate",
        "Directory",
        "FileOrCreate",
        "File",
        "Socket",
        "CharDevice",
        "BlockDevice",
    }
)
_BYTE = "must be between 0 and 255, inclusive"
_PARTITION = "must be between 0 and 255, inclusive"
_IQN = re.compile(r"iqn\.\d{4}-\d{2}\.([a-z0-9-.]+)(:[^,;*&$|\s]+)?")
_EUI = re.compile(r"eui.[0-9A-Fa-f]{16}")
_NAA = re.compile(r"naa.([0-9A-Fa-f]{16}|[0-9A-Fa-f]{32})")
_INITIATORS = {"iqn": _IQN, "eui": _EUI, "naa": _NAA}

Check = Callable[[Any, str, Problems], None]


@dataclass(frozen=True, slots=True)
class Source:
    """One type of volume: where it stands, what it can't do without (attribute and name on the wire), and other rules.

    `path` is the name that errors show, where it isn't the one on the wire.
    """

    attribute: str
    wire: str
    needs: tuple[tuple[str, str], ...] = ()
    check: Check | None = None
    path: str = ""

    def validate(self, source: Any, path: str, problems: Problems) -> None:
        """Check a source that is there; `path` is the volume's."""
        where = f"{path}.{self.path or self.wire}"
        for attribute, wire in self.needs:
            if not getattr(source, attribute):
                problems.required(f"{where}.{wire}")
        if self.check is not None:
            self.check(source, where, problems)


def _empty_dir(source: EmptyDirVolumeSource, path: str, problems: Problems) -> None:
    if source.size_limit is not None and is_negative(source.size_limit):
        problems.forbidden(f"{path}.sizeLimit", "SizeLimit field must be a valid resource quantity")


def _host_path(source: HostPathVolumeSource, path: str, problems: Problems) -> None:
    if not source.path:
        problems.required(f"{path}.path")
        return
    validate_no_backsteps(source.path, f"{path}.path", problems)
    if (source.type or "") not in HOST_PATH_TYPES:
        problems.not_supported(f"{path}.type", source.type, HOST_PATH_TYPES)


def _git_repo(source: GitRepoVolumeSource, path: str, problems: Problems) -> None:
    validate_local_path(source.directory, f"{path}.directory", problems)


def _partition(source: Any, path: str, problems: Problems) -> None:
    if not 0 <= (source.partition or 0) <= 255:
        problems.invalid(f"{path}.partition", source.partition, _PARTITION)


def _nfs(source: NFSVolumeSource, path: str, problems: Problems) -> None:
    if not source.path.startswith("/"):
        problems.invalid(f"{path}.path", source.path, "must be an absolute path")


def _iscsi(source: ISCSIVolumeSource, path: str, problems: Problems) -> None:
    if source.iqn:
        _initiator(source.iqn, f"{path}.iqn", problems)
    if not 0 <= (source.lun or 0) <= 255:
        problems.invalid(f"{path}.lun", source.lun, _BYTE)
    if (source.chap_auth_discovery or source.chap_auth_session) and source.secret_ref is None:
        problems.required(f"{path}.secretRef")
    if source.initiator_name:
        _initiator(source.initiator_name, f"{path}.initiatorname", problems)


def _initiator(name: str, path: str, problems: Problems) -> None:
    pattern = _INITIATORS.get(name[:3])
    if pattern is None:
        problems.invalid(path, name, "must be valid format starting with iqn, eui, or naa")
    elif not pattern.fullmatch(name):
        problems.invalid(path, name, "must be valid format")


def _flocker(source: FlockerVolumeSource, path: str, problems: Problems) -> None:
    if not source.dataset_name and not source.dataset_uuid:
        problems.required(path, "one of datasetName and datasetUUID is required")
    if source.dataset_name and source.dataset_uuid:
        words = "datasetName and datasetUUID can not be specified simultaneously"
        problems.invalid(path, "resource", words)
    if "/" in source.dataset_name:
        problems.invalid(f"{path}.datasetName", source.dataset_name, "must not contain '/'")


def _named_secret(source: Any, path: str, problems: Problems) -> None:
    if source.secret_ref is not None and not source.secret_ref.name:
        problems.required(f"{path}.secretRef.name")


def _quobyte(source: QuobyteVolumeSource, path: str, problems: Problems) -> None:
    words = "must be a host:port pair or multiple pairs separated by commas"
    if not source.registry:
        problems.required(f"{path}.registry", words)
    elif len(source.tenant) >= 65:
        words = "must be a UUID and may not exceed a length of 64 characters"
        problems.required(f"{path}.tenant", words)
    else:
        for pair in source.registry.split(","):
            if not re.fullmatch(r"(\[[^\[\]]*\]|[^:\[\]]*):[^:\[\]]*", pair):
                problems.invalid(f"{path}.registry", source.registry, words)
    if not source.volume:
        problems.required(f"{path}.volume")


def _fc(source: FCVolumeSource, path: str, problems: Problems) -> None:
    where = f"{path}.targetWWNs"
    if not source.target_wwns and not source.wwids:
        problems.required(where, "must specify either targetWWNs or wwids, but not both")
    if source.target_wwns and source.wwids:
        words = "targetWWNs and wwids can not be specified simultaneously"
        problems.invalid(where, source.target_wwns, words)
    if not source.target_wwns:
        return
    if source.lun is None:
        problems.required(f"{path}.lun", "lun is required if targetWWNs is specified")
    elif not 0 <= source.lun <= 255:
        problems.invalid(f"{path}.lun", source.lun, _BYTE)


def _flex(source: FlexVolumeSource, path: str, problems: Problems) -> None:
    for key in source.options:
        domain = "." + key.partition("/")[0].lower()
        if domain.endswith((".kubernetes.io", ".k8s.io")):
            words = "kubernetes.io and k8s.io namespaces are reserved"
            problems.invalid(f"{path}.options[{key}]", key, words)


_CACHING = frozenset({"None", "ReadOnly", "ReadWrite"})
_DISKS = frozenset({"Shared", "Dedicated", "Managed"})
_MANAGED_URI = (
    "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}"
)
_BLOB_URI = "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd"


def _azure_disk(source: AzureDiskVolumeSource, path: str, problems: Problems) -> None:
    problems.one_of(f"{path}.cachingMode", source.caching_mode, _CACHING)
    problems.one_of(f"{path}.kind", source.kind, _DISKS)
    if source.kind == "Managed" and not source.disk_uri.startswith("/subscriptions/"):
        problems.not_supported(f"{path}.diskURI", source.disk_uri, (_MANAGED_URI,))
    elif source.kind not in ("", "Managed") and not source.disk_uri.startswith("https://"):
        problems.not_supported(f"{path}.diskURI", source.disk_uri, (_BLOB_URI,))


def _storageos(source: StorageOSVolumeSource, path: str, problems: Problems) -> None:
    for name, text in (
        ("volumeName", source.volume_name),
        ("volumeNamespace", source.volume_namespace),
    ):
        if text:
            problems.each(f"{path}.{name}", text, check_label_name(text))
    _named_secret(source, path, problems)


def _csi(source: CSIVolumeSource, path: str, problems: Problems) -> None:
    validate_driver(source.driver, f"{path}.driver", problems)
    secret = source.node_publish_secret_ref
    if secret is None:
        return
    if not secret.name:
        problems.required(f"{path}.nodePublishSecretRef.name")
    else:
        problems.each(f"{path}.name", secret.name, check_subdomain(secret.name))


def validate_driver(name: str, path: str, problems: Problems) -> None:
    """Check the name of a CSI driver."""
    if not name:
        problems.required(path)
    if len(name) > 63:
        problems.too_long(path, 63)
    problems.each(path, name, check_subdomain(name.lower()))


def _ephemeral(source: EphemeralVolumeSource, path: str, problems: Problems) -> None:
    template, where = source.volume_claim_template, f"{path}.volumeClaimTemplate"
    if template is None:
        problems.required(where)
        return
    meta = template.metadata
    validate_annotations(meta.annotations, f"{where}.metadata.annotations", problems)
    validate_labels(meta.labels, f"{where}.metadata.labels", problems)
    allowed = ObjectMeta(labels=meta.labels, annotations=meta.annotations)
    if meta != allowed:
        for wire, value in (
            ("name", meta.name),
            ("generateName", meta.generate_name),
            ("namespace", meta.namespace),
            ("finalizers", meta.finalizers),
            ("ownerReferences", meta.owner_references),
        ):
            if value:
                problems.forbidden(f"{where}.metadata.{wire}", "cannot be set")
    validate_claim_spec(template.spec, f"{where}.spec", problems)


def _image(source: ImageVolumeSource, path: str, problems: Problems) -> None:
    problems.one_of(f"{path}.pullPolicy", source.pull_policy, PULL_POLICIES)


# Those with files of their own (secret, downwardAPI, configMap, projected) get their check in `volumes.py`.
SOURCES: tuple[Source, ...] = (
    Source("empty_dir", "emptyDir", check=_empty_dir),
    Source("host_path", "hostPath", check=_host_path),
    Source("git_repo", "gitRepo", (("repository", "repository"),), _git_repo),
    Source("gce_persistent_disk", "gcePersistentDisk", (("pd_name", "pdName"),), _partition, "persistentDisk"),
    Source("aws_elastic_block_store", "awsElasticBlockStore", (("volume_id", "volumeID"),), _partition),
    Source("secret", "secret", (("secret_name", "secretName"),)),
    Source("nfs", "nfs", (("server", "server"), ("path", "path")), _nfs),
    Source("iscsi", "iscsi", (("target_portal", "targetPortal"), ("iqn", "iqn")), _iscsi),
    Source("glusterfs", "glusterfs", (("endpoints", "endpoints"), ("path", "path"))),
    Source("flocker", "flocker", check=_flocker),
    Source("persistent_volume_claim", "persistentVolumeClaim", (("claim_name", "claimName"),)),
    Source("rbd", "rbd", (("monitors", "monitors"), ("image", "image"))),
    Source("cinder", "cinder", (("volume_id", "volumeID"),), _named_secret),
    Source("cephfs", "cephfs", (("monitors", "monitors"),)),
    Source("quobyte", "quobyte", check=_quobyte),
    Source("downward_api", "downwardAPI"),
    Source("fc", "fc", check=_fc),
    Source("flex_volume", "flexVolume", (("driver", "driver"),), _flex),
    Source("config_map", "configMap", (("name", "name"),)),
    Source("azure_file", "azureFile", (("secret_name", "secretName"), ("share_name", "shareName"))),
    Source("vsphere_volume", "vsphereVolume", (("volume_path", "volumePath"),)),
    Source("photon_persistent_disk", "photonPersistentDisk", (("pd_id", "pdID"),)),
    Source("portworx_volume", "portworxVolume", (("volume_id", "volumeID"),)),
    Source("azure_disk", "azureDisk", (("disk_name", "diskName"), ("disk_uri", "diskURI")), _azure_disk),
    Source("storageos", "storageos", (("volume_name", "volumeName"),), _storageos),
    Source("projected", "projected"),
    Source("scale_io", "scaleIO", (("gateway", "gateway"), ("system", "system"), ("volume_name", "volumeName"))),
    Source("csi", "csi", check=_csi),
    Source("ephemeral", "ephemeral", check=_ephemeral),
    Source("image", "image", check=_image),
)  # fmt: skip
