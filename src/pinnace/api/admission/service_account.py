"""Gives a new pod its service account: the account's name, its pull secrets, and the volume with its token.

A row of the chain. Pure. The volume's name is "kube-api-access-" and five characters that follow from the pod's spec, so
that pods of one template stay equal. Source: Kubernetes v1.36, plugin/pkg/admission/serviceaccount/admission.go.
"""

from hashlib import blake2b
from typing import Any

from msgspec.structs import replace

from pinnace.api.admission.attempt import Admission, Attempt, Operation
from pinnace.api.errors import forbidden
from pinnace.api.memo import Memo, changed_spec, spec_key
from pinnace.base.chance import SUFFIX_ALPHABET
from pinnace.kube.kinds import POD, SERVICE_ACCOUNT
from pinnace.kube.objects.core_v1 import (
    ConfigMapProjection,
    Container,
    DownwardAPIProjection,
    DownwardAPIVolumeFile,
    KeyToPath,
    ObjectFieldSelector,
    Pod,
    PodSpec,
    ProjectedVolumeSource,
    ServiceAccount,
    ServiceAccountTokenProjection,
    Volume,
    VolumeMount,
    VolumeProjection,
)

DEFAULT_ACCOUNT = "default"
MOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
VOLUME_PREFIX = "kube-api-access-"
TOKEN_LIFE_S = 3607  # Source: pkg/serviceaccount/claims.go, WarnOnlyBoundTokenExpirationSeconds
ROOT_CA = "kube-root-ca.crt"
ENFORCE = "kubernetes.io/enforce-mountable-secrets"
MIRROR = "kubernetes.io/config.mirror"

_SOURCE = ProjectedVolumeSource(
    default_mode=0o644,
    sources=(
        VolumeProjection(
            service_account_token=ServiceAccountTokenProjection(expiration_seconds=TOKEN_LIFE_S, path="token")
        ),
        VolumeProjection(
            config_map=ConfigMapProjection(name=ROOT_CA, items=(KeyToPath(key="ca.crt", path="ca.crt"),))
        ),
        VolumeProjection(
            downward_api=DownwardAPIProjection(
                items=(
                    DownwardAPIVolumeFile(
                        path="namespace",
                        field_ref=ObjectFieldSelector(api_version="v1", field_path="metadata.namespace"),
                    ),
                )
            )
        ),
    ),
)
_MOUNTED: Memo[PodSpec] = Memo()


def admit_account(attempt: Attempt) -> Pod:
    """Return the pod with its account.

    The default account may be missing: its controller makes it a moment after the namespace, and a manifest that
    brings its namespace along shall not lose that race.
    Raises: ApiError Forbidden when the account is not there, or may not use a Secret that the pod names.
    """
    pod: Pod = attempt.object
    if MIRROR in pod.metadata.annotations:
        _check_mirror(pod)
        return pod
    name = pod.spec.service_account_name or pod.spec.service_account or DEFAULT_ACCOUNT
    account = attempt.facts.find(SERVICE_ACCOUNT, attempt.namespace, name)
    if account is None and name != DEFAULT_ACCOUNT:
        why = (
            f'error looking up service account {attempt.namespace}/{name}: serviceaccount "{name}" not found'
        )
        raise forbidden(POD, pod.metadata.name, why)
    if account is not None and account.metadata.annotations.get(ENFORCE, "").lower() in ("true", "1", "t"):
        _check_secrets(pod, account)
    changes: dict[str, Any] = {"service_account_name": name, "service_account": name}
    if account is not None and account.image_pull_secrets and not pod.spec.image_pull_secrets:
        changes["image_pull_secrets"] = account.image_pull_secrets
    spec = changed_spec(pod.spec, **changes)
    return replace(pod, spec=mount_token(spec) if wants_token(spec, account) else spec)


def wants_token(spec: PodSpec, account: ServiceAccount | None) -> bool:
    """Say whether a token is to be mounted: the pod's word counts, then the account's; without either, yes."""
    if spec.automount_service_account_token is not None:
        return spec.automount_service_account_token
    if account is not None and account.automount_service_account_token is not None:
        return account.automount_service_account_token
    return True


def mount_token(spec: PodSpec) -> PodSpec:
    """Return the spec with the volume, mounted in each container that has nothing at its place."""
    key = spec_key(spec)
    mounted = _MOUNTED.get(key)
    if mounted is None:
        mounted = _mount(spec, key)
        _MOUNTED.put(key, mounted)
    return mounted


def _mount(spec: PodSpec, key: bytes) -> PodSpec:
    name = _choose_name(spec, key)
    containers = tuple(_with_mount(one, name) for one in spec.containers)
    init_containers = tuple(_with_mount(one, name) for one in spec.init_containers)
    if containers == spec.containers and init_containers == spec.init_containers:
        return spec
    present = any(volume.name == name for volume in spec.volumes)
    volumes = spec.volumes if present else (*spec.volumes, Volume(name=name, projected=_SOURCE))
    return replace(spec, containers=containers, init_containers=init_containers, volumes=volumes)


def _choose_name(spec: PodSpec, key: bytes) -> str:
    """Return the name of a volume that is such a one already, else a new name."""
    for volume in spec.volumes:
        if volume.name.startswith(VOLUME_PREFIX):
            return volume.name
    number = int.from_bytes(blake2b(key, digest_size=5).digest(), "big")
    letters = ""
    for _ in range(5):
        number, at = divmod(number, len(SUFFIX_ALPHABET))
        letters += SUFFIX_ALPHABET[at]
    return VOLUME_PREFIX + letters


def _with_mount(container: Container, name: str) -> Container:
    if any(mount.mount_path == MOUNT_PATH for mount in container.volume_mounts):
        return container
    mount = VolumeMount(name=name, read_only=True, mount_path=MOUNT_PATH)
    return replace(container, volume_mounts=(*container.volume_mounts, mount))


def _check_mirror(pod: Pod) -> None:
    spec = pod.spec
    if spec.service_account_name:
        raise forbidden(POD, pod.metadata.name, "a mirror pod may not reference service accounts")
    if any(volume.secret is not None for volume in spec.volumes):
        raise forbidden(POD, pod.metadata.name, "a mirror pod may not reference secrets")
    if any(
        part.service_account_token is not None
        for volume in spec.volumes
        if volume.projected is not None
        for part in volume.projected.sources
    ):
        raise forbidden(
            POD, pod.metadata.name, "a mirror pod may not use ServiceAccountToken volume projections"
        )


def _check_secrets(pod: Pod, account: ServiceAccount) -> None:
    """Refuse Secrets that the account doesn't name, where its annotation asks for that."""
    allowed = {reference.name for reference in account.secrets}
    name = account.metadata.name
    for volume in pod.spec.volumes:
        if volume.secret is not None and volume.secret.secret_name not in allowed:
            why = f'volume with secret.secretName="{volume.secret.secret_name}" is not allowed because service account'
            raise forbidden(POD, pod.metadata.name, f"{why} {name} does not reference that secret")
    for word, containers in (
        ("init container", pod.spec.init_containers),
        ("container", pod.spec.containers),
    ):
        for container in containers:
            for used, secret in _used_secrets(container):
                if secret not in allowed:
                    why = f'{word} {container.name} with {used} referencing secret.secretName="{secret}" is not allowed'
                    raise forbidden(
                        POD,
                        pod.metadata.name,
                        f"{why} because service account {name} does not reference that secret",
                    )
    pull = {reference.name for reference in account.image_pull_secrets}
    for index, reference in enumerate(pod.spec.image_pull_secrets):
        if reference.name not in pull:
            why = f'imagePullSecrets[{index}].name="{reference.name}" is not allowed because service account {name}'
            raise forbidden(POD, pod.metadata.name, f"{why} does not reference that imagePullSecret")


def _used_secrets(container: Container) -> list[tuple[str, str]]:
    variables = [
        (f"envVar {variable.name}", variable.value_from.secret_key_ref.name)
        for variable in container.env
        if variable.value_from is not None and variable.value_from.secret_key_ref is not None
    ]
    whole = [
        ("envFrom", source.secret_ref.name) for source in container.env_from if source.secret_ref is not None
    ]
    return [*whole, *variables]


ROW = Admission(
    name="ServiceAccount",
    mutate=admit_account,
    resources=frozenset({POD.resource}),
    operations=frozenset({Operation.CREATE}),
)
