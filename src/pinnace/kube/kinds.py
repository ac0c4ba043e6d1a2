"""The table of served kinds: one row each, and lookups by every name that a client may use.

Everybody who needs to know what a kind is called, where it is stored or which subresources it has asks here; discovery,
OpenAPI, the write path and our CLI derive from these rows. A new kind is one row. What an instance serves beside them is
in `kind_table`. Loads no object module until a row's `type` is asked for, so that the CLI can use the table cheaply.

Invariant: one (group, version, plural) and one (group, version, kind) is one row; versions of one stored resource share
`resource`, and the first row of them is the stored one.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from pinnace.kube.custom import CustomVersion
    from pinnace.kube.objects import (
        admissionregistration_v1,
        apiextensions_v1,
        apps_v1,
        authentication_v1,
        authorization_v1,
        autoscaling_v1,
        autoscaling_v2,
        batch_v1,
        coordination_v1,
        core_v1,
        discovery_v1,
        events_v1,
        metrics_v1beta1,
        networking_v1,
        node_v1,
        pinnace_v1,
        policy_v1,
        rbac_v1,
        scheduling_v1,
        storage_v1,
    )
    from pinnace.kube.schema import Shape

T = TypeVar("T")

VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, slots=True)
class Subresource:
    """A part of an object with an address of its own; `kind`, `group` and `version` are the body's, "" for the object's."""

    name: str
    verbs: tuple[str, ...] = ("get", "patch", "update")
    kind: str = ""
    group: str = ""
    version: str = ""


STATUS = Subresource("status")
SCALE_SUBRESOURCE = Subresource("scale", kind="Scale", group="autoscaling", version="v1")
_PROXY_VERBS = ("create", "delete", "get", "patch", "update")
# Source: Kubernetes v1.36, GET /api/v1 of a real server.
POD_SUBRESOURCES = (
    Subresource("attach", ("create", "get"), "PodAttachOptions"),
    Subresource("binding", ("create",), "Binding"),
    Subresource("ephemeralcontainers"),
    Subresource("eviction", ("create",), "Eviction", "policy", "v1"),
    Subresource("exec", ("create", "get"), "PodExecOptions"),
    Subresource("log", ("get",)),
    Subresource("portforward", ("create", "get"), "PodPortForwardOptions"),
    Subresource("proxy", _PROXY_VERBS, "PodProxyOptions"),
    Subresource("resize"),
    STATUS,
)


@dataclass(frozen=True, eq=False)
class Kind(Generic[T]):
    """What is known of one kind in one version.

    `struct` names the type as MODULE.CLASS below pinnace.kube.objects; `storage` is set only where several groups share
    one stored resource. `custom` is what a CustomResourceDefinition says of the kind, None for one that is built in;
    `singular_name` and `list_name` are set where they don't follow from `kind`.
    """

    group: str
    version: str
    kind: str
    plural: str
    struct: str
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: tuple[Subresource, ...] = ()
    verbs: tuple[str, ...] = VERBS
    storage: str = ""
    custom: CustomVersion | None = None
    singular_name: str = ""
    list_name: str = ""

    @cached_property
    def type(self) -> type[T]:
        """The struct; its module is loaded now."""
        module, _, name = self.struct.partition(".")
        struct: type[T] = getattr(importlib.import_module(f"pinnace.kube.objects.{module}"), name)
        return struct

    @cached_property
    def shape(self) -> Shape:
        """What a whole object looks like on the wire, and how its parts merge."""
        if self.custom is not None:
            return self.custom.shape
        from pinnace.kube.schema import struct_shape

        struct: Any = self.type
        return struct_shape(struct)

    @cached_property
    def api_version(self) -> str:
        """The group and version as objects spell them: "v1", "apps/v1"."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @cached_property
    def resource(self) -> str:
        """The store's name, the same for all versions: "pods", "apps/deployments"."""
        return self.storage or (f"{self.group}/{self.plural}" if self.group else self.plural)

    @cached_property
    def group_resource(self) -> str:
        """The name in Kubernetes' messages: "pods", "deployments.apps"."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @cached_property
    def singular(self) -> str:
        return self.singular_name or self.kind.lower()

    @cached_property
    def list_kind(self) -> str:
        return self.list_name or f"{self.kind}List"

    @cached_property
    def has_status(self) -> bool:
        """Whether status is written apart from the rest."""
        return STATUS in self.subresources

    def subresource(self, name: str) -> Subresource | None:
        return next((part for part in self.subresources if part.name == name), None)

    def __repr__(self) -> str:
        return f"Kind({self.api_version} {self.kind})"


@dataclass(frozen=True, slots=True)
class GroupVersion:
    """One version of an API group; `module` is where its structs are, below pinnace.kube.objects."""

    group: str
    version: str
    module: str

    def row(
        self,
        kind: str,
        *short_names: str,
        plural: str = "",
        namespaced: bool = True,
        categories: tuple[str, ...] = (),
        subresources: tuple[Subresource, ...] = (),
        verbs: tuple[str, ...] = VERBS,
        storage: str = "",
    ) -> Kind[Any]:
        """Return the row of a kind whose struct has its name; `plural` is told where it isn't the regular one."""
        return Kind(
            self.group,
            self.version,
            kind,
            plural or regular_plural(kind),
            f"{self.module}.{kind}",
            namespaced,
            short_names,
            categories,
            subresources,
            verbs,
            storage,
        )


def regular_plural(kind: str) -> str:
    """Return the plural that a kind has unless it says otherwise.

    Source: Kubernetes v1.37, apimachinery/pkg/api/meta/restmapper.go, UnsafeGuessKindToResource.
    Example: Pod pods, Ingress ingresses, NetworkPolicy networkpolicies, Endpoints endpoints.
    """
    word = kind.lower()
    if word.endswith("endpoints"):
        return word
    if word.endswith("s"):
        return f"{word}es"
    return f"{word[:-1]}ies" if word.endswith("y") else f"{word}s"


# The table. Its order is the one of discovery, and of what a name finds; where several versions store one resource, the
# stored (and preferred) one comes first.
_IN_ALL = ("all",)
_IN_EXTENSIONS = ("api-extensions",)
_SCALED = (SCALE_SUBRESOURCE, STATUS)
_CREATE = ("create",)

_CORE = GroupVersion("", "v1", "core_v1")
BINDING: Kind[core_v1.Binding] = _CORE.row("Binding", verbs=_CREATE)
CONFIG_MAP: Kind[core_v1.ConfigMap] = _CORE.row("ConfigMap", "cm")
ENDPOINTS: Kind[core_v1.Endpoints] = _CORE.row("Endpoints", "ep")
EVENT: Kind[core_v1.Event] = _CORE.row("Event", "ev")
NAMESPACE: Kind[core_v1.Namespace] = _CORE.row(
    "Namespace",
    "ns",
    namespaced=False,
    subresources=(Subresource("finalize", ("update",)), STATUS),
    verbs=tuple(verb for verb in VERBS if verb != "deletecollection"),
)
NODE: Kind[core_v1.Node] = _CORE.row(
    "Node",
    "no",
    namespaced=False,
    subresources=(Subresource("proxy", _PROXY_VERBS, "NodeProxyOptions"), STATUS),
)
POD: Kind[core_v1.Pod] = _CORE.row("Pod", "po", categories=_IN_ALL, subresources=POD_SUBRESOURCES)
SECRET: Kind[core_v1.Secret] = _CORE.row("Secret")
SERVICE_ACCOUNT: Kind[core_v1.ServiceAccount] = _CORE.row(
    "ServiceAccount",
    "sa",
    subresources=(Subresource("token", _CREATE, "TokenRequest", "authentication.k8s.io", "v1"),),
)
SERVICE: Kind[core_v1.Service] = _CORE.row(
    "Service",
    "svc",
    categories=_IN_ALL,
    subresources=(Subresource("proxy", _PROXY_VERBS, "ServiceProxyOptions"), STATUS),
)
REPLICATION_CONTROLLER: Kind[core_v1.ReplicationController] = _CORE.row(
    "ReplicationController", "rc", categories=_IN_ALL, subresources=_SCALED
)
POD_TEMPLATE: Kind[core_v1.PodTemplate] = _CORE.row("PodTemplate")
LIMIT_RANGE: Kind[core_v1.LimitRange] = _CORE.row("LimitRange", "limits")
RESOURCE_QUOTA: Kind[core_v1.ResourceQuota] = _CORE.row("ResourceQuota", "quota", subresources=(STATUS,))
PERSISTENT_VOLUME: Kind[core_v1.PersistentVolume] = _CORE.row(
    "PersistentVolume", "pv", namespaced=False, subresources=(STATUS,)
)
PERSISTENT_VOLUME_CLAIM: Kind[core_v1.PersistentVolumeClaim] = _CORE.row(
    "PersistentVolumeClaim", "pvc", subresources=(STATUS,)
)

_APPS = GroupVersion("apps", "v1", "apps_v1")
DEPLOYMENT: Kind[apps_v1.Deployment] = _APPS.row(
    "Deployment", "deploy", categories=_IN_ALL, subresources=_SCALED
)
REPLICA_SET: Kind[apps_v1.ReplicaSet] = _APPS.row(
    "ReplicaSet", "rs", categories=_IN_ALL, subresources=_SCALED
)
DAEMON_SET: Kind[apps_v1.DaemonSet] = _APPS.row("DaemonSet", "ds", categories=_IN_ALL, subresources=(STATUS,))
STATEFUL_SET: Kind[apps_v1.StatefulSet] = _APPS.row(
    "StatefulSet", "sts", categories=_IN_ALL, subresources=_SCALED
)
CONTROLLER_REVISION: Kind[apps_v1.ControllerRevision] = _APPS.row("ControllerRevision")

_AUTOSCALING_V2 = GroupVersion("autoscaling", "v2", "autoscaling_v2")
HORIZONTAL_POD_AUTOSCALER: Kind[autoscaling_v2.HorizontalPodAutoscaler] = _AUTOSCALING_V2.row(
    "HorizontalPodAutoscaler", "hpa", categories=_IN_ALL, subresources=(STATUS,)
)

_AUTOSCALING_V1 = GroupVersion("autoscaling", "v1", "autoscaling_v1")
HORIZONTAL_POD_AUTOSCALER_V1: Kind[autoscaling_v1.HorizontalPodAutoscaler] = _AUTOSCALING_V1.row(
    "HorizontalPodAutoscaler", "hpa", categories=_IN_ALL, subresources=(STATUS,)
)

_COORDINATION = GroupVersion("coordination.k8s.io", "v1", "coordination_v1")
LEASE: Kind[coordination_v1.Lease] = _COORDINATION.row("Lease")

_DISCOVERY = GroupVersion("discovery.k8s.io", "v1", "discovery_v1")
ENDPOINT_SLICE: Kind[discovery_v1.EndpointSlice] = _DISCOVERY.row("EndpointSlice")

_EVENTS = GroupVersion("events.k8s.io", "v1", "events_v1")
EVENT_V1: Kind[events_v1.Event] = _EVENTS.row("Event", "ev", storage="events")

_BATCH = GroupVersion("batch", "v1", "batch_v1")
JOB: Kind[batch_v1.Job] = _BATCH.row("Job", categories=_IN_ALL, subresources=(STATUS,))
CRON_JOB: Kind[batch_v1.CronJob] = _BATCH.row("CronJob", "cj", categories=_IN_ALL, subresources=(STATUS,))

_NETWORKING = GroupVersion("networking.k8s.io", "v1", "networking_v1")
INGRESS: Kind[networking_v1.Ingress] = _NETWORKING.row("Ingress", "ing", subresources=(STATUS,))
INGRESS_CLASS: Kind[networking_v1.IngressClass] = _NETWORKING.row("IngressClass", namespaced=False)
NETWORK_POLICY: Kind[networking_v1.NetworkPolicy] = _NETWORKING.row("NetworkPolicy", "netpol")

_NODE = GroupVersion("node.k8s.io", "v1", "node_v1")
RUNTIME_CLASS: Kind[node_v1.RuntimeClass] = _NODE.row("RuntimeClass", namespaced=False)

_POLICY = GroupVersion("policy", "v1", "policy_v1")
POD_DISRUPTION_BUDGET: Kind[policy_v1.PodDisruptionBudget] = _POLICY.row(
    "PodDisruptionBudget", "pdb", subresources=(STATUS,)
)

_RBAC = GroupVersion("rbac.authorization.k8s.io", "v1", "rbac_v1")
ROLE: Kind[rbac_v1.Role] = _RBAC.row("Role")
ROLE_BINDING: Kind[rbac_v1.RoleBinding] = _RBAC.row("RoleBinding")
CLUSTER_ROLE: Kind[rbac_v1.ClusterRole] = _RBAC.row("ClusterRole", namespaced=False)
CLUSTER_ROLE_BINDING: Kind[rbac_v1.ClusterRoleBinding] = _RBAC.row("ClusterRoleBinding", namespaced=False)

_SCHEDULING = GroupVersion("scheduling.k8s.io", "v1", "scheduling_v1")
PRIORITY_CLASS: Kind[scheduling_v1.PriorityClass] = _SCHEDULING.row("PriorityClass", "pc", namespaced=False)

_STORAGE = GroupVersion("storage.k8s.io", "v1", "storage_v1")
STORAGE_CLASS: Kind[storage_v1.StorageClass] = _STORAGE.row("StorageClass", "sc", namespaced=False)

_EXTENSIONS = GroupVersion("apiextensions.k8s.io", "v1", "apiextensions_v1")
CUSTOM_RESOURCE_DEFINITION: Kind[apiextensions_v1.CustomResourceDefinition] = _EXTENSIONS.row(
    "CustomResourceDefinition",
    "crd",
    "crds",
    namespaced=False,
    categories=_IN_EXTENSIONS,
    subresources=(STATUS,),
)

_ADMISSION = GroupVersion("admissionregistration.k8s.io", "v1", "admissionregistration_v1")
VALIDATING_ADMISSION_POLICY: Kind[admissionregistration_v1.ValidatingAdmissionPolicy] = _ADMISSION.row(
    "ValidatingAdmissionPolicy", namespaced=False, categories=_IN_EXTENSIONS, subresources=(STATUS,)
)
VALIDATING_ADMISSION_POLICY_BINDING: Kind[admissionregistration_v1.ValidatingAdmissionPolicyBinding] = (
    _ADMISSION.row("ValidatingAdmissionPolicyBinding", namespaced=False, categories=_IN_EXTENSIONS)
)

# Questions about access: what is created is the answer, and nothing is stored.
_AUTHENTICATION = GroupVersion("authentication.k8s.io", "v1", "authentication_v1")
TOKEN_REVIEW: Kind[authentication_v1.TokenReview] = _AUTHENTICATION.row(
    "TokenReview", namespaced=False, verbs=_CREATE
)
SELF_SUBJECT_REVIEW: Kind[authentication_v1.SelfSubjectReview] = _AUTHENTICATION.row(
    "SelfSubjectReview", namespaced=False, verbs=_CREATE
)

_AUTHORIZATION = GroupVersion("authorization.k8s.io", "v1", "authorization_v1")
SUBJECT_ACCESS_REVIEW: Kind[authorization_v1.SubjectAccessReview] = _AUTHORIZATION.row(
    "SubjectAccessReview", namespaced=False, verbs=_CREATE
)
LOCAL_SUBJECT_ACCESS_REVIEW: Kind[authorization_v1.LocalSubjectAccessReview] = _AUTHORIZATION.row(
    "LocalSubjectAccessReview", verbs=_CREATE
)
SELF_SUBJECT_ACCESS_REVIEW: Kind[authorization_v1.SelfSubjectAccessReview] = _AUTHORIZATION.row(
    "SelfSubjectAccessReview", namespaced=False, verbs=_CREATE
)
SELF_SUBJECT_RULES_REVIEW: Kind[authorization_v1.SelfSubjectRulesReview] = _AUTHORIZATION.row(
    "SelfSubjectRulesReview", namespaced=False, verbs=_CREATE
)

_METRICS = GroupVersion("metrics.k8s.io", "v1beta1", "metrics_v1beta1")
NODE_METRICS: Kind[metrics_v1beta1.NodeMetrics] = _METRICS.row(
    "NodeMetrics", plural="nodes", namespaced=False, verbs=("get", "list")
)
POD_METRICS: Kind[metrics_v1beta1.PodMetrics] = _METRICS.row(
    "PodMetrics", plural="pods", verbs=("get", "list")
)

# Our own: what the image store and the engine keep beside Kubernetes' objects.
_PINNACE = GroupVersion("pinnace.dev", "v1", "pinnace_v1")
IMAGE: Kind[pinnace_v1.Image] = _PINNACE.row("Image", namespaced=False)
CONTAINER: Kind[pinnace_v1.Container] = _PINNACE.row("Container", namespaced=False)
VOLUME: Kind[pinnace_v1.Volume] = _PINNACE.row("Volume", namespaced=False)

# Bodies of subresources: they have no address of their own.
SCALE: Kind[autoscaling_v1.Scale] = _AUTOSCALING_V1.row("Scale", verbs=())
EVICTION: Kind[policy_v1.Eviction] = _POLICY.row("Eviction", verbs=())
TOKEN_REQUEST: Kind[authentication_v1.TokenRequest] = _AUTHENTICATION.row("TokenRequest", verbs=())

# What clients up to 1.21 send; the same fields. Source: Kubernetes v1.36, eviction.go, AcceptsGroupVersion.
_POLICY_V1BETA1 = GroupVersion("policy", "v1beta1", "policy_v1")
EVICTION_V1BETA1: Kind[policy_v1.Eviction] = _POLICY_V1BETA1.row("Eviction", verbs=())

# All rows above that something can be done with, in their order: a row need not be named a second time.
SERVED: tuple[Kind[Any], ...] = tuple(
    row for row in [*vars().values()] if isinstance(row, Kind) and row.verbs
)
BODIES: tuple[Kind[Any], ...] = (SCALE, EVICTION, TOKEN_REQUEST)
STORED: tuple[Kind[Any], ...] = tuple(
    {kind.resource: kind for kind in reversed(SERVED) if "watch" in kind.verbs}.values()
)[::-1]

_BY_GVK: Mapping[tuple[str, str, str], Kind[Any]] = {
    (k.group, k.version, k.kind): k for k in (*SERVED, *BODIES)
}
_BY_PLURAL: Mapping[tuple[str, str, str], Kind[Any]] = {(k.group, k.version, k.plural): k for k in SERVED}
_BY_STORAGE: Mapping[str, Kind[Any]] = {k.resource: k for k in STORED}
_BY_STRUCT: Mapping[str, Kind[Any]] = {k.struct: k for k in (*SERVED, *BODIES)}


def _names() -> dict[str, Kind[Any]]:
    names: dict[str, Kind[Any]] = {}
    for kind in SERVED:
        for word in (kind.plural, kind.singular, *kind.short_names):
            for name in (word, f"{word}.{kind.group}", f"{word}.{kind.version}.{kind.group}".rstrip(".")):
                names.setdefault(name, kind)
    return names


_BY_NAME: Mapping[str, Kind[Any]] = _names()


def by_gvk(group: str, version: str, kind: str) -> Kind[Any] | None:
    """Return the row of a group, version and kind."""
    return _BY_GVK.get((group, version, kind))


def by_api_version(api_version: str, kind: str) -> Kind[Any] | None:
    """Return the row of an object's `apiVersion` and `kind`."""
    group, _, version = api_version.rpartition("/")
    return _BY_GVK.get((group, version, kind))


def by_plural(group: str, version: str, plural: str) -> Kind[Any] | None:
    """Return the row of a URL's group, version and resource."""
    return _BY_PLURAL.get((group, version, plural))


def by_name(name: str) -> Kind[Any] | None:
    """Return the row that a person names.

    Example: "po", "pod", "pods", "deployments.apps" and "deployments.v1.apps" are all found, in any case.
    """
    return _BY_NAME.get(name.lower())


def by_resource(resource: str) -> Kind[Any] | None:
    """Return the row in whose version a store's resource is kept."""
    return _BY_STORAGE.get(resource)


def kind_of(obj: T) -> Kind[T]:
    """Return the row of an object.

    Raises: KeyError if its type is no top-level one.
    """
    struct = type(obj)
    return _BY_STRUCT[f"{struct.__module__.rpartition('.')[2]}.{struct.__name__}"]
