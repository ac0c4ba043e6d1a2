"""What --mount flags mean. Expected values: BuildKit, dockerfile2llb/convert_runmount.go (behaviour), and docker build 20.10."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from pinnace.base.errors import UserError
from pinnace.build.keys import compute_key
from pinnace.build.plan import BuildOptions, plan_build
from pinnace.build.run_mounts import agent_targets
from pinnace.build.run_options import CommandRules
from pinnace.build.steps import Copy, Run, RunMount
from pinnace.dockerfile.parse import parse_dockerfile
from pinnace.oci.config import ContainerConfig, ImageConfig, RootFs

BARE = ImageConfig(architecture="amd64", os="linux", config=ContainerConfig(), rootfs=RootFs())


def run_of(body: str, **build_args: str) -> Run:
    options = BuildOptions(build_args=build_args, commands=CommandRules())
    text = f"FROM bare AS tools\nFROM bare\n{body}\n"
    known = {"bare": BARE, "some/image": BARE}
    plan = plan_build(parse_dockerfile(text), options, lambda name, platform: known.get(name))
    return next(p.step for p in plan.stage(1).steps if isinstance(p.step, Run))


def mount_of(flags: str, before: str = "", **build_args: str) -> RunMount:
    return run_of(f"{before}RUN --mount={flags} x", **build_args).mounts[0]


@pytest.mark.parametrize(
    ("flags", "target"),
    [
        ("target=/a/../b/", "/b"),
        ("target=rel", "/w/rel"),
        ("target=./rel/.", "/w/rel"),
        ("type=bind", "/w"),
        ("type=cache,target=.", "/w"),
        ("type=secret,id=a", "/run/secrets/a"),
        ("type=secret,id=a,target=t", "/w/t"),
        ("type=secret,id=a,env=A", ""),
        ("type=ssh", ""),
    ],
)
def test_where_a_mount_is(flags: str, target: str) -> None:
    assert mount_of(flags, "WORKDIR /w\n").target == target


def test_what_a_bind_shows() -> None:
    def content(flags: str) -> tuple[object, ...]:
        one = mount_of(flags).content
        assert isinstance(one, Copy)
        return one.sources, one.stage, one.image

    assert content("target=/x") == (("/",), -1, "")
    assert content("target=/x,source=a*[b]") == ((r"a\*\[b]",), -1, "")
    assert content("target=/x,from=tools,source=/t") == (("/t",), 0, "")
    assert content("target=/x,from=some/image") == (("/",), -1, "some/image")


def test_caches_have_ids_and_namespaces() -> None:
    assert mount_of("type=cache,target=/root/.cache/").id == "//root/.cache"
    assert mount_of("type=cache,target=/x,id=pip").id == "/pip"
    assert mount_of("type=cache,target=/x,id=pip", BUILDKIT_CACHE_MOUNT_NS="ci").id == "ci/pip"
    assert (mount_of("type=cache,target=/x").sharing, mount_of("type=cache,target=/x").content) == (
        "shared",
        None,
    )
    assert mount_of("type=cache,target=/x,source=/a/../b").folder == "b"


def test_variables_have_values_in_flags_but_not_in_from() -> None:
    before = "ARG D=/d\nENV N=pip\n"
    mount = mount_of("type=cache,target=$D/x,id=${N:-none}-$TARGETARCH", before)
    assert (mount.target, mount.id) == ("/d/x", "/pip-")
    with pytest.raises(UserError, match="'from' doesn't support variable expansion"):
        mount_of("target=/x,from=$N", before)


def test_stage_that_is_mounted_is_needed_and_must_be_earlier() -> None:
    text = "FROM bare AS a\nFROM bare AS b\nFROM bare\nRUN --mount=from=b,target=/b x\n"
    plan = plan_build(parse_dockerfile(text), BuildOptions(), lambda name, platform: BARE)
    assert [stage.name for stage in plan.stages] == ["b", ""]
    assert plan.stage(2).needs == {1}
    late = "FROM bare\nRUN --mount=from=late,target=/b x\nFROM bare AS late\n"
    with pytest.raises(UserError, match="stage"):
        plan_build(parse_dockerfile(late), BuildOptions(target="0"), lambda name, platform: BARE)


def test_agents_have_places_of_their_own() -> None:
    mounts = run_of(
        "RUN --mount=type=ssh --mount=target=/x --mount=type=ssh,id=b,target=/s --mount=type=ssh x"
    ).mounts
    assert agent_targets(mounts) == {
        0: "/run/buildkit/ssh_agent.0",
        2: "/s",
        3: "/run/buildkit/ssh_agent.2",
    }


def test_key_knows_how_a_mount_is_but_not_which_cache_or_whose_secret_it_is() -> None:
    def key(flags: str) -> str:
        return compute_key(run_of(f"RUN {flags} x"), ())

    plain = key("")
    cache = key("--mount=type=cache,target=/x")
    assert len({plain, cache, key("--mount=type=cache,target=/y"), key("--mount=type=tmpfs,target=/x")}) == 4
    assert cache == key("--mount=type=cache,target=/x,id=other,sharing=locked")
    assert cache != key("--mount=type=cache,target=/x,ro")
    assert key("--mount=type=secret,id=a") != key("--mount=type=secret,id=b")
    assert key("--mount=type=secret,id=a") != key("--mount=type=secret,id=a,required")


def test_addresses_of_hosts_are_no_part_of_the_key() -> None:
    run = run_of("RUN x")
    one, other = (replace(run, hosts=(("db", ip),)) for ip in ("10.0.0.1", "10.0.0.2"))
    assert compute_key(one, ()) == compute_key(other, ())
    assert compute_key(one, ()) != compute_key(run, ())
