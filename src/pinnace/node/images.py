"""Decides where a container's image comes from: the local store, or its registry; and what is said about it.

Pure; called by `host_images`, which asks the store and the registries. The sentences are the kubelet's, where it has one.
Rule: a name that was made here (built, imported, loaded, tagged) and never came from, or went to, a registry is the person's
own. A short one (no registry's address in it) is used as it is, whatever the policy; with an address, `Always` asks there
first, and the local image serves when the registry can't be asked or does not know it.
Source: Kubernetes v1.34, pkg/kubelet/images/image_manager.go (policies, events, back-off words).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from pinnace.base.errors import ApiError, PinnaceError, Reason
from pinnace.node.facts import PodImage
from pinnace.node.machine import StartFailure
from pinnace.oci.reference import DEFAULT_DOMAIN, Reference

TRY_NEXT = frozenset((Reason.UNAUTHORIZED, Reason.FORBIDDEN, Reason.NOT_FOUND))
# What a registry says when other credentials may help: private repositories often are "not found" for strangers.


@dataclass(frozen=True, slots=True)
class LocalImage:
    """An image in the store. `user` is its own, "" for root; `manifest` the digest by which a registry knows this name, or ""."""

    id: str
    user: str = ""
    manifest: str = ""


class Source(Enum):
    """Where an image comes from."""

    STORE = "it is here, and nobody is asked"
    REGISTRY = "its registry is asked"
    REGISTRY_OR_STORE = "its registry is asked; the local image serves when that fails"


def decide_source(name: str, reference: Reference, policy: str, local: LocalImage | None) -> Source:
    """Return where the image of a container comes from. Raises: StartFailure, when it is nowhere and may not be pulled.

    `name` is the container's own text for it. Example: "app" with Always, built here → STORE.
    """
    if policy == "Never" and local is None:
        raise StartFailure(
            "ErrImageNeverPull", f'Container image "{name}" is not present with pull policy of Never'
        )
    if local is None:
        return Source.REGISTRY
    if policy != "Always":
        return Source.STORE
    if local.manifest:
        return Source.REGISTRY
    return Source.REGISTRY_OR_STORE if _has_address(name, reference) else Source.STORE


def _has_address(name: str, reference: Reference) -> bool:
    return reference.domain != DEFAULT_DOMAIN or name.startswith((f"{DEFAULT_DOMAIN}/", "index.docker.io/"))


def describe_use(name: str, policy: str, local: LocalImage) -> str:
    """Return what is said of an image that is here. Source: image_manager.go, EnsureImageExists."""
    if policy == "Always":
        return (
            f'Container image "{name}" already present on machine: it was made here and never pushed, '
            "so that no registry is asked though the policy is Always"
        )
    return f'Container image "{name}" already present on machine'


def describe_fallback(name: str, error: PinnaceError) -> str:
    """Return what is said when the local image serves because its registry can't."""
    return f'Container image "{name}" already present on machine: it was made here, and is used because its registry says: {error.message}'


def describe_pull(name: str, size_bytes: int, seconds: float, waited_s: float) -> str:
    """Return what is said of a pull that has succeeded. Source: image_manager.go, pullImage; durations as Go prints them.

    Example: 'Successfully pulled image "redis" in 1.2s (1.5s including waiting). Image size: 3 bytes.'
    """
    took, whole = render_duration(seconds), render_duration(seconds + waited_s)
    return f'Successfully pulled image "{name}" in {took} ({whole} including waiting). Image size: {size_bytes} bytes.'


def render_duration(seconds: float) -> str:
    """Return a duration in milliseconds' precision. Source: Go, Duration.String. Example: 61.5 → "1m1.5s"; 0.02 → "20ms"."""
    milliseconds = round(seconds * 1000)
    if milliseconds < 1000:
        return f"{milliseconds}ms" if milliseconds else "0s"
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    text = f"{rest / 1000:.3f}".rstrip("0").rstrip(".") + "s"
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text


def shown_id(reference: Reference, local: LocalImage) -> str:
    """Return the imageID of a status: NAME@DIGEST where a registry knows it, else the image's own id."""
    return f"{reference.name}@{local.manifest}" if local.manifest else local.id


def make_pod_image(reference: Reference, local: LocalImage, told: str, *, pulled: bool = False) -> PodImage:
    """Return what a start needs."""
    return PodImage(local.id, shown_id(reference, local), local.user, told, pulled=pulled)


def invalid_name(name: str, error: PinnaceError) -> StartFailure:
    """Return the failure of a name that can't be one. Source: image_manager.go, applyDefaultImageTag."""
    return StartFailure(
        "InvalidImageName", f'Failed to apply default image tag "{name}": {error.message}', hint=error.hint
    )


def pull_failure(name: str, reference: Reference, error: PinnaceError, *, had_secrets: bool) -> StartFailure:
    """Return the failure of a pull: the registry's own words, and what can be done."""
    hint = compute_hint(name, reference, error, had_secrets=had_secrets)
    return StartFailure("ErrImagePull", f"{error.message} (hint: {hint})" if hint else error.message)


def compute_hint(name: str, reference: Reference, error: PinnaceError, *, had_secrets: bool) -> str:
    """Return what a person can do about a pull that has failed."""
    reason = error.reason if isinstance(error, ApiError) else None
    hub = reference.domain == DEFAULT_DOMAIN
    made_here = f"build it (pinnace build -t {name} .) or bring it in (pinnace import FILE {name})"
    if reason in (Reason.UNAUTHORIZED, Reason.FORBIDDEN):
        if had_secrets:
            return (
                f"the registry refuses the pod's imagePullSecrets: may they read {reference.familiar_name}?"
            )
        log_in = f"pinnace login{'' if hub else ' ' + reference.domain}, or a Secret of type docker-registry in the pod's imagePullSecrets"
        return f"{log_in}; if no registry has it: {made_here}" if hub else log_in
    if reason is Reason.NOT_FOUND:
        return f"is the name right? If no registry has it: {made_here}"
    return made_here if hub and reason is None else error.hint
