"""Turns a new pod's priority class into its priority, and guards the classes themselves.

A row of the chain. Pure. Source: Kubernetes v1.36, plugin/pkg/admission/priority/admission.go.
"""

from msgspec.structs import replace

from pinnace.api.admission.attempt import Admission, AdmissionFacts, Attempt, Operation
from pinnace.api.errors import forbidden
from pinnace.api.memo import changed_spec
from pinnace.kube.kinds import POD, PRIORITY_CLASS
from pinnace.kube.objects.core_v1 import Pod
from pinnace.kube.objects.scheduling_v1 import PriorityClass

# Source: Kubernetes v1.36, pkg/apis/scheduling/types.go; the two classes are there before anybody makes them.
SYSTEM_CLASSES = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}
DEFAULT_PRIORITY = 0
GLOBAL_DEFAULT = "globalDefault"  # an indexed field of PriorityClass


def admit_priority(attempt: Attempt) -> Pod:
    """Return the pod with its priority. Raises: ApiError Forbidden when its class is not there, or it names a priority."""
    pod: Pod = attempt.object
    if attempt.operation is Operation.UPDATE:
        return _keep_priority(pod, attempt.old)
    spec, facts = pod.spec, attempt.facts
    name, priority, policy = spec.priority_class_name, DEFAULT_PRIORITY, ""
    if not name:
        found = find_global_default(facts)
        if found is not None:
            name, priority, policy = found.metadata.name, found.value or 0, found.preemption_policy
    else:
        found = facts.find(PRIORITY_CLASS, "", name)
        if found is not None:
            priority, policy = found.value or 0, found.preemption_policy
        elif name in SYSTEM_CLASSES:
            priority = SYSTEM_CLASSES[name]
        else:
            raise forbidden(POD, pod.metadata.name, f"no PriorityClass with name {name} was found")
    policy = policy or "PreemptLowerPriority"
    if spec.priority is not None and spec.priority != priority:
        why = f"the integer value of priority ({spec.priority}) must not be provided in pod spec; priority admission"
        raise forbidden(
            POD, pod.metadata.name, f"{why} controller computed {priority} from the given PriorityClass name"
        )
    if spec.preemption_policy and spec.preemption_policy != policy:
        why = f"the string value of PreemptionPolicy ({spec.preemption_policy}) must not be provided in pod spec;"
        raise forbidden(
            POD,
            pod.metadata.name,
            f"{why} priority admission controller computed {policy} from the given PriorityClass name",
        )
    changed = changed_spec(spec, priority_class_name=name, priority=priority, preemption_policy=policy)
    return replace(pod, spec=changed)


def _keep_priority(pod: Pod, old: Pod) -> Pod:
    """Whoever replaces a pod need not repeat what was added to it."""
    priority = old.spec.priority if pod.spec.priority is None else pod.spec.priority
    policy = pod.spec.preemption_policy or old.spec.preemption_policy
    if priority == pod.spec.priority and policy == pod.spec.preemption_policy:
        return pod
    return replace(pod, spec=replace(pod.spec, priority=priority, preemption_policy=policy))


def find_global_default(facts: AdmissionFacts) -> PriorityClass | None:
    """Return the class for pods that name none: of several, the one of the lowest priority."""
    found = facts.by_field(PRIORITY_CLASS, GLOBAL_DEFAULT, "true")
    return min(found, key=lambda each: each.value or 0) if found else None


POD_ROW = Admission(
    name="Priority",
    mutate=admit_priority,
    resources=frozenset({POD.resource}),
)


def guard_global_default(attempt: Attempt) -> None:
    """Raises: ApiError Forbidden when another class is the global default already."""
    wanted: PriorityClass = attempt.object
    if not wanted.global_default:
        return
    for held in attempt.facts.by_field(PRIORITY_CLASS, GLOBAL_DEFAULT, "true"):
        if held.metadata.name != attempt.name:
            why = (
                f"PriorityClass {held.metadata.name} is already marked as default. Only one default can exist"
            )
            raise forbidden(PRIORITY_CLASS, attempt.name, why)


CLASS_ROW = Admission(
    name="Priority", validate=guard_global_default, resources=frozenset({PRIORITY_CLASS.resource})
)
