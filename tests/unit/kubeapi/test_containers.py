from typing import Any

import pytest

from pinnace.base.errors import ApiError
from pinnace.kube import kinds
from pinnace.kube.codec import from_json
from pinnace.kube.objects.core_v1 import Pod
from pinnace.kubeapi.containers import check_log_readable, choose_container


def pod(*names: str, init: tuple[str, ...] = (), statuses: Any = ()) -> Pod:
    spec = {"containers": [{"name": n} for n in names], "initContainers": [{"name": n} for n in init]}
    status = {"containerStatuses": list(statuses)}
    return from_json(kinds.POD, {"metadata": {"name": "web"}, "spec": spec, "status": status})


def status(state: dict[str, Any], last: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "name": "a",
        "image": "",
        "imageID": "",
        "restartCount": 0,
        "ready": False,
        "state": state,
        "lastState": last or {},
    }


RUNNING: dict[str, Any] = {"running": {}}
ENDED = {"terminated": {"exitCode": 1}}


def test_the_only_container_needs_no_name() -> None:
    assert choose_container(pod("a"), "") == "a"


def test_a_named_container_may_be_an_init_container() -> None:
    assert choose_container(pod("a", init=("i",)), "i") == "i"


# Expected words: kubectl against a cluster.
@pytest.mark.parametrize(
    ("value", "wished", "message"),
    [
        (pod("a", "b"), "", "a container name must be specified for pod web, choose one of: [a b]"),
        (
            pod("a", "b", init=("i",)),
            "",
            "a container name must be specified for pod web, choose one of: [a b] or one of the init containers: [i]",
        ),
        (pod("a"), "x", "container x is not valid for pod web"),
    ],
)
def test_a_choice_that_cannot_be_made_is_refused(value: Pod, wished: str, message: str) -> None:
    with pytest.raises(ApiError) as caught:
        choose_container(value, wished)
    assert (caught.value.code, caught.value.message) == (400, message)


@pytest.mark.parametrize(
    ("statuses", "previous", "message"),
    [
        ([], False, 'container "a" in pod "web" is waiting to start: ContainerCreating'),
        (
            [status({"waiting": {"reason": "ImagePullBackOff"}})],
            False,
            'container "a" in pod "web" is waiting to start: trying and failing to pull image',
        ),
        (
            [status({"waiting": {"reason": "CreateContainerConfigError"}})],
            False,
            'container "a" in pod "web" is waiting to start: CreateContainerConfigError',
        ),
        ([status(RUNNING)], True, 'previous terminated container "a" in pod "web" not found'),
    ],
)
def test_a_log_that_is_not_there_says_why(statuses: list[Any], previous: bool, message: str) -> None:
    with pytest.raises(ApiError) as caught:
        check_log_readable(pod("a", statuses=statuses), "a", previous=previous)
    assert (caught.value.code, caught.value.message) == (400, message)


@pytest.mark.parametrize(
    ("statuses", "previous"),
    [
        ([status(RUNNING)], False),
        ([status(ENDED)], False),
        ([status({"waiting": {"reason": "CrashLoopBackOff"}}, ENDED)], False),
        ([status(RUNNING, ENDED)], True),
    ],
)
def test_a_log_that_is_there_is_read(statuses: list[Any], previous: bool) -> None:
    check_log_readable(pod("a", statuses=statuses), "a", previous=previous)
