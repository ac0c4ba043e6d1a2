"""The roles and bindings that every cluster has from the start, as a table. Pure.

Left out are the roles of Kubernetes' own controllers (system:controller:*; ours write as system:masters), those of
certificates.k8s.io, which is not served, and the Roles in kube-system and kube-public that belong to parts which are not
here. `system:aggregated-metrics-reader` comes with the metrics server on a real cluster.
Source: Kubernetes v1.36, plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go; metrics-server, manifests/base/rbac.yaml.
"""

from pinnace.api.access.rbac import RBAC_GROUP
from pinnace.api.access.rules import EVERYTHING
from pinnace.kube.objects.meta_v1 import LabelSelector, ObjectMeta
from pinnace.kube.objects.rbac_v1 import (
    AggregationRule,
    ClusterRole,
    ClusterRoleBinding,
    PolicyRule,
    RoleRef,
    Subject,
)

AUTOUPDATE = "rbac.authorization.kubernetes.io/autoupdate"
_BOOTSTRAPPING = {"kubernetes.io/bootstrapping": "rbac-defaults"}
_AGGREGATE = "rbac.authorization.k8s.io/aggregate-to-"

READ = ("get", "list", "watch")
WRITE = ("create", "delete", "deletecollection", "patch", "update")
ALL = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
CREATE = ("create",)
GET = ("get",)
LIST = ("list", "watch")
CHANGE = ("patch", "update")
RECORD = ("create", "patch", "update")


def _rule(group: str, resources: str, verbs: tuple[str, ...], names: tuple[str, ...] = ()) -> PolicyRule:
    """Return a rule. Shape: `group` and `resources` are words, the core group is "core"."""
    groups = tuple("" if word == "core" else word for word in group.split())
    return PolicyRule(
        api_groups=groups, resources=tuple(resources.split()), verbs=verbs, resource_names=names
    )


def _paths(paths: str) -> PolicyRule:
    return PolicyRule(non_resource_urls=tuple(paths.split()), verbs=GET)


_EVENTS = _rule("core events.k8s.io", "events", RECORD)
_TOKEN_REVIEWS = _rule("authentication.k8s.io", "tokenreviews", CREATE)
_ACCESS_REVIEWS = _rule("authorization.k8s.io", "subjectaccessreviews", CREATE)

_ADMIN = (
    _rule("authorization.k8s.io", "localsubjectaccessreviews", CREATE),
    _rule(RBAC_GROUP, "rolebindings roles", ALL),
)
_EDIT = (
    _rule("core", "pods/attach pods/exec pods/portforward pods/proxy secrets services/proxy", READ),
    _rule("core", "serviceaccounts", ("impersonate",)),
    _rule("core", "pods pods/attach pods/exec pods/portforward pods/proxy", WRITE),
    _rule("core", "pods/eviction", CREATE),
    _rule(
        "core",
        "configmaps events persistentvolumeclaims replicationcontrollers replicationcontrollers/scale secrets "
        "serviceaccounts services services/proxy",
        WRITE,
    ),
    _rule("core", "serviceaccounts/token", CREATE),
    _rule(
        "apps",
        "daemonsets deployments deployments/rollback deployments/scale replicasets replicasets/scale statefulsets "
        "statefulsets/scale",
        WRITE,
    ),
    _rule("autoscaling", "horizontalpodautoscalers", WRITE),
    _rule("batch", "cronjobs jobs", WRITE),
    _rule(
        "extensions",
        "daemonsets deployments deployments/rollback deployments/scale ingresses networkpolicies replicasets "
        "replicasets/scale replicationcontrollers/scale",
        WRITE,
    ),
    _rule("policy", "poddisruptionbudgets", WRITE),
    _rule("networking.k8s.io", "ingresses networkpolicies", WRITE),
    _rule("coordination.k8s.io", "leases", ALL),
)
_VIEW = (
    _rule(
        "core",
        "configmaps endpoints persistentvolumeclaims persistentvolumeclaims/status pods replicationcontrollers "
        "replicationcontrollers/scale serviceaccounts services services/status",
        READ,
    ),
    _rule(
        "core",
        "bindings events limitranges namespaces/status pods/log pods/status replicationcontrollers/status "
        "resourcequotas resourcequotas/status",
        READ,
    ),
    _rule("core", "namespaces", READ),
    _rule("discovery.k8s.io", "endpointslices", READ),
    _rule(
        "apps",
        "controllerrevisions daemonsets daemonsets/status deployments deployments/scale deployments/status "
        "replicasets replicasets/scale replicasets/status statefulsets statefulsets/scale statefulsets/status",
        READ,
    ),
    _rule("autoscaling", "horizontalpodautoscalers horizontalpodautoscalers/status", READ),
    _rule("batch", "cronjobs cronjobs/status jobs jobs/status", READ),
    _rule(
        "extensions",
        "daemonsets daemonsets/status deployments deployments/scale deployments/status ingresses ingresses/status "
        "networkpolicies replicasets replicasets/scale replicasets/status replicationcontrollers/scale",
        READ,
    ),
    _rule("policy", "poddisruptionbudgets poddisruptionbudgets/status", READ),
    _rule("networking.k8s.io", "ingresses ingresses/status networkpolicies", READ),
)
_NODE = (
    _TOKEN_REVIEWS,
    _rule("authorization.k8s.io", "localsubjectaccessreviews subjectaccessreviews", CREATE),
    _rule("core", "services", READ),
    _rule("core", "nodes", ("create", *READ)),
    _rule("core", "nodes/status", CHANGE),
    _rule("core", "nodes", CHANGE),
    _rule("core", "events", RECORD),
    _rule("core", "pods", READ),
    _rule("core", "pods", ("create", "delete")),
    _rule("core", "pods/status", CHANGE),
    _rule("core", "pods/eviction", CREATE),
    _rule("core", "configmaps secrets", READ),
    _rule("core", "persistentvolumeclaims persistentvolumes", GET),
    _rule("core", "endpoints", GET),
    _rule("certificates.k8s.io", "certificatesigningrequests", ("create", *READ)),
    _rule("coordination.k8s.io", "leases", ("create", "delete", "get", *CHANGE)),
    _rule("storage.k8s.io", "volumeattachments", GET),
    _rule("core", "serviceaccounts/token", CREATE),
    _rule("core", "persistentvolumeclaims/status", ("get", *CHANGE)),
    _rule("storage.k8s.io", "csidrivers", READ),
    _rule("storage.k8s.io", "csinodes", ("create", "delete", "get", *CHANGE)),
    _rule("node.k8s.io", "runtimeclasses", READ),
)
_CONTROLLER_MANAGER = (
    _EVENTS,
    _rule("coordination.k8s.io", "leases", CREATE),
    _rule("coordination.k8s.io", "leases", ("get", "update"), ("kube-controller-manager",)),
    _rule("core", "secrets serviceaccounts", CREATE),
    _rule("core", "secrets", ("delete",)),
    _rule("core", "configmaps namespaces secrets serviceaccounts", GET),
    _rule("core", "secrets serviceaccounts", ("update",)),
    _TOKEN_REVIEWS,
    _ACCESS_REVIEWS,
    _rule("*", "*", LIST),
    _rule("core", "serviceaccounts/token", CREATE),
)
_SCHEDULER = (
    _EVENTS,
    _rule("coordination.k8s.io", "leases", CREATE),
    _rule("coordination.k8s.io", "leases", ("get", "update"), ("kube-scheduler",)),
    _rule("core", "nodes", READ),
    _rule("core", "pods", ("delete", *READ)),
    _rule("core", "bindings pods/binding", CREATE),
    _rule("core", "pods/status", CHANGE),
    _rule("core", "replicationcontrollers services", READ),
    _rule("apps extensions", "replicasets", READ),
    _rule("apps", "statefulsets", READ),
    _rule("policy", "poddisruptionbudgets", READ),
    _rule("core", "persistentvolumeclaims persistentvolumes", READ),
    _TOKEN_REVIEWS,
    _ACCESS_REVIEWS,
    _rule("storage.k8s.io", "csinodes", READ),
    _rule("core", "namespaces", READ),
    _rule("storage.k8s.io", "csidrivers", READ),
    _rule("storage.k8s.io", "csistoragecapacities", READ),
)

_RULES: dict[str, tuple[PolicyRule, ...]] = {
    "cluster-admin": EVERYTHING,
    "system:aggregate-to-admin": _ADMIN,
    "system:aggregate-to-edit": _EDIT,
    "system:aggregate-to-view": _VIEW,
    "system:aggregated-metrics-reader": (_rule("metrics.k8s.io", "pods nodes", READ),),
    "system:auth-delegator": (_TOKEN_REVIEWS, _ACCESS_REVIEWS),
    "system:basic-user": (
        _rule("authorization.k8s.io", "selfsubjectaccessreviews selfsubjectrulesreviews", CREATE),
        _rule("authentication.k8s.io", "selfsubjectreviews", CREATE),
    ),
    "system:discovery": (
        _paths("/api /api/* /apis /apis/* /healthz /livez /openapi /openapi/* /readyz /version /version/"),
    ),
    "system:heapster": (
        _rule("core", "events namespaces nodes pods", READ),
        _rule("extensions", "deployments", READ),
    ),
    "system:kube-aggregator": (_rule("core", "endpoints services", READ),),
    "system:kube-controller-manager": _CONTROLLER_MANAGER,
    "system:kube-dns": (_rule("core", "endpoints services", LIST),),
    "system:kube-scheduler": _SCHEDULER,
    "system:kubelet-api-admin": (
        _rule("core", "nodes", READ),
        _rule("core", "nodes", ("proxy",)),
        _rule(
            "core",
            "nodes/checkpoint nodes/configz nodes/healthz nodes/log nodes/metrics nodes/pods nodes/proxy nodes/stats",
            ("*",),
        ),
    ),
    "system:monitoring": (
        _paths("/healthz /healthz/* /livez /livez/* /metrics /metrics/slis /readyz /readyz/*"),
    ),
    "system:node": _NODE,
    "system:node-bootstrapper": (
        _rule("certificates.k8s.io", "certificatesigningrequests", ("create", *READ)),
    ),
    "system:node-problem-detector": (
        _rule("core", "nodes", GET),
        _rule("core", "nodes/status", ("patch",)),
        _EVENTS,
    ),
    "system:node-proxier": (
        _rule("core", "endpoints services", LIST),
        _rule("core", "nodes", READ),
        _EVENTS,
        _rule("discovery.k8s.io", "endpointslices", LIST),
    ),
    "system:persistent-volume-provisioner": (
        _rule("core", "persistentvolumes", ("create", "delete", *READ)),
        _rule("core", "persistentvolumeclaims", ("get", "list", "update", "watch")),
        _rule("storage.k8s.io", "storageclasses", READ),
        _rule("core", "events", ("watch",)),
        _EVENTS,
    ),
    "system:public-info-viewer": (_paths("/healthz /livez /readyz /version /version/"),),
    "system:service-account-issuer-discovery": (_paths("/.well-known/openid-configuration /openid/v1/jwks"),),
    "system:volume-scheduler": (
        _rule("core", "persistentvolumes", (*READ, *CHANGE)),
        _rule("storage.k8s.io", "storageclasses", READ),
        _rule("core", "persistentvolumeclaims", (*READ, *CHANGE)),
    ),
}
# role → the roles that its rules become part of.
_PART_OF: dict[str, tuple[str, ...]] = {
    "edit": ("admin",),
    "view": ("edit",),
    "system:aggregate-to-admin": ("admin",),
    "system:aggregate-to-edit": ("edit",),
    "system:aggregate-to-view": ("view",),
    "system:aggregated-metrics-reader": ("admin", "edit", "view"),
}
_AGGREGATED = ("admin", "edit", "view")  # each is made of those after it

_AUTHENTICATED = ("Group", "system:authenticated")
# role → who is bound to it from the start. The binding has the role's name.
_BOUND: dict[str, tuple[tuple[str, str], ...]] = {
    "cluster-admin": (("Group", "system:masters"),),
    "system:basic-user": (_AUTHENTICATED,),
    "system:discovery": (_AUTHENTICATED,),
    "system:kube-controller-manager": (("User", "system:kube-controller-manager"),),
    "system:kube-dns": (("ServiceAccount", "kube-dns"),),
    "system:kube-scheduler": (("User", "system:kube-scheduler"),),
    "system:monitoring": (("Group", "system:monitoring"),),
    "system:node": (),
    "system:node-proxier": (("User", "system:kube-proxy"),),
    "system:public-info-viewer": (_AUTHENTICATED, ("Group", "system:unauthenticated")),
    "system:service-account-issuer-discovery": (("Group", "system:serviceaccounts"),),
    "system:volume-scheduler": (("User", "system:kube-scheduler"),),
}


def _meta(name: str) -> ObjectMeta:
    labels = _BOOTSTRAPPING | {f"{_AGGREGATE}{whole}": "true" for whole in _PART_OF.get(name, ())}
    return ObjectMeta(name=name, labels=labels, annotations={AUTOUPDATE: "true"})


def _aggregated(name: str) -> ClusterRole:
    selector = LabelSelector(match_labels={f"{_AGGREGATE}{name}": "true"})
    return ClusterRole(
        metadata=_meta(name), aggregation_rule=AggregationRule(cluster_role_selectors=(selector,))
    )


def _subject(kind: str, name: str) -> Subject:
    if kind == "ServiceAccount":
        return Subject(kind=kind, name=name, namespace="kube-system")
    return Subject(kind=kind, api_group=RBAC_GROUP, name=name)


def default_roles() -> tuple[ClusterRole, ...]:
    """Return the roles."""
    plain = [ClusterRole(metadata=_meta(name), rules=rules) for name, rules in _RULES.items()]
    return (*(_aggregated(name) for name in _AGGREGATED), *plain)


def default_bindings() -> tuple[ClusterRoleBinding, ...]:
    """Return the bindings."""
    return tuple(
        ClusterRoleBinding(
            metadata=_meta_of_binding(name),
            role_ref=RoleRef(api_group=RBAC_GROUP, kind="ClusterRole", name=name),
            subjects=tuple(_subject(*subject) for subject in subjects),
        )
        for name, subjects in _BOUND.items()
    )


def _meta_of_binding(name: str) -> ObjectMeta:
    return ObjectMeta(name=name, labels=_BOOTSTRAPPING, annotations={AUTOUPDATE: "true"})
