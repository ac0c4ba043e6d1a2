"""What checks look at and how they speak: containers, setters, quoted lists. Pure.

Source: Kubernetes v1.37, pod-security-admission/policy/helpers.go and visitor.go.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from pinnace.kube.objects.core_v1 import (
    Container,
    EphemeralContainer,
    PodSecurityContext,
    PodSpec,
    SecurityContext,
)
from pinnace.kube.objects.meta_v1 import ObjectMeta

AnyContainer = Container | EphemeralContainer
AnyContext = SecurityContext | PodSecurityContext

_NO_CONTEXT = SecurityContext()
_NO_POD_CONTEXT = PodSecurityContext()


class Violation(NamedTuple):
    """What a pod does that a level forbids: in short, and in detail."""

    reason: str
    detail: str

    def __str__(self) -> str:
        return f"{self.reason} ({self.detail})" if self.detail else self.reason


Check = Callable[[ObjectMeta, PodSpec], Violation | None]


def containers_of(spec: PodSpec) -> Iterator[AnyContainer]:
    """Return all containers of a pod, in the order in which they are named."""
    yield from spec.init_containers
    yield from spec.containers
    yield from spec.ephemeral_containers


def context_of(container: AnyContainer) -> SecurityContext:
    """Return a container's security context; an empty one if it has none."""
    return container.security_context or _NO_CONTEXT


def pod_context_of(spec: PodSpec) -> PodSecurityContext:
    """Return a pod's security context; an empty one if it has none."""
    return spec.security_context or _NO_POD_CONTEXT


def quote(items: Iterable[str]) -> str:
    """Return '"a", "b"'."""
    return ", ".join(f'"{item}"' for item in items)


def plural(one: str, many: str, count: int) -> str:
    """Return the word for so many."""
    return one if count == 1 else many


def name_containers(names: list[str]) -> str:
    """Return 'container "a"' or 'containers "a", "b"'."""
    return f"{plural('container', 'containers', len(names))} {quote(names)}"


@dataclass(frozen=True, slots=True)
class Setters:
    """Who sets something forbidden: the pod itself, containers."""

    pod: bool
    containers: list[str]

    def __bool__(self) -> bool:
        return self.pod or bool(self.containers)

    def __str__(self) -> str:
        named = [name_containers(self.containers)] if self.containers else []
        return " and ".join([*(["pod"] if self.pod else []), *named])


def find_setters(spec: PodSpec, is_bad: Callable[[AnyContext], bool]) -> Setters:
    """Return who sets what `is_bad` of a security context says."""
    return Setters(
        is_bad(pod_context_of(spec)),
        [each.name for each in containers_of(spec) if is_bad(context_of(each))],
    )


def is_windows(spec: PodSpec) -> bool:
    """Say whether the pod says that it is one of Windows."""
    return spec.os is not None and spec.os.name == "windows"


def has_user_namespace(spec: PodSpec) -> bool:
    """Say whether the pod's root is nobody on the host."""
    return spec.host_users is False
