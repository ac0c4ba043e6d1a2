"""Fills in claims that stand in other objects. Source: Kubernetes v1.36, pkg/apis/core/v1/defaults.go,
SetDefaults_PersistentVolumeClaimSpec.
"""

from msgspec.structs import replace

from pinnace.api.defaults.quantities import canonical_quantities
from pinnace.kube.objects.core_v1 import PersistentVolumeClaim, PersistentVolumeClaimSpec


def default_claim(claim: PersistentVolumeClaim) -> PersistentVolumeClaim:
    """Return the claim with its mode and phase."""
    status = claim.status if claim.status.phase else replace(claim.status, phase="Pending")
    return replace(claim, spec=default_claim_spec(claim.spec), status=status)


def default_claim_spec(spec: PersistentVolumeClaimSpec) -> PersistentVolumeClaimSpec:
    """Return the spec with the volume's mode and canonical quantities."""
    resources = spec.resources
    return replace(
        spec,
        volume_mode=spec.volume_mode or "Filesystem",
        resources=replace(
            resources,
            limits=canonical_quantities(resources.limits),
            requests=canonical_quantities(resources.requests),
        ),
    )
