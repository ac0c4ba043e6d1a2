"""Spec, image and sandbox merged into a plan. Expected values: the tables of Kubernetes' and Docker's documentation."""

from __future__ import annotations

import pytest

from pinnace.base.errors import UserError
from pinnace.container.plan import Mount, User, bind
from pinnace.sandbox.compose import (
    DEFAULT_PATH,
    Surroundings,
    compose_container,
    compose_mounts,
    compute_argv,
    compute_env,
    compute_hostname,
    merge_env,
    render_hosts,
    sort_mounts,
)
from pinnace.sandbox.spec import ContainerSpec, HostEntry, ImageDefaults, SandboxSpec

IMAGE = ImageDefaults(entrypoint=("/ep-1",), cmd=("foo", "bar"))
SANDBOX = SandboxSpec(id="s1")


# Source: Kubernetes, "Define a Command and Arguments for a Container", the table with /ep-1 and [foo bar].
@pytest.mark.parametrize(
    ("command", "args", "expected"),
    [
        (None, None, ("/ep-1", "foo", "bar")),
        (("/ep-2",), None, ("/ep-2",)),
        (None, ("zoo", "boo"), ("/ep-1", "zoo", "boo")),
        (("/ep-2",), ("zoo", "boo"), ("/ep-2", "zoo", "boo")),
    ],
)
def test_command_line(
    command: tuple[str, ...] | None, args: tuple[str, ...] | None, expected: tuple[str, ...]
) -> None:
    assert compute_argv(ContainerSpec(id="c", command=command, args=args), IMAGE) == expected


def test_emptied_entrypoint_leaves_the_cmd() -> None:
    assert compute_argv(ContainerSpec(id="c", command=()), IMAGE) == (
        "foo",
        "bar",
    )  # docker run --entrypoint ""


def test_no_command_is_an_error_that_names_the_container() -> None:
    with pytest.raises(UserError, match="container web: no command specified"):
        compute_argv(ContainerSpec(id="c", name="web"), ImageDefaults())


def test_later_environment_wins_in_its_first_place() -> None:
    assert merge_env(("A=1", "B=2"), ("A=3", "C=")) == ("A=3", "B=2", "C=")


def test_environment_has_dockers_defaults() -> None:
    spec = ContainerSpec(id="c", env=("X=1",), tty=True)
    image = ImageDefaults(env=("PATH=/opt/bin",))
    assert compute_env(spec, image, SANDBOX, "/home/a", "s1") == (
        "PATH=/opt/bin",
        "HOSTNAME=s1",
        "TERM=xterm",
        "X=1",
        "HOME=/home/a",
    )
    assert (
        compute_env(ContainerSpec(id="c", env=("HOME=/h",)), ImageDefaults(), SANDBOX, "/", "s1")[0]
        == DEFAULT_PATH
    )
    assert "HOME=/" not in compute_env(
        ContainerSpec(id="c", env=("HOME=/h",)), ImageDefaults(), SANDBOX, "/", "s1"
    )


def test_mounts_come_parents_first_and_the_last_of_a_target_wins() -> None:
    mounts = (Mount("/a/b/c", "1"), Mount("/a", "2"), Mount("/a/b/", "3"), Mount("/a", "4"))
    assert [(mount.target, mount.source) for mount in sort_mounts(mounts)] == [
        ("/a", "4"),
        ("/a/b/", "3"),
        ("/a/b/c", "1"),
    ]


def test_own_etc_file_replaces_the_sandboxs() -> None:
    around = Surroundings(SANDBOX, {}, hosts="/h", hostname_file="/n", resolv_conf="/r", shm="/shm")
    spec = ContainerSpec(id="c", mounts=(bind("/mine", "/etc/hosts"),))
    assert [(mount.target, mount.source) for mount in compose_mounts(spec, around)] == [
        ("/dev/shm", "/shm"),
        ("/etc/hosts", "/mine"),
        ("/etc/hostname", "/n"),
        ("/etc/resolv.conf", "/r"),
    ]
    bare = ContainerSpec(id="c", etc_files=False)
    assert [mount.target for mount in compose_mounts(bare, around)] == ["/dev/shm"]


def test_hosts_file_names_the_sandbox_and_the_given_entries() -> None:
    spec = SandboxSpec(
        id="s1", domain="web.default.svc.cluster.local", hosts=(HostEntry("1.2.3.4", ("a", "b")),)
    )
    lines = render_hosts(spec, "web-0", "10.0.0.7").splitlines()
    assert lines[0] == "127.0.0.1\tlocalhost"
    assert lines[-2:] == ["10.0.0.7\tweb-0.web.default.svc.cluster.local\tweb-0", "1.2.3.4\ta\tb"]
    assert "10.0.0.7" not in render_hosts(spec, "web-0", "")


def test_hostname_is_the_short_id_unless_given() -> None:
    assert compute_hostname(SandboxSpec(id="0123456789abcdef")) == "0123456789ab"
    assert compute_hostname(SandboxSpec(id="x", hostname="web")) == "web"


def test_plan_joins_the_sandbox_and_privileged_opens_what_is_masked() -> None:
    around = Surroundings(SANDBOX, {"network": "/n", "mount": ""}, cgroup_namespace=True)
    spec = ContainerSpec(id="c1", no_new_privileges=True)
    plan = compose_container(
        spec, IMAGE, around, rootfs="/r", user=User(), cgroups_path="/p/c1", held=("CAP_CHOWN",)
    )
    assert plan.namespaces == {"network": "/n", "mount": "", "cgroup": ""}
    assert plan.process.capabilities == ("CAP_CHOWN",)
    assert plan.process.no_new_privileges
    assert "/proc/kcore" in plan.masked_paths
    opened = compose_container(
        ContainerSpec(id="c1", privileged=True, no_new_privileges=True),
        IMAGE,
        around,
        rootfs="/r",
        user=User(),
        cgroups_path="/p/c1",
        held=(),
    )
    assert opened.masked_paths == opened.readonly_paths == ()
    assert not opened.process.no_new_privileges
    assert "cgroup" not in opened.namespaces
