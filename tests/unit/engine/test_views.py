"""Names, look-ups, filters, what a failed start means, and how containers are shown."""

from __future__ import annotations

import pytest

from pinnace.base.chance import Chance
from pinnace.base.errors import ApiError, HostError, Reason, UserError
from pinnace.engine.book import Book
from pinnace.engine.failures import classify, describe
from pinnace.engine.filters import Subject, matches, parse_filters
from pinnace.engine.lookup import find_container
from pinnace.engine.names import ADJECTIVES, SURNAMES, check_name, generate_name, volume_object_name
from pinnace.engine.status import started
from pinnace.engine.views import NEVER, inspect_document, list_row
from pinnace.kube.objects.meta_v1 import ObjectMeta
from pinnace.kube.objects.pinnace_v1 import (
    Container,
    ContainerMount,
    ContainerSpec,
    ContainerStatus,
    PortBinding,
    RestartPolicy,
)


def container(name: str = "web", digit: str = "a", **changes: object) -> Container:
    return Container(
        metadata=ObjectMeta(name=digit * 64, creation_timestamp="2026-01-02T03:04:05Z"),
        spec=ContainerSpec(
            name=name, image="bb:v1", image_id="sha256:" + "5" * 64, command=("sh", "-c", "x"), **changes
        ),  # type: ignore[arg-type]
    )


def test_a_generated_name_is_an_adjective_and_a_surname_and_free() -> None:
    name = generate_name((), Chance(1))
    adjective, surname = name.split("_")
    assert adjective in ADJECTIVES and surname in SURNAMES
    assert generate_name({name}, Chance(1)) != name


def test_names_are_valid_and_differ() -> None:
    assert len(set(ADJECTIVES)) == len(ADJECTIVES) and len(set(SURNAMES)) == len(SURNAMES)
    assert check_name("/web.1_x-y") == "web.1_x-y"


@pytest.mark.parametrize("name", ["", "a", "-ab", "a b", "ä1", "a/b"])
def test_names_that_docker_refuses_are_refused(name: str) -> None:
    with pytest.raises(UserError, match="Invalid container name"):
        check_name(name)


def test_volumes_whose_names_differ_in_case_are_different_objects() -> None:
    assert volume_object_name("My_Data").startswith("my-data-")
    assert volume_object_name("My_Data") != volume_object_name("my_data")


IDS, NAMES = ("abc1" * 16, "abd2" * 16), {"web": "abc1" * 16, "abd": "abc1" * 16}


@pytest.mark.parametrize("text", ["web", "/web", "abc", "abc1" * 16, "abd"])
def test_a_name_wins_over_the_start_of_an_id(text: str) -> None:
    assert find_container(text, IDS, NAMES) == IDS[0]


def test_an_ambiguous_or_unknown_reference_is_refused() -> None:
    with pytest.raises(ApiError, match="multiple IDs found with provided prefix: ab"):
        find_container("ab", IDS, NAMES)
    with pytest.raises(ApiError, match="No such container: nope") as caught:
        find_container("nope", IDS, NAMES)
    assert caught.value.reason is Reason.NOT_FOUND


def test_a_name_belongs_to_one_container_until_it_is_forgotten() -> None:
    book = Book()
    first = book.add(container("web", "a"))
    with pytest.raises(
        ApiError, match=f'The container name "/web" is already in use by container "{"a" * 64}"'
    ):
        book.add(container("web", "b"))
    book.forget(first)
    assert book.add(container("web", "b")).id == "b" * 64
    assert first.gone.is_set()


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (["name=we"], True),
        (["name=^/web$"], True),
        (["name=other"], False),
        (["name=other", "name=web"], True),
        (["id=aaa"], True),
        (["status=created"], True),
        (["status=running"], False),
        (["label=tier"], True),
        (["label=tier=front", "status=created"], True),
        (["label=tier=back"], False),
        (["ancestor=bb:v1"], True),
        (["ancestor=5555"], True),
        (["ancestor=bb"], False),
        (["volume=data"], True),
        (["network=host"], False),
        (["publish=80"], True),
    ],
)
def test_filters(filters: list[str], expected: bool) -> None:
    one = container(
        labels={"tier": "front"},
        mounts=(ContainerMount(type="volume", source="data", target="/d"),),
        ports=(PortBinding(container_port=80),),
    )
    assert matches(Subject(one), parse_filters(filters)) is expected


def test_a_filter_that_there_is_not_is_refused() -> None:
    with pytest.raises(UserError, match="invalid filter"):
        parse_filters(["colour=red"])


# Texts of runc 1.1.5 and crun 1.8 as they came from the real programs.
@pytest.mark.parametrize(
    ("message", "code"),
    [
        ('unable to start container process: exec: "nosuch": executable file not found in $PATH', 127),
        ('exec: "/bin/nosuch": stat /bin/nosuch: no such file or directory', 127),
        ('exec: "/etc/passwd": permission denied', 126),
        ("executable file `nosuch` not found in $PATH: No such file or directory", 127),
        ("open executable: Permission denied", 126),
        ("cgroups: cannot find cgroup mount destination", 125),
    ],
)
def test_exit_code_of_a_failed_start(message: str, code: int) -> None:
    assert classify(HostError(f"the container can't be created: {message}")) == code


def test_errors_of_our_own_are_125() -> None:
    assert classify(UserError("no")) == 125
    assert classify(ApiError(Reason.NOT_FOUND, "no such file or directory in exec")) == 125


def test_a_command_that_is_missing_is_named_with_what_to_do() -> None:
    error = HostError('runc create failed: exec: "nosuch": executable file not found in $PATH')
    described = describe(error, ("nosuch",))
    assert (described.message, classify(described)) == (
        'exec: "nosuch": executable file not found in $PATH',
        127,
    )
    assert described.hint


def test_inspect_has_dockers_shape() -> None:
    one = container(
        entrypoint=("serve",),
        restart=RestartPolicy(name="on-failure", maximum_retry_count=3),
        ports=(PortBinding(container_port=80, host_port=8080),),
        exposed=("80/tcp", "443/tcp"),
        mounts=(ContainerMount(type="volume", source="data", target="/d"), ContainerMount(source="/srv", target="/s", read_only=True)),
    )  # fmt: skip
    running = Container(
        metadata=one.metadata,
        spec=one.spec,
        status=started(ContainerStatus(), pid=9, now=0.0, ip="10.244.0.5", ports=one.spec.ports),
    )
    document = inspect_document(running, volumes={"/d": "/v/data/_data"}, log_path="/log", rootfs="/r")
    assert (document["Id"], document["Name"], document["Path"], document["Args"]) == (
        "a" * 64,
        "/web",
        "serve",
        ["sh", "-c", "x"],
    )
    assert document["State"] == {
        "Status": "running", "Running": True, "Paused": False, "Restarting": False, "OOMKilled": False, "Dead": False,
        "Pid": 9, "ExitCode": 0, "Error": "", "StartedAt": "1970-01-01T00:00:00.000000Z", "FinishedAt": NEVER,
    }  # fmt: skip
    assert document["NetworkSettings"]["IPAddress"] == "10.244.0.5"
    assert document["NetworkSettings"]["Ports"] == {
        "80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}],
        "443/tcp": None,
    }
    assert document["HostConfig"]["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 3}
    assert document["HostConfig"]["Binds"] == ["data:/d", "/srv:/s:ro"]
    assert [(m["Type"], m["Source"], m["Destination"], m["RW"]) for m in document["Mounts"]] == [
        ("volume", "/v/data/_data", "/d", True),
        ("bind", "/srv", "/s", False),
    ]


def test_ports_of_a_container_that_does_not_run_are_not_listed() -> None:
    row = list_row(container(ports=(PortBinding(container_port=80, host_port=8080),), exposed=("80/tcp",)))
    assert (row["ports"], row["state"], row["command"]) == ("", "created", ["sh", "-c", "x"])
