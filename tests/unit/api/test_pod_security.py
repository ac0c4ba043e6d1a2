"""Pod Security Standards: each check's words, the versions, the labels. Source: Kubernetes v1.37, pod-security-admission."""

from typing import Any

import pytest

from pinnace.api.admission.podsecurity.policy import LATEST, Policy, Standard, read_policy
from pinnace.api.admission.podsecurity.standards import find_violations
from pinnace.api.context import Context
from pinnace.api.facade import Api
from pinnace.api.patches import Patch
from pinnace.api.validation.problems import Problems
from pinnace.base.errors import ApiError, Reason
from pinnace.kube import kinds
from pinnace.kube.objects.core_v1 import Namespace
from pinnace.kube.objects.meta_v1 import ObjectMeta
from tests.unit.api.builders import decode, deployment, make_api, pod

PREFIX = "pod-security.kubernetes.io/"
BASELINE, RESTRICTED = Standard("baseline"), Standard("restricted")

HARMLESS = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def say(standard: Standard, spec: dict[str, Any] | None = None, **container: Any) -> str:
    """Return what a standard says of a pod of one container."""
    built = pod(spec=spec, **container)
    return ", ".join(str(each) for each in find_violations(standard, built.metadata, built.spec))


# (what the container or the pod does, what the level "baseline" says)
BASELINE_CASES: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({}, {}, ""),
    ({"securityContext": HARMLESS}, {}, ""),
    (
        {"securityContext": {"privileged": True}},
        {},
        'privileged (container "main" must not set securityContext.privileged=true)',
    ),
    (
        {"securityContext": {"capabilities": {"add": ["SYS_ADMIN", "NET_RAW", "CHOWN"]}}},
        {},
        'non-default capabilities (container "main" must not include "NET_RAW", "SYS_ADMIN"'
        " in securityContext.capabilities.add)",
    ),
    (
        {},
        {"hostNetwork": True, "hostPID": True, "hostIPC": True},
        "host namespaces (hostNetwork=true, hostPID=true, hostIPC=true)",
    ),
    (
        {},
        {"volumes": [{"name": "a", "hostPath": {"path": "/"}}, {"name": "b", "hostPath": {"path": "/"}}]},
        'hostPath volumes (volumes "a", "b")',
    ),
    (
        {"ports": [{"containerPort": 80, "hostPort": 8080}]},
        {},
        'hostPort (container "main" uses hostPort 8080)',
    ),
    (
        {"livenessProbe": {"httpGet": {"port": 80, "host": "10.0.0.1"}}},
        {},
        'probe or lifecycle host (container "main" uses probe or lifecycle host "10.0.0.1")',
    ),
    (
        {"securityContext": {"procMount": "Unmasked"}},
        {},
        'procMount (container "main" must not set securityContext.procMount to "Unmasked")',
    ),
    (
        {"securityContext": {"seLinuxOptions": {"type": "spc_t", "user": "me", "role": "sys"}}},
        {},
        'seLinuxOptions (container "main" set forbidden securityContext.seLinuxOptions: type "spc_t";'
        " user may not be set; role may not be set)",
    ),
    ({"securityContext": {"seLinuxOptions": {"type": "container_engine_t"}}}, {}, ""),
    (
        {"securityContext": {"seccompProfile": {"type": "Unconfined"}}},
        {"securityContext": {"seccompProfile": {"type": "Unconfined"}}},
        'seccompProfile (pod and container "main" must not set securityContext.seccompProfile.type to "Unconfined")',
    ),
    (
        {"securityContext": {"appArmorProfile": {"type": "Unconfined"}}},
        {},
        'forbidden AppArmor profile (container "main" must not set AppArmor profile type to "Unconfined")',
    ),
    (
        {},
        {"securityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}},
        "forbidden sysctls (kernel.msgmax)",
    ),
    ({}, {"securityContext": {"sysctls": [{"name": "net.ipv4.tcp_rmem", "value": "1"}]}}, ""),
    (
        {},
        {"securityContext": {"windowsOptions": {"hostProcess": True}}},
        "hostProcess (pod must not set securityContext.windowsOptions.hostProcess=true)",
    ),
]


@pytest.mark.parametrize(("container", "spec", "expected"), BASELINE_CASES)
def test_baseline_names_what_breaks_out(
    container: dict[str, Any], spec: dict[str, Any], expected: str
) -> None:
    assert say(BASELINE, spec, **container) == expected


def test_restricted_says_everything_of_a_plain_pod() -> None:
    # The words that kubectl prints on a real cluster for `kubectl run web --image app:v1`.
    assert say(RESTRICTED) == (
        'allowPrivilegeEscalation != false (container "main" must set securityContext.allowPrivilegeEscalation=false),'
        ' unrestricted capabilities (container "main" must set securityContext.capabilities.drop=["ALL"]),'
        ' runAsNonRoot != true (pod or container "main" must set securityContext.runAsNonRoot=true),'
        ' seccompProfile (pod or container "main" must set securityContext.seccompProfile.type to "RuntimeDefault" or'
        ' "Localhost")'
    )


RESTRICTED_CASES: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({}, {}, ""),
    ({"capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}}, {}, ""),
    (
        {"capabilities": {"drop": ["ALL"], "add": ["CHOWN"]}},
        {},
        'unrestricted capabilities (container "main" must not include "CHOWN" in securityContext.capabilities.add)',
    ),
    (
        {"runAsNonRoot": False},
        {},
        'runAsNonRoot != true (container "main" must not set securityContext.runAsNonRoot=false)',
    ),
    ({"runAsNonRoot": None}, {"securityContext": {"runAsNonRoot": True}}, ""),
    ({"runAsUser": 0}, {}, 'runAsUser=0 (container "main" must not set runAsUser=0)'),
    ({"runAsUser": 0, "runAsNonRoot": False}, {"hostUsers": False}, ""),
    (
        {"seccompProfile": {"type": "Unconfined"}},
        {},
        'seccompProfile (container "main" must not set securityContext.seccompProfile.type to "Unconfined")',
    ),
    ({"seccompProfile": None}, {"securityContext": {"seccompProfile": {"type": "Localhost"}}}, ""),
    (
        {},
        {"volumes": [{"name": "n", "nfs": {"server": "a", "path": "/"}}, {"name": "e", "emptyDir": {}}]},
        'restricted volume types (volume "n" uses restricted volume type "nfs")',
    ),
    (
        {},
        {"volumes": [{"name": "h", "hostPath": {"path": "/"}}]},
        'restricted volume types (volume "h" uses restricted volume type "hostPath")',
    ),
]


@pytest.mark.parametrize(("context", "spec", "expected"), RESTRICTED_CASES)
def test_restricted_adds_its_own(context: dict[str, Any], spec: dict[str, Any], expected: str) -> None:
    assert say(RESTRICTED, spec, securityContext={**HARMLESS, **context}) == expected


def test_several_containers_are_named_in_order() -> None:
    spec = {
        "initContainers": [{"name": "first", "image": "a", "securityContext": {"privileged": True}}],
    }
    words = say(BASELINE, spec, securityContext={"privileged": True})
    assert words == 'privileged (containers "first", "main" must not set securityContext.privileged=true)'


@pytest.mark.parametrize(
    ("minor", "expected"),
    [(7, False), (8, True), (LATEST, True)],
)
def test_a_check_counts_since_its_version(minor: int, expected: bool) -> None:
    words = say(Standard("restricted", minor))
    assert ("allowPrivilegeEscalation" in words) is expected


def test_windows_pods_are_spared_since_1_25() -> None:
    spec = {"os": {"name": "windows"}}
    assert "capabilities" in say(Standard("restricted", 24), spec)
    assert "capabilities" not in say(Standard("restricted", 25), spec)


# ---------------------------------------------------------------------------------------------------- labels


def test_a_namespace_that_enforces_warns_as_well() -> None:
    assert read_policy({f"{PREFIX}enforce": "baseline", f"{PREFIX}enforce-version": "v1.30"}) == Policy(
        enforce=Standard("baseline", 30), audit=Standard(), warn=Standard("baseline", 30)
    )


def test_labels_that_cannot_be_read_mean_the_strictest() -> None:
    problems = Problems()
    policy = read_policy({f"{PREFIX}enforce": "strict", f"{PREFIX}warn-version": "1.2"}, problems)
    assert policy == Policy(enforce=RESTRICTED)
    assert [(cause.field, cause.message) for cause in problems.found] == [
        (
            f"metadata.labels[{PREFIX}enforce]",
            'Invalid value: "strict": must be one of privileged, baseline, restricted',
        ),
        (
            f"metadata.labels[{PREFIX}warn-version]",
            'Invalid value: "1.2": must be "latest" or "v1.x"',
        ),
    ]


# ---------------------------------------------------------------------------------------------------- the write path


async def make_secured(**labels: str) -> Api:
    api, _ = await make_api()
    given = {PREFIX + name.replace("_", "-"): value for name, value in labels.items()}
    await api.create(Namespace(metadata=ObjectMeta(name="safe", labels=given)))
    return api


async def test_an_enforced_level_refuses_a_pod() -> None:
    api = await make_secured(enforce="baseline")
    with pytest.raises(ApiError) as caught:
        await api.create(_pod_in_safe("bad", securityContext={"privileged": True}))
    assert caught.value.reason is Reason.FORBIDDEN
    assert caught.value.message == (
        'pods "bad" is forbidden: violates PodSecurity "baseline:latest":'
        ' privileged (container "main" must not set securityContext.privileged=true)'
    )


async def test_a_warned_level_lets_a_pod_in_and_says_so() -> None:
    api = await make_secured(warn="baseline")
    context = Context(user="me")
    await api.create(_pod_in_safe(securityContext={"privileged": True}), context=context)
    assert context.warnings == [
        'would violate PodSecurity "baseline:latest":'
        ' privileged (container "main" must not set securityContext.privileged=true)'
    ]


async def test_a_template_is_stored_with_a_warning_that_its_pods_would_be_refused() -> None:
    api = await make_secured(enforce="restricted", enforce_version="v1.30")
    context = Context(user="me")
    built = deployment()
    built = type(built)(metadata=ObjectMeta(name="web", namespace="safe"), spec=built.spec)
    await api.create(built, context=context)
    assert context.warnings[0].startswith(
        'would violate PodSecurity "restricted:v1.30": allowPrivilegeEscalation != false (container "main"'
    )


async def test_a_namespace_with_labels_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(ApiError, match="must be one of privileged, baseline, restricted") as caught:
        await make_secured(enforce="strong")
    assert caught.value.reason is Reason.INVALID


async def test_a_tightened_namespace_names_the_pods_that_break_it() -> None:
    api = await make_secured()
    for name in ("a", "b", "c"):
        await api.create(_pod_in_safe(name, securityContext={"privileged": True}))
    await api.create(_pod_in_safe("d", ports=[{"containerPort": 80, "hostPort": 80}]))
    context = Context(user="me")
    body = b'{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"baseline"}}}'
    patch = Patch("application/merge-patch+json", body)
    await api.patch(kinds.NAMESPACE, "", "safe", patch, context=context)
    assert context.warnings == [
        'existing pods in namespace "safe" violate the new PodSecurity enforce level "baseline:latest"',
        "a (and 2 other pods): privileged",
        "d: hostPort",
    ]


def _pod_in_safe(name: str = "web", **container: Any) -> Any:
    main = {"name": "main", "image": "app:v1", **container}
    return decode(
        kinds.POD, {"metadata": {"name": name, "namespace": "safe"}, "spec": {"containers": [main]}}
    )


async def test_an_ephemeral_container_is_held_to_the_level() -> None:
    api = await make_secured(enforce="baseline")
    await api.create(_pod_in_safe())
    body = (
        b'{"spec":{"ephemeralContainers":[{"name":"debug","image":"b",'
        b'"securityContext":{"privileged":true}}]}}'
    )
    patch = Patch("application/strategic-merge-patch+json", body)
    with pytest.raises(ApiError, match=r'privileged .container "debug" must not set'):
        await api.patch(kinds.POD, "safe", "web", patch, subresource="ephemeralcontainers")
