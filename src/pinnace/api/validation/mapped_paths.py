"""Finds files of one volume that would lie on top of each other. Pure; part of the warnings.

Source: Kubernetes v1.36, pkg/api/pod/warnings.go, warningsForOverlappingVirtualPaths.
"""

from collections.abc import Iterable, Iterator

from pinnace.kube.objects.core_v1 import ProjectedVolumeSource, Volume, VolumeProjection


def find_overlaps(volumes: Iterable[Volume]) -> Iterator[str]:
    """Yield a sentence for each path of a volume's files that another one hides."""
    for volume in volumes:
        if volume.config_map is not None and volume.config_map.items:
            words = f'volume "{volume.name}" (ConfigMap "{volume.config_map.name}"): overlapping paths'
            yield from _compare([item.path for item in volume.config_map.items], words)
        if volume.secret is not None and volume.secret.items:
            words = f'volume "{volume.name}" (Secret "{volume.secret.secret_name}"): overlapping paths'
            yield from _compare([item.path for item in volume.secret.items], words)
        if volume.downward_api is not None and volume.downward_api.items:
            words = f'volume "{volume.name}" (DownwardAPI): overlapping paths'
            yield from _compare([item.path for item in volume.downward_api.items], words)
        if volume.projected is not None:
            yield from _find_in_projected(volume.name, volume.projected)


def _find_in_projected(name: str, projected: ProjectedVolumeSource) -> Iterator[str]:
    known: set[str] = set()
    for source in projected.sources:
        if source == VolumeProjection():
            yield f'volume "{name}" (Projected) has no sources provided'
            continue
        what, paths = _paths_of(source)
        if not paths:
            continue
        words = f'volume "{name}" (Projected {what}): overlapping paths'
        yield from _compare(paths, words)
        yield from _compare(sorted([*set(paths), *known]), words)
        known.update(paths)


def _paths_of(source: VolumeProjection) -> tuple[str, list[str]]:
    if source.config_map is not None:
        return f'ConfigMap "{source.config_map.name}"', [item.path for item in source.config_map.items]
    if source.secret is not None:
        return f'Secret "{source.secret.name}"', [item.path for item in source.secret.items]
    if source.downward_api is not None:
        return "DownwardAPI", [item.path for item in source.downward_api.items]
    if source.service_account_token is not None:
        return "ServiceAccountToken", [source.service_account_token.path]
    bundle = source.cluster_trust_bundle
    if bundle is not None:
        return f'ClusterTrustBundle "{bundle.name or bundle.signer_name}"', [bundle.path]
    return "", []


def _compare(paths: Iterable[str], words: str) -> Iterator[str]:
    known: list[str] = []
    for path in paths:
        own = path.rstrip("/")
        hidden = next((other for other in known if _overlap(own, other)), "")
        if hidden:
            yield f'{words}: "{own}" with "{hidden}"'
        if own not in known:
            known.append(own)


def _overlap(path: str, other: str) -> bool:
    if not path or not other:
        return False
    return path == other or f"{other}/".startswith(f"{path}/") or f"{path}/".startswith(f"{other}/")
