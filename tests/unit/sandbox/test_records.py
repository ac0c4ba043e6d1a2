"""Records on disk: what is written is read, and what can't be read is told."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from pinnace.container.exits import ExitFact
from pinnace.container.plan import bind
from pinnace.sandbox.records import Records
from pinnace.sandbox.spec import Address, ContainerHandle, ContainerSpec, Sandbox, SandboxSpec

SANDBOX = Sandbox(
    spec=SandboxSpec(id="s1", labels={"a": "b"}),
    created_at=5.0,
    address=Address("1.2.3.4", "1.2.3.1", "m", 1500),
    ready=True,
)
CONTAINER = ContainerHandle(
    spec=ContainerSpec(id="c1", args=("x",), groups=(5, "wheel"), mounts=(bind("/a", "/b"),)),
    sandbox_id="s1",
    state="exited",
    log_path="/log",
    folder="/p/s1/c1",
    exit=ExitFact(container_id="c1", exit_code=3),
)


def test_records_come_back_as_they_were(tmp_path: Path) -> None:
    records = Records(tmp_path)
    records.write_sandbox(SANDBOX)
    records.write_container(CONTAINER)
    assert list(records.read_sandboxes()) == [("s1", SANDBOX)]
    assert list(records.read_containers("s1")) == [("c1", CONTAINER)]
    records.remove_container("s1", "c1")
    records.remove_sandbox("s1")
    assert list(records.read_sandboxes()) == []
    assert list(records.read_containers("s1")) == []


def test_records_hold_secrets_and_are_for_root_only(tmp_path: Path) -> None:
    Records(tmp_path).write_container(CONTAINER)
    path = tmp_path / "pods/s1/containers/c1/container.json"
    assert path.stat().st_mode & 0o777 == 0o600


def test_unreadable_record_is_told_and_given_as_none(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    records = Records(tmp_path)
    records.write_sandbox(SANDBOX)
    (tmp_path / "pods/s1/sandbox.json").write_text("{")
    with caplog.at_level(logging.ERROR):
        assert list(records.read_sandboxes()) == [("s1", None)]
    assert "sandbox.json can't be read" in caplog.text
