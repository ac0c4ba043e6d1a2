"""What is legal in volumes, claims, classes and Ingresses, and yet most likely not meant. Pure.

Source: Kubernetes v1.36, pkg/api/persistentvolume, persistentvolumeclaim, storage, node; pkg/registry/networking/ingress.
"""

from collections.abc import Iterator, Mapping

from pinnace.api.validation.hosts import parse_range
from pinnace.api.validation.warnings import DEPRECATED_LABELS, DEPRECATED_VOLUMES
from pinnace.kube.objects.core_v1 import PersistentVolume, PersistentVolumeClaim
from pinnace.kube.objects.networking_v1 import Ingress, NetworkPolicy, NetworkPolicyPeer
from pinnace.kube.objects.node_v1 import RuntimeClass
from pinnace.kube.objects.storage_v1 import StorageClass
from pinnace.kube.quantity import NANO, QuantityError, QuantityLike, canonical, parse_quantity

_OLD_STORAGE_CLASS = "volume.beta.kubernetes.io/storage-class"
_OLD_INGRESS_CLASS = "kubernetes.io/ingress.class"
_USE_NAME = 'deprecated since v1.8; use "storageClassName" attribute instead'
_RECYCLE = "The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning."


def find_volume_warnings(volume: PersistentVolume) -> Iterator[str]:
    """Yield sentences for the person who wrote the volume."""
    yield from _find_annotation(volume.metadata.annotations)
    spec = volume.spec
    if spec.persistent_volume_reclaim_policy == "Recycle":
        yield f"spec.persistentVolumeReclaimPolicy: {_RECYCLE}"
    yield from _find_fraction(spec.capacity, "spec.capacity")
    required = spec.node_affinity.required if spec.node_affinity is not None else None
    for at, term in enumerate(required.node_selector_terms if required is not None else ()):
        for index, each in enumerate(term.match_expressions):
            if each.key in DEPRECATED_LABELS:
                path = f"spec.nodeAffinity.required.nodeSelectorTerms[{at}].matchExpressions[{index}].key"
                yield f"{path}: {each.key} is {DEPRECATED_LABELS[each.key]}"
    for attribute, (wire, sentence) in DEPRECATED_VOLUMES.items():
        if getattr(spec, attribute, None) is not None:
            yield f"spec.{wire}: {sentence}"


def find_claim_warnings(claim: PersistentVolumeClaim) -> Iterator[str]:
    """Yield sentences for the person who wrote the claim."""
    yield from _find_annotation(claim.metadata.annotations)
    resources = claim.spec.resources
    yield from _find_fraction(resources.requests, "spec.resources.requests")
    yield from _find_fraction(resources.limits, "spec.resources.limits")


def _find_annotation(annotations: Mapping[str, str]) -> Iterator[str]:
    if _OLD_STORAGE_CLASS in annotations:
        yield f"metadata.annotations[{_OLD_STORAGE_CLASS}]: {_USE_NAME}"


def _find_fraction(amounts: Mapping[str, QuantityLike], path: str) -> Iterator[str]:
    try:
        fractional = "storage" in amounts and parse_quantity(amounts["storage"]).nano % NANO
    except QuantityError:
        return
    if fractional:
        shown = canonical(amounts["storage"])
        yield f'{path}[storage]: fractional byte value "{shown}" is invalid, must be an integer'


def find_storage_class_warnings(storage: StorageClass) -> Iterator[str]:
    """Yield sentences for the person who wrote the class."""
    for at, term in enumerate(storage.allowed_topologies):
        for index, each in enumerate(term.match_label_expressions):
            if each.key in DEPRECATED_LABELS:
                path = f"allowedTopologies[{at}].matchLabelExpressions[{index}].key"
                yield f"{path}: {DEPRECATED_LABELS[each.key]}"


def find_runtime_class_warnings(runtime: RuntimeClass) -> Iterator[str]:
    """Yield sentences for the person who wrote the class."""
    for key in runtime.scheduling.node_selector if runtime.scheduling is not None else ():
        if key in DEPRECATED_LABELS:
            yield f"scheduling.nodeSelector: {DEPRECATED_LABELS[key]}"


def find_ingress_warnings(ingress: Ingress) -> Iterator[str]:
    """Yield sentences for the person who wrote the Ingress."""
    if _OLD_INGRESS_CLASS in ingress.metadata.annotations:
        yield f"annotation \"{_OLD_INGRESS_CLASS}\" is deprecated, please use 'spec.ingressClassName' instead"


def find_policy_warnings(policy: NetworkPolicy) -> Iterator[str]:
    """Yield sentences for the person who wrote the NetworkPolicy: ranges that start in their middle."""
    for at, ingress in enumerate(policy.spec.ingress):
        yield from _find_in_peers(ingress.from_, f"spec.ingress[{at}].from")
    for at, egress in enumerate(policy.spec.egress):
        yield from _find_in_peers(egress.to, f"spec.egress[{at}].to")


def _find_in_peers(peers: tuple[NetworkPolicyPeer, ...], path: str) -> Iterator[str]:
    for index, peer in enumerate(peers):
        block = peer.ip_block
        if block is None:
            continue
        where = f"{path}[{index}].ipBlock"
        yield from _find_in_range(block.cidr, f"{where}.cidr")
        for at, text in enumerate(block.except_):
            yield from _find_in_range(text, f"{where}.except[{at}]")


def _find_in_range(text: str, path: str) -> Iterator[str]:
    found = parse_range(text)
    if found is not None and str(found) != text and found.version == 4:
        why = "is ambiguous in this context (should be"
        yield f'{path}: CIDR value "{text}" {why} "{found}" or "{text.partition("/")[0]}/32"?)'
