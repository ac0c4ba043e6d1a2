"""The table of served kinds: one row each, and lookups by every name that a client may use.

Everybody who needs to know what a kind is called, where it is stored or which subresources it has asks here; discovery,
OpenAPI, the write path and our CLI derive from these rows. A new kind is one row. Loads no object module until a row's
`type` is asked for, so that the CLI can use the table cheaply.

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


POD: Kind[core_v1.Pod] = Kind(
    "",
    "v1",
    "Pod",
    "pods",
    "core_v1.Pod",
    short_names=("po",),
    categories=("all",),
    subresources=POD_SUBRESOURCES,
)
SERVICE: Kind[core_v1.Service] = Kind(
    "",
    "v1",
    "Service",
    "services",
    "core_v1.Service",
    short_names=("svc",),
    categories=("all",),
    subresources=(Subresource("proxy", _PROXY_VERBS, "ServiceProxyOptions"), STATUS),
)
NAMESPACE: Kind[core_v1.Namespace] = Kind(
    "",
    "v1",
    "Namespace",
    "namespaces",
    "core_v1.Namespace",
    namespaced=False,
    short_names=("ns",),
    subresources=(Subresource("finalize", ("update",)), STATUS),
    verbs=tuple(verb for verb in VERBS if verb != "deletecollection"),
)
NODE: Kind[core_v1.Node] = Kind(
    "",
    "v1",
    "Node",
    "nodes",
    "core_v1.Node",
    namespaced=False,
    short_names=("no",),
    subresources=(Subresource("proxy", _PROXY_VERBS, "NodeProxyOptions"), STATUS),
)
ENDPOINTS: Kind[core_v1.Endpoints] = Kind(
    "", "v1", "Endpoints", "endpoints", "core_v1.Endpoints", short_names=("ep",)
)
CONFIG_MAP: Kind[core_v1.ConfigMap] = Kind(
    "", "v1", "ConfigMap", "configmaps", "core_v1.ConfigMap", short_names=("cm",)
)
SECRET: Kind[core_v1.Secret] = Kind("", "v1", "Secret", "secrets", "core_v1.Secret")
SERVICE_ACCOUNT: Kind[core_v1.ServiceAccount] = Kind(
    "",
    "v1",
    "ServiceAccount",
    "serviceaccounts",
    "core_v1.ServiceAccount",
    short_names=("sa",),
    subresources=(Subresource("token", ("create",), "TokenRequest", "authentication.k8s.io", "v1"),),
)
EVENT: Kind[core_v1.Event] = Kind("", "v1", "Event", "events", "core_v1.Event", short_names=("ev",))
BINDING: Kind[core_v1.Binding] = Kind("", "v1", "Binding", "bindings", "core_v1.Binding", verbs=("create",))
DEPLOYMENT: Kind[apps_v1.Deployment] = Kind(
    "apps",
    "v1",
    "Deployment",
    "deployments",
    "apps_v1.Deployment",
    short_names=("deploy",),
    categories=("all",),
    subresources=(SCALE_SUBRESOURCE, STATUS),
)
REPLICA_SET: Kind[apps_v1.ReplicaSet] = Kind(
    "apps",
    "v1",
    "ReplicaSet",
    "replicasets",
    "apps_v1.ReplicaSet",
    short_names=("rs",),
    categories=("all",),
    subresources=(SCALE_SUBRESOURCE, STATUS),
)
HORIZONTAL_POD_AUTOSCALER: Kind[autoscaling_v2.HorizontalPodAutoscaler] = Kind(
    "autoscaling",
    "v2",
    "HorizontalPodAutoscaler",
    "horizontalpodautoscalers",
    "autoscaling_v2.HorizontalPodAutoscaler",
    short_names=("hpa",),
    categories=("all",),
    subresources=(STATUS,),
)
HORIZONTAL_POD_AUTOSCALER_V1: Kind[autoscaling_v1.HorizontalPodAutoscaler] = Kind(
    "autoscaling",
    "v1",
    "HorizontalPodAutoscaler",
    "horizontalpodautoscalers",
    "autoscaling_v1.HorizontalPodAutoscaler",
    short_names=("hpa",),
    categories=("all",),
    subresources=(STATUS,),
)
LEASE: Kind[coordination_v1.Lease] = Kind(
    "coordination.k8s.io", "v1", "Lease", "leases", "coordination_v1.Lease"
)
ENDPOINT_SLICE: Kind[discovery_v1.EndpointSlice] = Kind(
    "discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", "discovery_v1.EndpointSlice"
)
EVENT_V1: Kind[events_v1.Event] = Kind(
    "events.k8s.io", "v1", "Event", "events", "events_v1.Event", short_names=("ev",), storage="events"
)
NODE_METRICS: Kind[metrics_v1beta1.NodeMetrics] = Kind(
    "metrics.k8s.io",
    "v1beta1",
    "NodeMetrics",
    "nodes",
    "metrics_v1beta1.NodeMetrics",
    namespaced=False,
    verbs=("get", "list"),
)
POD_METRICS: Kind[metrics_v1beta1.PodMetrics] = Kind(
    "metrics.k8s.io", "v1beta1", "PodMetrics", "pods", "metrics_v1beta1.PodMetrics", verbs=("get", "list")
)
REPLICATION_CONTROLLER: Kind[core_v1.ReplicationController] = Kind(
    "",
    "v1",
    "ReplicationController",
    "replicationcontrollers",
    "core_v1.ReplicationController",
    short_names=("rc",),
    categories=("all",),
    subresources=(
        SCALE_SUBRESOURCE,
        STATUS,
    ),
)
POD_TEMPLATE: Kind[core_v1.PodTemplate] = Kind(
    "",
    "v1",
    "PodTemplate",
    "podtemplates",
    "core_v1.PodTemplate",
)
LIMIT_RANGE: Kind[core_v1.LimitRange] = Kind(
    "",
    "v1",
    "LimitRange",
    "limitranges",
    "core_v1.LimitRange",
    short_names=("limits",),
)
RESOURCE_QUOTA: Kind[core_v1.ResourceQuota] = Kind(
    "",
    "v1",
    "ResourceQuota",
    "resourcequotas",
    "core_v1.ResourceQuota",
    short_names=("quota",),
    subresources=(STATUS,),
)
PERSISTENT_VOLUME: Kind[core_v1.PersistentVolume] = Kind(
    "",
    "v1",
    "PersistentVolume",
    "persistentvolumes",
    "core_v1.PersistentVolume",
    namespaced=False,
    short_names=("pv",),
    subresources=(STATUS,),
)
PERSISTENT_VOLUME_CLAIM: Kind[core_v1.PersistentVolumeClaim] = Kind(
    "",
    "v1",
    "PersistentVolumeClaim",
    "persistentvolumeclaims",
    "core_v1.PersistentVolumeClaim",
    short_names=("pvc",),
    subresources=(STATUS,),
)
DAEMON_SET: Kind[apps_v1.DaemonSet] = Kind(
    "apps",
    "v1",
    "DaemonSet",
    "daemonsets",
    "apps_v1.DaemonSet",
    short_names=("ds",),
    categories=("all",),
    subresources=(STATUS,),
)
STATEFUL_SET: Kind[apps_v1.StatefulSet] = Kind(
    "apps",
    "v1",
    "StatefulSet",
    "statefulsets",
    "apps_v1.StatefulSet",
    short_names=("sts",),
    categories=("all",),
    subresources=(
        SCALE_SUBRESOURCE,
        STATUS,
    ),
)
CONTROLLER_REVISION: Kind[apps_v1.ControllerRevision] = Kind(
    "apps",
    "v1",
    "ControllerRevision",
    "controllerrevisions",
    "apps_v1.ControllerRevision",
)
JOB: Kind[batch_v1.Job] = Kind(
    "batch",
    "v1",
    "Job",
    "jobs",
    "batch_v1.Job",
    categories=("all",),
    subresources=(STATUS,),
)
CRON_JOB: Kind[batch_v1.CronJob] = Kind(
    "batch",
    "v1",
    "CronJob",
    "cronjobs",
    "batch_v1.CronJob",
    short_names=("cj",),
    categories=("all",),
    subresources=(STATUS,),
)
INGRESS: Kind[networking_v1.Ingress] = Kind(
    "networking.k8s.io",
    "v1",
    "Ingress",
    "ingresses",
    "networking_v1.Ingress",
    short_names=("ing",),
    subresources=(STATUS,),
)
INGRESS_CLASS: Kind[networking_v1.IngressClass] = Kind(
    "networking.k8s.io",
    "v1",
    "IngressClass",
    "ingressclasses",
    "networking_v1.IngressClass",
    namespaced=False,
)
NETWORK_POLICY: Kind[networking_v1.NetworkPolicy] = Kind(
    "networking.k8s.io",
    "v1",
    "NetworkPolicy",
    "networkpolicies",
    "networking_v1.NetworkPolicy",
    short_names=("netpol",),
)
RUNTIME_CLASS: Kind[node_v1.RuntimeClass] = Kind(
    "node.k8s.io",
    "v1",
    "RuntimeClass",
    "runtimeclasses",
    "node_v1.RuntimeClass",
    namespaced=False,
)
POD_DISRUPTION_BUDGET: Kind[policy_v1.PodDisruptionBudget] = Kind(
    "policy",
    "v1",
    "PodDisruptionBudget",
    "poddisruptionbudgets",
    "policy_v1.PodDisruptionBudget",
    short_names=("pdb",),
    subresources=(STATUS,),
)
ROLE: Kind[rbac_v1.Role] = Kind(
    "rbac.authorization.k8s.io",
    "v1",
    "Role",
    "roles",
    "rbac_v1.Role",
)
ROLE_BINDING: Kind[rbac_v1.RoleBinding] = Kind(
    "rbac.authorization.k8s.io",
    "v1",
    "RoleBinding",
    "rolebindings",
    "rbac_v1.RoleBinding",
)
CLUSTER_ROLE: Kind[rbac_v1.ClusterRole] = Kind(
    "rbac.authorization.k8s.io",
    "v1",
    "ClusterRole",
    "clusterroles",
    "rbac_v1.ClusterRole",
    namespaced=False,
)
CLUSTER_ROLE_BINDING: Kind[rbac_v1.ClusterRoleBinding] = Kind(
    "rbac.authorization.k8s.io",
    "v1",
    "ClusterRoleBinding",
    "clusterrolebindings",
    "rbac_v1.ClusterRoleBinding",
    namespaced=False,
)
PRIORITY_CLASS: Kind[scheduling_v1.PriorityClass] = Kind(
    "scheduling.k8s.io",
    "v1",
    "PriorityClass",
    "priorityclasses",
    "scheduling_v1.PriorityClass",
    namespaced=False,
    short_names=("pc",),
)
STORAGE_CLASS: Kind[storage_v1.StorageClass] = Kind(
    "storage.k8s.io",
    "v1",
    "StorageClass",
    "storageclasses",
    "storage_v1.StorageClass",
    namespaced=False,
    short_names=("sc",),
)
CUSTOM_RESOURCE_DEFINITION: Kind[apiextensions_v1.CustomResourceDefinition] = Kind(
    "apiextensions.k8s.io",
    "v1",
    "CustomResourceDefinition",
    "customresourcedefinitions",
    "apiextensions_v1.CustomResourceDefinition",
    namespaced=False,
    short_names=("crd", "crds"),
    categories=("api-extensions",),
    subresources=(STATUS,),
)
VALIDATING_ADMISSION_POLICY: Kind[admissionregistration_v1.ValidatingAdmissionPolicy] = Kind(
    "admissionregistration.k8s.io",
    "v1",
    "ValidatingAdmissionPolicy",
    "validatingadmissionpolicies",
    "admissionregistration_v1.ValidatingAdmissionPolicy",
    namespaced=False,
    categories=("api-extensions",),
    subresources=(STATUS,),
)
VALIDATING_ADMISSION_POLICY_BINDING: Kind[admissionregistration_v1.ValidatingAdmissionPolicyBinding] = Kind(
    "admissionregistration.k8s.io",
    "v1",
    "ValidatingAdmissionPolicyBinding",
    "validatingadmissionpolicybindings",
    "admissionregistration_v1.ValidatingAdmissionPolicyBinding",
    namespaced=False,
    categories=("api-extensions",),
)
# Questions about access: what is created is the answer, and nothing is stored.
TOKEN_REVIEW: Kind[authentication_v1.TokenReview] = Kind(
    "authentication.k8s.io",
    "v1",
    "TokenReview",
    "tokenreviews",
    "authentication_v1.TokenReview",
    namespaced=False,
    verbs=("create",),
)
SELF_SUBJECT_REVIEW: Kind[authentication_v1.SelfSubjectReview] = Kind(
    "authentication.k8s.io",
    "v1",
    "SelfSubjectReview",
    "selfsubjectreviews",
    "authentication_v1.SelfSubjectReview",
    namespaced=False,
    verbs=("create",),
)
SUBJECT_ACCESS_REVIEW: Kind[authorization_v1.SubjectAccessReview] = Kind(
    "authorization.k8s.io",
    "v1",
    "SubjectAccessReview",
    "subjectaccessreviews",
    "authorization_v1.SubjectAccessReview",
    namespaced=False,
    verbs=("create",),
)
LOCAL_SUBJECT_ACCESS_REVIEW: Kind[authorization_v1.LocalSubjectAccessReview] = Kind(
    "authorization.k8s.io",
    "v1",
    "LocalSubjectAccessReview",
    "localsubjectaccessreviews",
    "authorization_v1.LocalSubjectAccessReview",
    verbs=("create",),
)
SELF_SUBJECT_ACCESS_REVIEW: Kind[authorization_v1.SelfSubjectAccessReview] = Kind(
    "authorization.k8s.io",
    "v1",
    "SelfSubjectAccessReview",
    "selfsubjectaccessreviews",
    "authorization_v1.SelfSubjectAccessReview",
    namespaced=False,
    verbs=("create",),
)
SELF_SUBJECT_RULES_REVIEW: Kind[authorization_v1.SelfSubjectRulesReview] = Kind(
    "authorization.k8s.io",
    "v1",
    "SelfSubjectRulesReview",
    "selfsubjectrulesreviews",
    "authorization_v1.SelfSubjectRulesReview",
    namespaced=False,
    verbs=("create",),
)
# Our own: what the image store and the engine keep beside Kubernetes' objects.
IMAGE: Kind[pinnace_v1.Image] = Kind(
    "pinnace.dev", "v1", "Image", "images", "pinnace_v1.Image", namespaced=False
)
CONTAINER: Kind[pinnace_v1.Container] = Kind(
    "pinnace.dev", "v1", "Container", "containers", "pinnace_v1.Container", namespaced=False
)
VOLUME: Kind[pinnace_v1.Volume] = Kind(
    "pinnace.dev", "v1", "Volume", "volumes", "pinnace_v1.Volume", namespaced=False
)

# Bodies of subresources: they have no address of their own.
SCALE: Kind[autoscaling_v1.Scale] = Kind(
    "autoscaling", "v1", "Scale", "scales", "autoscaling_v1.Scale", verbs=()
)
TOKEN_REQUEST: Kind[authentication_v1.TokenRequest] = Kind(
    "authentication.k8s.io", "v1", "TokenRequest", "tokenrequests", "authentication_v1.TokenRequest", verbs=()
)
EVICTION: Kind[policy_v1.Eviction] = Kind(
    "policy", "v1", "Eviction", "evictions", "policy_v1.Eviction", verbs=()
)
# What clients up to 1.21 send; the same fields. Source: Kubernetes v1.36, eviction.go, AcceptsGroupVersion.
EVICTION_V1BETA1: Kind[policy_v1.Eviction] = Kind(
    "policy", "v1beta1", "Eviction", "evictions", "policy_v1.Eviction", verbs=()
)

# Where several versions store one resource, the stored (and preferred) one comes first.
SERVED: tuple[Kind[Any], ...] = (
    BINDING,
    CONFIG_MAP,
    ENDPOINTS,
    EVENT,
    NAMESPACE,
    NODE,
    POD,
    SECRET,
    SERVICE_ACCOUNT,
    SERVICE,
    REPLICATION_CONTROLLER,
    POD_TEMPLATE,
    LIMIT_RANGE,
    RESOURCE_QUOTA,
    PERSISTENT_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    DEPLOYMENT,
    REPLICA_SET,
    DAEMON_SET,
    STATEFUL_SET,
    CONTROLLER_REVISION,
    HORIZONTAL_POD_AUTOSCALER,
    HORIZONTAL_POD_AUTOSCALER_V1,
    LEASE,
    ENDPOINT_SLICE,
    EVENT_V1,
    JOB,
    CRON_JOB,
    INGRESS,
    INGRESS_CLASS,
    NETWORK_POLICY,
    RUNTIME_CLASS,
    POD_DISRUPTION_BUDGET,
    ROLE,
    ROLE_BINDING,
    CLUSTER_ROLE,
    CLUSTER_ROLE_BINDING,
    PRIORITY_CLASS,
    STORAGE_CLASS,
    CUSTOM_RESOURCE_DEFINITION,
    VALIDATING_ADMISSION_POLICY,
    VALIDATING_ADMISSION_POLICY_BINDING,
    TOKEN_REVIEW,
    SELF_SUBJECT_REVIEW,
    SUBJECT_ACCESS_REVIEW,
    LOCAL_SUBJECT_ACCESS_REVIEW,
    SELF_SUBJECT_ACCESS_REVIEW,
    SELF_SUBJECT_RULES_REVIEW,
    NODE_METRICS,
    POD_METRICS,
    IMAGE,
    CONTAINER,
    VOLUME,
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


def versions_of(kind: Kind[Any]) -> tuple[Kind[Any], ...]:
    """Return all rows that share the kind's storage, the stored one first."""
    return tuple(other for other in SERVED if other.resource == kind.resource)


def group_versions() -> dict[str, tuple[str, ...]]:
    """Return group -> its served versions, the preferred first; groups in the order of the table."""
    groups: dict[str, dict[str, None]] = {}
    for kind in SERVED:
        groups.setdefault(kind.group, {})[kind.version] = None
    return {group: tuple(versions) for group, versions in groups.items()}
