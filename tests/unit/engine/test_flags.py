"""What the flags of `run` mean. Expected values: Docker's documentation and the real `docker run`, by hand."""

from __future__ import annotations

import pytest

from pinnace.base.errors import UserError
from pinnace.engine.amounts import parse_cpus, parse_memory, parse_memory_swap, parse_size, parse_ulimit
from pinnace.engine.mounts import join_mounts, parse_mount, parse_tmpfs, parse_volume
from pinnace.engine.ports import parse_exposed, parse_publish, render_ports
from pinnace.engine.restart import parse_restart
from pinnace.kube.objects.pinnace_v1 import ContainerMount, PortBinding, RestartPolicy


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("1000", 1000),
        ("10b", 10),
        ("1k", 1024),
        ("512m", 536870912),
        ("512M", 536870912),
        ("512mb", 536870912),
        ("1.5g", 1610612736),
        ("2GiB", 2147483648),
        ("1t", 1099511627776),
    ],
)
def test_sizes_are_powers_of_1024(text: str, expected: int) -> None:
    assert parse_size(text, "--memory") == expected


@pytest.mark.parametrize("text", ["", "m", "-1", "1.5.2m", "12x", "1 2m", "ten"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="invalid size"):
        parse_size(text, "--memory")


def test_less_than_six_megabytes_is_too_little_for_any_container() -> None:
    with pytest.raises(UserError, match="Minimum memory limit allowed is 6MB"):
        parse_memory("5m")
    assert parse_memory("6m") == 6291456


@pytest.mark.parametrize(("text", "expected"), [("-1", -1), ("1g", 1073741824), ("0", 0)])
def test_swap_counts_memory_too(text: str, expected: int) -> None:
    assert parse_memory_swap(text, 536870912) == expected


@pytest.mark.parametrize(("text", "memory"), [("1g", 0), ("100m", 536870912)])
def test_swap_below_memory_or_without_it_is_refused(text: str, memory: int) -> None:
    with pytest.raises(UserError):
        parse_memory_swap(text, memory)


@pytest.mark.parametrize(("text", "expected"), [("1.5", 1500), ("2", 2000), ("0.01", 10), (".25", 250)])
def test_cpus_are_counted_in_thousandths(text: str, expected: int) -> None:
    assert parse_cpus(text, 2) == expected


@pytest.mark.parametrize("text", ["x", "-1", "0.0001", "0.001", "3", "nan", "inf"])
def test_cpus_that_the_machine_lacks_or_nobody_can_count_are_refused(text: str) -> None:
    with pytest.raises(UserError):
        parse_cpus(text, 2)


def test_ulimit_with_one_number_is_soft_and_hard() -> None:
    one, two = parse_ulimit("nofile=1024"), parse_ulimit("nofile=1024:2048")
    assert (one.type, one.soft, one.hard) == ("RLIMIT_NOFILE", 1024, 1024)
    assert (two.soft, two.hard) == (1024, 2048)


@pytest.mark.parametrize("text", ["nofile", "files=1", "nofile=a", "nofile=2:1"])
def test_wrong_ulimits_are_refused(text: str) -> None:
    with pytest.raises(UserError):
        parse_ulimit(text)


def port(container: int, host: int = 0, ip: str = "", protocol: str = "tcp") -> PortBinding:
    return PortBinding(container_port=container, host_port=host, host_ip=ip, protocol=protocol)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("80", (port(80),)),
        ("8080:80", (port(80, 8080),)),
        ("8080:80/tcp", (port(80, 8080),)),
        ("53:53/udp", (port(53, 53, protocol="udp"),)),
        ("127.0.0.1:8080:80", (port(80, 8080, "127.0.0.1"),)),
        ("127.0.0.1::80", (port(80, 0, "127.0.0.1"),)),
        ("8000-8001:80-81", (port(80, 8000), port(81, 8001))),
        ("80-81", (port(80), port(81))),
    ],
)
def test_published_ports(text: str, expected: tuple[PortBinding, ...]) -> None:
    assert parse_publish(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "x", "80:", "0", "65536", "80:x", "81-80", "8000-8002:80-81", "300.1.1.1:80:80", "80/icmp", "[::1]:80:80", "a:80:80"],
)  # fmt: skip
def test_wrong_ports_are_refused_with_the_text_that_is_wrong(text: str) -> None:
    with pytest.raises(UserError, match="invalid port"):
        parse_publish(text)


def test_exposed_ports_are_tcp_unless_they_say() -> None:
    assert (parse_exposed("80"), parse_exposed("53/udp"), parse_exposed("8000-8001")) == (
        ("80/tcp",),
        ("53/udp",),
        ("8000/tcp", "8001/tcp"),
    )


def test_ports_are_shown_as_docker_shows_them() -> None:
    bound = (port(443, 8443, "127.0.0.1"), port(80, 8080))
    assert (
        render_ports(bound, ("80/tcp", "9090/tcp"))
        == "0.0.0.0:8080->80/tcp, 127.0.0.1:8443->443/tcp, 9090/tcp"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("data:/var/lib", ContainerMount(type="volume", source="data", target="/var/lib")),
        ("data:/var/lib:ro", ContainerMount(type="volume", source="data", target="/var/lib", read_only=True)),
        ("/srv:/srv", ContainerMount(type="bind", source="/srv", target="/srv")),
        ("/srv/../etc:/x/:ro", ContainerMount(type="bind", source="/etc", target="/x", read_only=True)),
        ("/srv:/srv:rw,rshared", ContainerMount(type="bind", source="/srv", target="/srv", options=("rshared",))),
        ("/srv:/srv:z", ContainerMount(type="bind", source="/srv", target="/srv")),
        ("/cache", ContainerMount(type="volume", target="/cache")),
    ],
)  # fmt: skip
def test_volumes(text: str, expected: ContainerMount) -> None:
    assert parse_volume(text) == expected


@pytest.mark.parametrize(
    "text", ["", "data", "a:/x:ro:y", "data:x", "./x:/x", "/srv:/", "/srv:/x:wo", ":/x", "-:/x"]
)
def test_wrong_volumes_are_refused(text: str) -> None:
    with pytest.raises(UserError):
        parse_volume(text)


def test_mount_says_each_part_by_name() -> None:
    assert parse_mount("type=bind,src=/srv,dst=/data,readonly") == ContainerMount(
        type="bind", source="/srv", target="/data", read_only=True, options=("must-exist",)
    )
    assert parse_mount("source=data,target=/data") == ContainerMount(
        type="volume", source="data", target="/data"
    )
    assert parse_mount("type=tmpfs,target=/run,tmpfs-size=64m") == ContainerMount(
        type="tmpfs", target="/run", options=("size=64m",)
    )


@pytest.mark.parametrize(
    "text", ["type=nfs,target=/x", "type=bind,target=/x", "type=bind,source=x,target=/x", "target=/x,foo=1"]
)
def test_wrong_mounts_are_refused(text: str) -> None:
    with pytest.raises(UserError):
        parse_mount(text)


def test_tmpfs_keeps_its_options() -> None:
    assert parse_tmpfs("/run:size=64m,mode=755") == ContainerMount(
        type="tmpfs", target="/run", options=("size=64m", "mode=755")
    )


def test_the_images_volumes_are_there_unless_something_else_is_mounted_over_them() -> None:
    given = [ContainerMount(type="bind", source="/srv", target="/data")]
    joined = join_mounts(given, {"/data": {}, "/cache/": {}})
    assert joined == (*given, ContainerMount(type="volume", target="/cache"))


def test_two_mounts_at_one_path_are_refused() -> None:
    with pytest.raises(UserError, match="Duplicate mount point: /x"):
        join_mounts([parse_volume("a1:/x"), parse_volume("/srv:/x/")], ())


@pytest.mark.parametrize(
    ("text", "name", "count"),
    [("", "no", 0), ("no", "no", 0), ("always", "always", 0), ("on-failure", "on-failure", 0), ("on-failure:3", "on-failure", 3), ("unless-stopped", "unless-stopped", 0)],
)  # fmt: skip
def test_restart_policies(text: str, name: str, count: int) -> None:
    assert parse_restart(text) == RestartPolicy(name=name, maximum_retry_count=count)


@pytest.mark.parametrize("text", ["sometimes", "always:3", "on-failure:x", "on-failure:"])
def test_wrong_restart_policies_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="restart policy"):
        parse_restart(text)
