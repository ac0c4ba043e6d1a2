"""Jobs and CronJobs: what the server fills in and makes, what it refuses, and what may change when."""

from typing import Any

import pytest
from msgspec.structs import replace

from pinnace.api.context import Context
from pinnace.api.facade import Api
from pinnace.base.errors import ApiError
from pinnace.kube import kinds
from pinnace.kube.kinds import CRON_JOB, JOB
from pinnace.kube.objects.batch_v1 import JobCondition, UncountedTerminatedPods
from tests.unit.api.builders import causes_of, decode, document, make_api

NO_WORDS: list[tuple[str, str]] = []


def job_spec(
    pod: dict[str, Any] | None = None, labels: dict[str, str] | None = None, **spec: Any
) -> dict[str, Any]:
    return {
        "template": {
            "metadata": {"labels": labels} if labels else {},
            "spec": {
                "restartPolicy": "Never",
                "containers": [{"name": "main", "image": "app:v1"}],
                **(pod or {}),
            },
        },
        **spec,
    }


def job(name: str = "work", **spec: Any) -> Any:
    return decode(JOB, {"metadata": {"name": name, "namespace": "default"}, "spec": job_spec(**spec)})


def cron_job(
    name: str = "nightly", schedule: str = "@daily", job: dict[str, Any] | None = None, **spec: Any
) -> Any:
    return decode(
        CRON_JOB,
        {
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"schedule": schedule, "jobTemplate": {"spec": job_spec(**(job or {}))}, **spec},
        },
    )


async def test_a_job_is_filled_in_and_selects_its_pods_by_its_uid() -> None:
    api, _ = await make_api()
    stored = await api.create(job(labels={"app": "web"}))
    uid = stored.metadata.uid
    spec = document(stored)["spec"]
    template = spec.pop("template")
    # By hand, from `kubectl get job -o yaml` of a cluster.
    assert spec == {
        "backoffLimit": 6,
        "completionMode": "NonIndexed",
        "completions": 1,
        "manualSelector": False,
        "parallelism": 1,
        "podReplacementPolicy": "TerminatingOrFailed",
        "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}},
        "suspend": False,
    }
    assert template["metadata"]["labels"] == {
        "app": "web",
        "batch.kubernetes.io/controller-uid": uid,
        "batch.kubernetes.io/job-name": "work",
        "controller-uid": uid,
        "job-name": "work",
    }
    assert stored.metadata.labels == {"app": "web"}
    assert stored.metadata.generation == 1


async def test_what_depends_on_other_fields() -> None:
    api, _ = await make_api()
    policy = {"rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}]}
    stored = await api.create(
        job(
            parallelism=3,
            completionMode="Indexed",
            completions=5,
            backoffLimitPerIndex=1,
            podFailurePolicy=policy,
        )
    )
    spec = stored.spec
    assert (spec.completions, spec.backoff_limit, spec.pod_replacement_policy) == (5, 2**31 - 1, "Failed")
    assert spec.pod_failure_policy.rules[0].on_pod_conditions[0].status == "True"
    queue = await api.create(job("queue", parallelism=3))
    assert queue.spec.completions is None


async def test_a_job_with_labels_of_another_uid() -> None:
    api, _ = await make_api()
    found = await causes_of(api.create(job(labels={"controller-uid": "1-2-3-4"})))
    ((field, message),) = found
    assert field == "spec.template.metadata.labels[controller-uid]"
    assert message.startswith('Invalid value: {"job-name":"work"')
    assert ": must be '" in message


async def test_a_job_with_a_selector_of_its_own() -> None:
    api, _ = await make_api()
    own = {"matchLabels": {"app": "web"}}
    stored = await api.create(job(labels={"app": "web"}, manualSelector=True, selector=own))
    assert document(stored)["spec"]["selector"] == own
    assert stored.spec.template.metadata.labels == {"app": "web"}
    found = await causes_of(api.create(job("other", labels={"app": "web"}, manualSelector=True)))
    assert found == [
        ("spec.selector", "Required value"),
        (
            "spec.template.metadata.labels",
            'Invalid value: {"app":"web"}: `selector` does not match template `labels`',
        ),
    ]


ONE_RULE = {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [1]}}
INDEXED: dict[str, Any] = {"completionMode": "Indexed", "completions": 5}


def rule(**changes: Any) -> dict[str, Any]:
    return {"podFailurePolicy": {"rules": [{**ONE_RULE, **changes}]}}


def codes(**changes: Any) -> dict[str, Any]:
    return rule(onExitCodes={"operator": "In", "values": [1], **changes})


def success(**rule: Any) -> dict[str, Any]:
    return {**INDEXED, "successPolicy": {"rules": [rule]}}


FIRST = "spec.podFailurePolicy.rules[0]"
SUCCESS = "spec.successPolicy.rules[0]"


# Expected: Kubernetes v1.36, pkg/apis/batch/validation/validation.go and validation_test.go.
@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (
            {"parallelism": -1},
            [("spec.parallelism", "Invalid value: -1: must be greater than or equal to 0")],
        ),
        (
            {"completions": -1},
            [("spec.completions", "Invalid value: -1: must be greater than or equal to 0")],
        ),
        (
            {"activeDeadlineSeconds": -1, "backoffLimit": -2, "ttlSecondsAfterFinished": -3},
            [
                ("spec.activeDeadlineSeconds", "Invalid value: -1: must be greater than or equal to 0"),
                ("spec.backoffLimit", "Invalid value: -2: must be greater than or equal to 0"),
                ("spec.ttlSecondsAfterFinished", "Invalid value: -3: must be greater than or equal to 0"),
            ],
        ),
        (
            {"pod": {"restartPolicy": "Always"}},
            [("spec.template.spec.restartPolicy", 'Required value: valid values: "OnFailure", "Never"')],
        ),
        (
            {"pod": {"restartPolicy": ""}},
            [("spec.template.spec.restartPolicy", 'Required value: valid values: "OnFailure", "Never"')],
        ),
        (
            {"completionMode": "Some"},
            [("spec.completionMode", 'Unsupported value: "Some": supported values: "NonIndexed", "Indexed"')],
        ),
        (
            {"completionMode": "Indexed", "parallelism": 1},
            [("spec.completions", "Required value: when completion mode is Indexed")],
        ),
        (
            {"completionMode": "Indexed", "completions": 2, "parallelism": 100_001},
            [
                (
                    "spec.parallelism",
                    "Invalid value: 100001: must be less than or equal to 100000 when completion mode is Indexed",
                )
            ],
        ),
        (
            {"backoffLimitPerIndex": 1},
            [("spec.backoffLimitPerIndex", "Invalid value: 1: requires indexed completion mode")],
        ),
        (
            {"maxFailedIndexes": 1},
            [
                ("spec.backoffLimitPerIndex", "Required value: when maxFailedIndexes is specified"),
                ("spec.maxFailedIndexes", "Invalid value: 1: requires indexed completion mode"),
            ],
        ),
        (
            {**INDEXED, "backoffLimitPerIndex": 1, "maxFailedIndexes": 6},
            [("spec.maxFailedIndexes", "Invalid value: 6: must be less than or equal to completions")],
        ),
        (
            {
                "completionMode": "Indexed",
                "completions": 100_001,
                "backoffLimitPerIndex": 1,
                "parallelism": 10_001,
            },
            [
                (
                    "spec.maxFailedIndexes",
                    "Required value: must be specified when completions is above 100000",
                ),
                (
                    "spec.parallelism",
                    "Invalid value: 10001: must be less than or equal to 10000 when completions are above 100000 "
                    "and used with backoff limit per index",
                ),
            ],
        ),
        (
            {"managedBy": "nobody"},
            [
                (
                    "spec.managedBy",
                    'Invalid value: "nobody": must be a domain-prefixed path (such as "acme.io/foo")',
                )
            ],
        ),
        ({"managedBy": "a.io/" + "x" * 60}, [("spec.managedBy", "Too long: may not be more than 63 bytes")]),
        (
            {"podReplacementPolicy": "Now"},
            [
                (
                    "spec.podReplacementPolicy",
                    'Unsupported value: "Now": supported values: "Failed", "TerminatingOrFailed"',
                )
            ],
        ),
        (
            {**rule(), "podReplacementPolicy": "TerminatingOrFailed"},
            [
                (
                    "spec.podReplacementPolicy",
                    'Unsupported value: "TerminatingOrFailed": supported values: "Failed"',
                )
            ],
        ),
        (
            {**rule(), "pod": {"restartPolicy": "OnFailure"}},
            [
                (
                    "spec.template.spec.restartPolicy",
                    'Invalid value: "OnFailure": only "Never" is supported when podFailurePolicy is specified',
                )
            ],
        ),
        (
            rule(action=""),
            [(f"{FIRST}.action", 'Required value: valid values: ["Count" "FailIndex" "FailJob" "Ignore"]')],
        ),
        (
            rule(action="Shrug"),
            [
                (
                    f"{FIRST}.action",
                    'Unsupported value: "Shrug": supported values: "Count", "FailIndex", "FailJob", "Ignore"',
                )
            ],
        ),
        (
            rule(action="FailIndex"),
            [(f"{FIRST}.action", 'Invalid value: "FailIndex": requires the backoffLimitPerIndex to be set')],
        ),
        (
            {"podFailurePolicy": {"rules": [{"action": "Count"}]}},
            [(FIRST, "Invalid value: specifying one of OnExitCodes and OnPodConditions is required")],
        ),
        (
            rule(onPodConditions=[{"type": "A"}]),
            [(FIRST, "Invalid value: specifying both OnExitCodes and OnPodConditions is not supported")],
        ),
        (
            {
                "podFailurePolicy": {
                    "rules": [{"action": "Count", "onPodConditions": [{"type": "A", "status": "no"}]}]
                }
            },
            [
                (
                    f"{FIRST}.onPodConditions[0].status",
                    'Unsupported value: "no": supported values: "False", "True", "Unknown"',
                )
            ],
        ),
        (
            {"podFailurePolicy": {"rules": [ONE_RULE] * 21}},
            [("spec.podFailurePolicy.rules", "Too many: 21: must have at most 20 items")],
        ),
        (
            codes(operator=""),
            [(f"{FIRST}.onExitCodes.operator", 'Required value: valid values: ["In" "NotIn"]')],
        ),
        (
            codes(containerName="other"),
            [
                (
                    f"{FIRST}.onExitCodes.containerName",
                    'Invalid value: "other": must be one of the container or initContainer names in the pod template',
                )
            ],
        ),
        (
            codes(values=[]),
            [(f"{FIRST}.onExitCodes.values", "Invalid value: []: at least one value is required")],
        ),
        (
            codes(values=[0, 3, 2, 2]),
            [
                (f"{FIRST}.onExitCodes.values[0]", "Invalid value: 0: must not be 0 for the In operator"),
                (f"{FIRST}.onExitCodes.values[3]", "Duplicate value: 2"),
                (f"{FIRST}.onExitCodes.values", "Invalid value: [0,3,2,2]: must be ordered"),
            ],
        ),
        (
            {"successPolicy": {"rules": [{"succeededCount": 1}]}},
            [
                (
                    "spec.successPolicy",
                    'Invalid value: {"rules":[{"succeededCount":1}]}: requires indexed completion mode',
                )
            ],
        ),
        (
            {**INDEXED, "successPolicy": {"rules": []}},
            [
                (
                    "spec.successPolicy.rules",
                    "Required value: at least one rules must be specified when the successPolicy is specified",
                )
            ],
        ),
        (
            success(),
            [
                (
                    SUCCESS,
                    "Required value: at least one of succeededCount or succeededIndexes must be specified",
                )
            ],
        ),
        (
            success(succeededCount=6),
            [
                (
                    f"{SUCCESS}.succeededCount",
                    "Invalid value: 6: must be less than or equal to 5 (the number of specified completions)",
                )
            ],
        ),
        (
            success(succeededIndexes="0-2,4", succeededCount=5),
            [
                (
                    f"{SUCCESS}.succeededCount",
                    "Invalid value: 5: must be less than or equal to 4 (the number of indexes in the specified "
                    "succeededIndexes field)",
                )
            ],
        ),
        (
            success(succeededIndexes="0-2-3"),
            [
                (
                    f"{SUCCESS}.succeededIndexes",
                    'Invalid value: "0-2-3": error parsing succeededIndexes: the fragment "0-2-3" violates the '
                    "requirement that an index interval can have at most two parts separated by '-'",
                )
            ],
        ),
        (
            success(succeededIndexes="0,5"),
            [
                (
                    f"{SUCCESS}.succeededIndexes",
                    'Invalid value: "0,5": error parsing succeededIndexes: too large index: "5"',
                )
            ],
        ),
        (
            success(succeededIndexes="3,1"),
            [
                (
                    f"{SUCCESS}.succeededIndexes",
                    'Invalid value: "3,1": error parsing succeededIndexes: non-increasing order, previous: 3, '
                    "current: 1",
                )
            ],
        ),
        (
            success(succeededIndexes="a"),
            [
                (
                    f"{SUCCESS}.succeededIndexes",
                    'Invalid value: "a": error parsing succeededIndexes: cannot convert string to integer for '
                    'index: "a"',
                )
            ],
        ),
    ],
)
async def test_wrong_jobs(spec: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    api, _ = await make_api()
    assert await causes_of(api.create(job(**spec))) == expected


async def test_the_pods_of_an_indexed_job_have_hostnames_made_of_its_name() -> None:
    api, _ = await make_api()
    name = "x" * 60
    found = await causes_of(api.create(job(name, completionMode="Indexed", completions=1001)))
    assert found == [
        (
            "metadata.name",
            f'Invalid value: "{name}": will not able to create pod with invalid DNS label: {name}-1000',
        )
    ]


async def change(api: Api, name: str, **spec: Any) -> Any:
    stored = api.get(JOB, "default", name)
    return await api.update(replace(stored, spec=replace(stored.spec, **spec)))


async def test_what_never_changes_in_a_job() -> None:
    api, _ = await make_api()
    stored = await api.create(job())
    template = replace(stored.spec.template, spec=replace(stored.spec.template.spec, hostname="other"))
    found = await causes_of(
        change(
            api, "work", completions=2, template=template, completion_mode="Indexed", backoff_limit_per_index=1,
            managed_by="a.io/b",
        )
    )  # fmt: skip
    assert [(field, message.rpartition(": ")[2]) for field, message in found] == [
        ("spec.completions", "can only be modified in tandem with spec.parallelism"),
        ("spec.template", "field is immutable"),
        ("spec.completionMode", "field is immutable"),
        ("spec.backoffLimitPerIndex", "field is immutable"),
        ("spec.managedBy", "field is immutable"),
    ]
    assert await causes_of(change(api, "work", completions=3)) == [
        ("spec.completions", "Invalid value: 3: field is immutable")
    ]


async def test_what_may_change_in_a_job() -> None:
    api, _ = await make_api()
    await api.create(job())
    changed = await change(
        api, "work", parallelism=4, suspend=True, active_deadline_seconds=9, backoff_limit=0
    )
    assert (changed.spec.parallelism, changed.metadata.generation) == (4, 2)


async def test_an_indexed_job_grows_when_all_its_pods_run_at_once() -> None:
    api, _ = await make_api()
    await api.create(job(**INDEXED, parallelism=5))
    assert (await change(api, "work", completions=8, parallelism=8)).spec.completions == 8
    assert await causes_of(change(api, "work", completions=9)) == [
        ("spec.completions", "Invalid value: 9: can only be modified in tandem with spec.parallelism")
    ]


async def test_a_suspended_job_that_never_ran_may_still_be_sent_elsewhere() -> None:
    api, _ = await make_api()
    await api.create(job(suspend=True))
    await api.create(job("running"))
    for name in ("work", "running"):
        template = api.get(JOB, "default", name).spec.template
        moved = replace(template, spec=replace(template.spec, node_selector={"gpu": "yes"}))
        if name == "work":
            assert (await change(api, name, template=moved)).spec.template.spec.node_selector == {
                "gpu": "yes"
            }
        else:
            assert [field for field, _ in await causes_of(change(api, name, template=moved))] == [
                "spec.template"
            ]


def condition(kind: str, status: str = "True") -> JobCondition:
    return JobCondition(type=kind, status=status)


async def status_causes(before: dict[str, Any], now: dict[str, Any], **spec: Any) -> list[tuple[str, str]]:
    api, _ = await make_api()
    stored = await api.create(job(**spec))
    if before:
        stored = await api.update_status(replace(stored, status=replace(stored.status, **before)))
    try:
        await api.update_status(replace(stored, status=replace(stored.status, **now)))
    except ApiError as error:
        return [(cause.field, cause.message) for cause in error.causes]
    return []


START, END = "2026-01-02T00:00:00Z", "2026-01-02T00:10:00Z"
COMPLETE = (condition("SuccessCriteriaMet"), condition("Complete"))
DONE = {"conditions": COMPLETE, "start_time": START, "completion_time": END, "succeeded": 1}
FAILED = {"conditions": (condition("FailureTarget"), condition("Failed")), "start_time": START, "failed": 1}


# Expected: Kubernetes v1.36, pkg/apis/batch/validation, validateJobStatus; pkg/registry/batch/job/strategy_test.go.
@pytest.mark.parametrize(
    ("before", "now", "spec", "expected"),
    [
        ({}, DONE, {}, NO_WORDS),
        ({}, FAILED, {}, NO_WORDS),
        (
            {},
            {"active": -1, "ready": -2},
            {},
            [
                ("status.active", "Invalid value: -1: must be greater than or equal to 0"),
                ("status.ready", "Invalid value: -2: must be greater than or equal to 0"),
            ],
        ),
        (
            {},
            {"uncounted_terminated_pods": UncountedTerminatedPods(succeeded=("a", ""), failed=("a",))},
            {},
            [
                ("status.uncountedTerminatedPods.succeeded[1]", 'Invalid value: "": must not be empty'),
                ("status.uncountedTerminatedPods.failed[0]", 'Duplicate value: "a"'),
            ],
        ),
        (
            {},
            {**DONE, "completion_time": ""},
            {},
            [("status.completionTime", "Required value: completionTime is required for Complete jobs")],
        ),
        (
            {},
            {"start_time": START, "completion_time": END},
            {},
            [
                (
                    "status.completionTime",
                    f'Invalid value: "{END}": cannot set completionTime when there is no Complete=True condition',
                )
            ],
        ),
        (
            {},
            {**DONE, "start_time": END, "completion_time": START},
            {},
            [
                (
                    "status.completionTime",
                    f'Invalid value: "{START}": completionTime cannot be set before startTime',
                )
            ],
        ),
        (
            {},
            {**DONE, "start_time": "noon"},
            {},
            [
                (
                    "status.startTime",
                    'Invalid value: "noon": must be a time as RFC 3339 writes it, such as 2026-01-01T00:00:00Z',
                )
            ],
        ),
        (
            {},
            {"conditions": (condition("Failed"),), "start_time": START},
            {},
            [
                (
                    "status.conditions",
                    "Invalid value: cannot set Failed=True condition without the FailureTarget=true condition",
                )
            ],
        ),
        (
            {},
            {**DONE, "active": 1},
            {},
            [("status.active", "Invalid value: 1: active>0 is invalid for finished job")],
        ),
        (
            {},
            {**FAILED, "start_time": ""},
            {},
            [("status.startTime", "Required value: startTime is required for finished job")],
        ),
        (
            DONE,
            {"conditions": (), "completion_time": ""},
            {},
            [
                ("status.conditions", "Invalid value: cannot disable the terminal Complete=True condition"),
                ("status.conditions", "Invalid value: cannot disable the SuccessCriteriaMet=True condition"),
            ],
        ),
        (
            {"failed": 2, "succeeded": 2},
            {"failed": 1, "succeeded": 1},
            {},
            [
                ("status.failed", "Invalid value: 1: cannot decrease the failed counter"),
                ("status.succeeded", "Invalid value: 1: cannot decrease the succeeded counter"),
            ],
        ),
        (
            {},
            {"completed_indexes": "0"},
            {},
            [
                (
                    "status.completedIndexes",
                    'Invalid value: "0": cannot set non-empty completedIndexes when non-indexed completion mode',
                )
            ],
        ),
        (
            {},
            {"completed_indexes": "0,9"},
            INDEXED,
            [
                (
                    "status.completedIndexes",
                    'Invalid value: "0,9": error parsing completedIndexes: too large index: "9"',
                )
            ],
        ),
        (
            {},
            {"completed_indexes": "0-2", "failed_indexes": "2,3"},
            {**INDEXED, "backoffLimitPerIndex": 1},
            [
                (
                    "status.failedIndexes",
                    'Invalid value: "2,3": failedIndexes and completedIndexes overlap at index: 2',
                )
            ],
        ),
        (
            {"start_time": START},
            {"start_time": ""},
            {},
            [("status.startTime", "Required value: startTime cannot be removed for unsuspended job")],
        ),
        ({"start_time": START}, {"start_time": ""}, {"suspend": True}, NO_WORDS),
        ({}, {"active": 1, "ready": 2}, {}, [("status.ready", "Invalid value: 2: cannot set more ready pods than active")]),
    ],
)  # fmt: skip
async def test_the_status_of_a_job(
    before: dict[str, Any], now: dict[str, Any], spec: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    assert await status_causes(before, now, **spec) == expected


async def test_a_job_deleted_without_a_wish_leaves_its_pods_and_says_so() -> None:
    api, _ = await make_api()
    await api.create(job())
    context = Context(user="me")
    await api.delete(JOB, "default", "work", context=context)
    assert api.get(JOB, "default", "work").metadata.finalizers == ("orphan",)
    assert context.warnings == [
        "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove "
        "them or set propagationPolicy=Orphan to suppress this warning"
    ]
    await api.create(job("other"))
    context = Context(user="me")
    await api.delete(JOB, "default", "other", propagation="Background", context=context)
    assert api.find(JOB, "default", "other") is None
    assert context.warnings == []


async def test_a_cron_job_is_filled_in() -> None:
    api, _ = await make_api()
    stored = document(await api.create(cron_job()))["spec"]
    template = stored.pop("jobTemplate")["spec"]
    assert stored == {
        "concurrencyPolicy": "Allow",
        "failedJobsHistoryLimit": 1,
        "schedule": "@daily",
        "successfulJobsHistoryLimit": 3,
        "suspend": False,
    }
    # The template's Job is filled in when it is made, only its pods now.
    assert set(template) == {"template"}
    assert template["template"]["spec"]["dnsPolicy"] == "ClusterFirst"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"schedule": ""}, [("spec.schedule", "Required value")]),
        (
            {"schedule": "* * * *"},
            [("spec.schedule", 'Invalid value: "* * * *": expected exactly 5 fields, found 4: [* * * *]')],
        ),
        (
            {"schedule": "CRON_TZ=Europe/Berlin 0 0 * * *"},
            [
                (
                    "spec.schedule",
                    'Invalid value: "CRON_TZ=Europe/Berlin 0 0 * * *": cannot use TZ or CRON_TZ in schedule, use '
                    "timeZone field instead",
                )
            ],
        ),
        ({"timeZone": "Europe/Berlin"}, NO_WORDS),
        ({"timeZone": "Etc/UTC"}, NO_WORDS),
        (
            {"timeZone": ""},
            [("spec.timeZone", 'Invalid value: "": timeZone must be nil or non-empty string')],
        ),
        (
            {"timeZone": "Europe/Nowhere"},
            [("spec.timeZone", 'Invalid value: "Europe/Nowhere": unknown time zone Europe/Nowhere')],
        ),
        (
            {"timeZone": "../etc/passwd"},
            [("spec.timeZone", 'Invalid value: "../etc/passwd": unknown time zone ../etc/passwd')],
        ),
        (
            {"timeZone": "Local"},
            [
                (
                    "spec.timeZone",
                    'Invalid value: "Local": timeZone must be an explicit time zone as defined in '
                    "https://www.iana.org/time-zones",
                )
            ],
        ),
        (
            {"concurrencyPolicy": "Maybe"},
            [
                (
                    "spec.concurrencyPolicy",
                    'Unsupported value: "Maybe": supported values: "Allow", "Forbid", "Replace"',
                )
            ],
        ),
        (
            {"startingDeadlineSeconds": -1, "successfulJobsHistoryLimit": -1, "failedJobsHistoryLimit": -1},
            [
                ("spec.startingDeadlineSeconds", "Invalid value: -1: must be greater than or equal to 0"),
                ("spec.successfulJobsHistoryLimit", "Invalid value: -1: must be greater than or equal to 0"),
                ("spec.failedJobsHistoryLimit", "Invalid value: -1: must be greater than or equal to 0"),
            ],
        ),
        (
            {"job": {"selector": {"matchLabels": {"a": "b"}}, "manualSelector": True}},
            [
                (
                    "spec.jobTemplate.spec.selector",
                    'Invalid value: {"matchLabels":{"a":"b"}}: `selector` will be auto-generated',
                ),
                (
                    "spec.jobTemplate.spec.manualSelector",
                    'Unsupported value: true: supported values: "nil", "false"',
                ),
            ],
        ),
        (
            {"job": {"pod": {"restartPolicy": "Always"}}},
            [
                (
                    "spec.jobTemplate.spec.template.spec.restartPolicy",
                    'Required value: valid values: "OnFailure", "Never"',
                )
            ],
        ),
        (
            {"name": "n" * 53},
            [("metadata.name", f'Invalid value: "{"n" * 53}": must be no more than 52 characters')],
        ),
    ],
)
async def test_cron_jobs(given: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    api, _ = await make_api()
    if expected == NO_WORDS:
        await api.create(cron_job(**given))
    else:
        assert await causes_of(api.create(cron_job(**given))) == expected


async def test_warnings_for_jobs() -> None:
    api, _ = await make_api()
    context = Context(user="me")
    await api.create(job("a.b"), context=context)
    assert context.warnings[0] == (
        "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; "
        "a DNS label is recommended: [must not contain dots]"
    )


async def test_jobs_are_selected_by_how_many_pods_succeeded() -> None:
    api, _ = await make_api()
    await api.create(job())
    done = await api.create(job("done"))
    await api.update_status(replace(done, status=replace(done.status, succeeded=2)))
    assert [found.metadata.name for found in api.list(JOB, fields={"status.successful": "2"})] == ["done"]
    assert [found.metadata.name for found in api.list(JOB, fields={"status.successful": "0"})] == ["work"]
    assert kinds.JOB is JOB
