"""The checks that the level "restricted" adds: what a pod must give up to be as harmless as one can be.

Pure, one function each; `standards.py` says which counts since when. Source: Kubernetes v1.37, pod-security-admission,
policy/check_*.go. Invariant: a check that finds nothing returns None.
"""

from pinnace.api.admission.podsecurity.baseline import check_seccomp
from pinnace.api.admission.podsecurity.words import (
    Check,
    Violation,
    containers_of,
    context_of,
    find_setters,
    has_user_namespace,
    is_windows,
    name_containers,
    plural,
    pod_context_of,
    quote,
)
from pinnace.kube.objects.core_v1 import PodSpec, Volume
from pinnace.kube.objects.meta_v1 import ObjectMeta

_HARMLESS = (
    "config_map",
    "csi",
    "downward_api",
    "empty_dir",
    "ephemeral",
    "image",
    "persistent_volume_claim",
    "projected",
    "secret",
)
# The sources that reach beyond the pod, by attribute and name on the wire.
_FAR = {
    "host_path": "hostPath",
    "gce_persistent_disk": "gcePersistentDisk",
    "aws_elastic_block_store": "awsElasticBlockStore",
    "git_repo": "gitRepo",
    "nfs": "nfs",
    "iscsi": "iscsi",
    "glusterfs": "glusterfs",
    "rbd": "rbd",
    "flex_volume": "flexVolume",
    "cinder": "cinder",
    "cephfs": "cephfs",
    "flocker": "flocker",
    "fc": "fc",
    "azure_file": "azureFile",
    "vsphere_volume": "vsphereVolume",
    "quobyte": "quobyte",
    "azure_disk": "azureDisk",
    "photon_persistent_disk": "photonPersistentDisk",
    "portworx_volume": "portworxVolume",
    "scale_io": "scaleIO",
    "storageos": "storageos",
}


def unless_windows(check: Check) -> Check:
    """Return the check for pods that are not of Windows, where it means nothing."""
    return lambda meta, spec: None if is_windows(spec) else check(meta, spec)


def unless_user_namespace(check: Check) -> Check:
    """Return the check for pods whose root is the host's."""
    return lambda meta, spec: None if has_user_namespace(spec) else check(meta, spec)


def check_escalation(meta: ObjectMeta, spec: PodSpec) -> Violation | None:
    """No way to more rights than one began with."""
    bad = [
        each.name for each in containers_of(spec) if context_of(each).allow_privilege_escalation is not False
    ]
    if not bad:
        return None
    return Violation(
        "allowPrivilegeEscalation != false",
        f"{name_containers(bad)} must set securityContext.allowPrivilegeEscalation=false",
    )


def check_dropped_capabilities(meta: ObjectMeta, spec: PodSpec) -> Violation | None:
    """All capabilities dropped; only the one for low ports may come back."""
    keeping: list[str] = []
    adding: list[str] = []
    added: set[str] = set()
    for container in containers_of(spec):
        capabilities = context_of(container).capabilities
        if capabilities is None or "ALL" not in capabilities.drop:
            keeping.append(container.name)
        forbidden = set(capabilities.add) - {"NET_BIND_SERVICE"} if capabilities is not None else set()
        if forbidden:
            adding.append(container.name)
            added |= forbidden
    details = []
    if keeping:
        details.append(f'{name_containers(keeping)} must set securityContext.capabilities.drop=["ALL"]')
    if adding:
        named = quote(sorted(added))
        details.append(
            f"{name_containers(adding)} must not include {named} in securityContext.capabilities.add"
        )
    return Violation("unrestricted capabilities", "; ".join(details)) if details else None


def check_volumes(meta: ObjectMeta, spec: PodSpec) -> Violation | None:
    """Only volumes that the cluster itself fills."""
    bad = [
        volume
        for volume in spec.volumes
        if all(getattr(volume, attribute) is None for attribute in _HARMLESS)
    ]
    if not bad:
        return None
    types = sorted({_type_of(volume) for volume in bad})
    names = [volume.name for volume in bad]
    words = plural("restricted volume type", "restricted volume types", len(types))
    return Violation(
        "restricted volume types",
        f"{plural('volume', 'volumes', len(names))} {quote(names)} {plural('uses', 'use', len(names))} {words}"
        f" {quote(types)}",
    )


def _type_of(volume: Volume) -> str:
    return next((wire for name, wire in _FAR.items() if getattr(volume, name) is not None), "unknown")


def check_not_root(meta: ObjectMeta, spec: PodSpec) -> Violation | None:
    """Every container promises not to run as root."""
    setters = find_setters(spec, lambda context: context.run_as_non_root is False)
    if setters:
        return Violation("runAsNonRoot != true", f"{setters} must not set securityContext.runAsNonRoot=false")
    if pod_context_of(spec).run_as_non_root:
        return None
    silent = [each.name for each in containers_of(spec) if context_of(each).run_as_non_root is None]
    if not silent:
        return None
    return Violation(
        "runAsNonRoot != true", f"pod or {name_containers(silent)} must set securityContext.runAsNonRoot=true"
    )


def check_user(meta: ObjectMeta, spec: PodSpec) -> Violation | None:
    """Nobody asks to run as root."""
    setters = find_setters(spec, lambda context: context.run_as_user == 0)
    return Violation("runAsUser=0", f"{setters} must not set runAsUser=0") if setters else None


def check_seccomp_set(meta: ObjectMeta, spec: PodSpec) -> Violation | None:
    """Every container has a seccomp profile, its own or the pod's."""
    wrong = check_seccomp(meta, spec)
    if wrong is not None:
        return wrong
    if pod_context_of(spec).seccomp_profile is not None:
        return None
    silent = [each.name for each in containers_of(spec) if context_of(each).seccomp_profile is None]
    if not silent:
        return None
    return Violation(
        "seccompProfile",
        f'pod or {name_containers(silent)} must set securityContext.seccompProfile.type to "RuntimeDefault" or'
        ' "Localhost"',
    )
