"""When a container that has ended starts again, and what becomes of it when the daemon starts."""

from __future__ import annotations

import pytest

from pinnace.container.exits import ExitFact
from pinnace.engine.adoption import Adoption, decide_adoption
from pinnace.engine.restart import Again, Ended, comes_back, decide_restart
from pinnace.engine.status import ended, failed_to_start, lost, started
from pinnace.kube.objects.meta_v1 import ObjectMeta
from pinnace.kube.objects.pinnace_v1 import Container, ContainerSpec, ContainerStatus, RestartPolicy
from pinnace.sandbox.spec import ContainerHandle
from pinnace.sandbox.spec import ContainerSpec as Made

ALWAYS, UNLESS = RestartPolicy(name="always"), RestartPolicy(name="unless-stopped")
NEVER, ON_FAILURE = RestartPolicy(), RestartPolicy(name="on-failure", maximum_retry_count=2)


def end(
    code: int = 1, *, ran_s: float = 1.0, failures: int = 0, restarts: int = 0, stopped: bool = False
) -> Ended:
    return Ended(exit_code=code, ran_s=ran_s, failures=failures, restarts=restarts, stopped=stopped)


@pytest.mark.parametrize(
    ("policy", "what", "expected"),
    [
        (NEVER, end(1), None),
        (ALWAYS, end(0), Again(0.1, 1)),
        (ALWAYS, end(0, stopped=True), None),
        (UNLESS, end(3), Again(0.1, 1)),
        (UNLESS, end(3, stopped=True), None),
        (ON_FAILURE, end(0), None),
        (ON_FAILURE, end(1), Again(0.1, 1)),
        (ON_FAILURE, end(1, failures=1, restarts=1), Again(0.2, 2)),
        (ON_FAILURE, end(1, failures=2, restarts=2), None),
        (RestartPolicy(name="on-failure"), end(1, failures=3, restarts=50), Again(0.8, 4)),  # 0.1 * 2 ** 3
        (ALWAYS, end(1, failures=20), Again(60.0, 21)),
        (ALWAYS, end(1, failures=9, ran_s=10.0), Again(0.1, 1)),
    ],
)
def test_restart_policy_decides(policy: RestartPolicy, what: Ended, expected: Again | None) -> None:
    assert decide_restart(policy, what) == expected


@pytest.mark.parametrize(
    ("policy", "stopped", "expected"),
    [(NEVER, False, False), (ON_FAILURE, False, False), (ALWAYS, False, True), (ALWAYS, True, True), (UNLESS, False, True), (UNLESS, True, False)],
)  # fmt: skip
def test_what_comes_back_with_the_next_up(policy: RestartPolicy, stopped: bool, expected: bool) -> None:
    assert comes_back(policy, stopped=stopped) is expected


def fact(code: int = 0, *, known: bool = True, oom: bool = False) -> ExitFact:
    return ExitFact(container_id="c1", exit_code=code, finished_at=20.0, known=known, oom_killed=oom)


def test_a_started_container_has_a_pid_and_no_end() -> None:
    old = ContainerStatus(
        state="exited", exit_code=3, finished_at="2026-01-01T00:00:00Z", stopped=True, restart_count=2
    )
    new = started(old, pid=7, now=0.0, ip="10.0.0.2")
    assert (new.state, new.pid, new.exit_code, new.finished_at, new.stopped, new.restart_count) == (
        "running", 7, 0, "", False, 2,
    )  # fmt: skip
    assert new.started_at == "1970-01-01T00:00:00.000000Z"


def test_an_end_gives_back_address_and_ports() -> None:
    new = ended(started(ContainerStatus(), pid=7, now=0.0, ip="10.0.0.2"), fact(137, oom=True), None)
    assert (new.state, new.pid, new.exit_code, new.oom_killed, new.ip, new.ports) == (
        "exited",
        0,
        137,
        True,
        "",
        (),
    )
    assert new.finished_at == "1970-01-01T00:00:20.000000Z"


def test_an_end_that_is_followed_by_a_restart_counts_it() -> None:
    new = ended(started(ContainerStatus(), pid=7, now=0.0), fact(1), Again(0.1, 1))
    assert (new.state, new.restart_count, new.failures, new.exit_code) == ("restarting", 1, 1, 1)


def test_an_end_that_nobody_saw_is_255() -> None:
    assert ended(ContainerStatus(state="running"), fact(137, known=False), None).exit_code == 255


def test_a_container_that_never_ran_stays_created_when_it_cannot_start() -> None:
    assert failed_to_start(ContainerStatus(), exit_code=127, error="no").state == "created"
    ran = ContainerStatus(state="exited", started_at="2026-01-01T00:00:00Z")
    assert failed_to_start(ran, exit_code=127, error="no").state == "exited"


def container(
    state: str,
    *,
    restart: RestartPolicy = NEVER,
    rm: bool = False,
    stopped: bool = False,
    starting: bool = False,
) -> Container:
    return Container(
        metadata=ObjectMeta(name="c1"),
        spec=ContainerSpec(name="web", restart=restart, auto_remove=rm),
        status=ContainerStatus(
            state=state, stopped=stopped, starting=starting, started_at="1970-01-01T00:00:10.000000Z"
        ),
    )


def handle(state: str, exit_fact: ExitFact | None = None) -> ContainerHandle:
    return ContainerHandle(
        spec=Made(id="c1"),
        sandbox_id="ctr-c1",
        state=state,
        log_path="",
        folder="",
        exit=exit_fact,  # type: ignore[arg-type]
    )


LOST = lost("c1", 30.0)


@pytest.mark.parametrize(
    ("what", "there", "host_gone", "expected"),
    [
        # The daemon was killed, the container went on, or ended meanwhile.
        (container("running"), handle("running"), False, Adoption("watch")),
        (container("exited"), handle("running"), False, Adoption("watch")),
        (container("running"), handle("exited", fact(3)), False, Adoption("end", fact(3))),
        (container("created"), handle("exited", fact(3)), False, Adoption("end", fact(3))),
        (container("created"), handle("created"), False, Adoption("leave")),
        (container("created"), None, True, Adoption("leave")),
        (container("created", rm=True), None, True, Adoption("leave")),
        (container("created", rm=True, starting=True), None, True, Adoption("remove")),
        (container("created", starting=True), handle("created"), False, Adoption("leave")),
        (container("running", rm=True), handle("exited", fact(0)), False, Adoption("remove", fact(0))),
        (container("exited"), handle("exited", fact(0)), False, Adoption("leave")),
        (container("restarting", restart=ON_FAILURE), handle("exited", fact(1)), False, Adoption("wait-over")),
        # The instance or the machine was down.
        (container("running"), None, True, Adoption("leave", LOST)),
        (container("running"), handle("exited", fact(143)), True, Adoption("leave", fact(143))),
        (container("running", restart=ON_FAILURE), handle("exited", fact(143)), True, Adoption("leave", fact(143))),
        (container("running", restart=ALWAYS), handle("exited", fact(143)), True, Adoption("start", fact(143))),
        (container("running", restart=UNLESS), None, True, Adoption("start", LOST)),
        (container("exited", restart=UNLESS, stopped=True), handle("exited", fact(0)), True, Adoption("leave")),
        (container("exited", restart=ALWAYS, stopped=True), handle("exited", fact(0)), True, Adoption("start")),
        (container("removing"), handle("running"), False, Adoption("remove")),
    ],
)  # fmt: skip
def test_adoption(
    what: Container, there: ContainerHandle | None, host_gone: bool, expected: Adoption
) -> None:
    assert decide_adoption(what, there, host_gone=host_gone, now=30.0) == expected
