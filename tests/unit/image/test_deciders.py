"""What the image store decides: mounts, removals, garbage, changes, views, frames. All pure."""

from __future__ import annotations

import msgspec
import pytest

from pinnace.base.clock import FrozenClock
from pinnace.base.errors import ApiError, Bug, HostError, PinnaceError, Reason, UserError
from pinnace.image import frames, overlay, worker
from pinnace.image.changes import apply_changes
from pinnace.image.layers import Layer
from pinnace.image.leases import FRESH_S, Leases
from pinnace.image.reach import Garbage, compute_garbage
from pinnace.image.removal import RemovalPlan, Use, plan_removal
from pinnace.image.tar_format import TarError
from pinnace.image.views import Image, Row, inspect_document, rows
from pinnace.oci.config import ContainerConfig, HealthCheck, ImageConfig, RootFs
from pinnace.oci.digest import Digest, chain_ids, digest_of
from pinnace.oci.manifest import Descriptor
from pinnace.oci.reference import parse_reference


def digest(name: str) -> Digest:
    return digest_of(name.encode())


def layer(name: str, *, key: Digest | None = None, blob: Digest | None = None) -> Layer:
    descriptor = None if blob is None else Descriptor(media_type="x", digest=blob, size=1)
    return Layer(
        diff_id=digest(name), key=key or digest(name), size=10, tar_size=20, entries=1, blob=descriptor
    )


def config(*layers: str, created: str = "") -> ImageConfig:
    return ImageConfig(
        architecture="amd64", os="linux", created=created, rootfs=RootFs(diff_ids=tuple(map(digest, layers)))
    )


def image(name: str, *references: str, created: str = "") -> Image:
    return Image(digest(name), config(created=created), tuple(map(parse_reference, references)), 30)


# --- overlay -----------------------------------------------------------------------------------------------------------


def test_the_last_layer_is_mounted_on_top() -> None:
    plan = overlay.plan_mount("/m", ["/bottom", "/top"], upper="/u", work="/w", empty="/e")
    assert overlay.render_options(plan) == (
        b"lowerdir=/top:/bottom,upperdir=/u,workdir=/w,index=off,redirect_dir=nofollow,metacopy=off"
    )
    assert plan.describe() == "overlay at /m\n  writes    /u\n  layer   2 /top\n  layer   1 /bottom"


def test_one_layer_alone_is_read_only_over_an_empty_one() -> None:
    plan = overlay.plan_mount("/m", ["/only"], empty="/e")
    assert overlay.render_options(plan).startswith(b"lowerdir=/only:/e,index")


def test_layer_that_stands_there_twice_is_mounted_once_where_it_is_on_top() -> None:
    plan = overlay.plan_mount("/m", ["/a", "/b", "/a"], upper="/u", work="/w", empty="/e")
    assert plan.lowers == ("/a", "/b")


def test_separators_in_paths_are_escaped() -> None:
    plan = overlay.plan_mount("/m", ["/a:b", "/c,d"], empty="/e")
    assert overlay.render_options(plan).startswith(rb"lowerdir=/c\,d:/a\:b,index")


def test_too_many_layers_are_refused_and_many_long_paths_are_not_rendered() -> None:
    with pytest.raises(UserError, match="129 layers"):
        overlay.plan_mount("/m", ["/x"] * 129, empty="/e")
    plan = overlay.plan_mount("/m", [f"/{'x' * 100}{i}" for i in range(128)], empty="/e")
    with pytest.raises(ValueError, match="take"):
        overlay.render_options(plan)
    assert len(overlay.render_options(plan, [f"/proc/self/fd/{1000 + i}" for i in range(128)])) < 4096


# --- garbage -----------------------------------------------------------------------------------------------------------


def test_what_an_image_a_lease_or_a_container_leads_to_stays() -> None:
    images = {digest("web"): config("base", "app"), digest("old"): config("base", "gone")}
    blob = digest("packed base")
    garbage = compute_garbage(
        [digest("web"), digest("leased")],
        images=images,
        layers=[
            layer("base", blob=blob),
            layer("app"),
            layer("gone", blob=digest("packed gone")),
            layer("leased"),
        ],
        blobs=[digest("web"), digest("old"), blob, digest("packed gone"), digest("manifest")],
    )
    assert garbage == Garbage(
        layers=frozenset({digest("gone")}),
        blobs=frozenset({digest("old"), digest("packed gone"), digest("manifest")}),
    )


def test_a_layer_that_is_kept_by_its_chain_id_stays() -> None:
    chain = chain_ids((digest("base"), digest("app")))[1]
    garbage = compute_garbage(
        [digest("web")],
        images={digest("web"): config("base", "app")},
        layers=[layer("app", key=chain)],
        blobs=[],
    )
    assert garbage == Garbage(frozenset(), frozenset())


def test_a_lease_holds_until_it_is_closed_and_fresh_things_for_a_while() -> None:
    clock = FrozenClock()
    leases = Leases(clock)
    with leases.open("build") as lease:
        leases.hold(lease, digest("a"))
        leases.hold(None, digest("b"), digest("c"))
        assert leases.held() == {digest("a"), digest("b"), digest("c")}
    leases.release([digest("c")])
    assert leases.held() == {digest("b")}
    clock.advance(FRESH_S)
    assert leases.held() == frozenset()


# --- removal: the cases of moby's image_delete.go ----------------------------------------------------------------------

STOPPED, RUNNING = Use("c" * 64, False), Use("d" * 64, True)
A1, A2, B1 = (parse_reference(text) for text in ("a:1", "a:2", "b:1"))


@pytest.mark.parametrize(
    ("references", "named", "uses", "force", "plan"),
    [
        (["a:1"], A1, [], False, RemovalPlan((A1,), False)),
        (["a:1", "b:1"], A1, [RUNNING], False, RemovalPlan((A1,), False)),
        (["a:1"], A1, [STOPPED], True, RemovalPlan((A1,), False)),
        (["a:1"], A1, [RUNNING], True, RemovalPlan((A1,), True)),
        (["a:1", "a:2"], None, [], False, RemovalPlan((A1, A2), False)),
        (["a:1", "b:1"], None, [], True, RemovalPlan((A1, B1), False)),
        ([], None, [], False, RemovalPlan((), False)),
        (["a:1"], None, [STOPPED], True, RemovalPlan((A1,), False)),
    ],
)
def test_removal_by_name_and_by_id(
    references: list[str], named: object, uses: list[Use], force: bool, plan: RemovalPlan
) -> None:
    assert plan_removal(image("x", *references), named, uses, force=force) == plan  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("references", "named", "uses", "force", "says"),
    [
        (
            ["a:1"],
            A1,
            [STOPPED],
            False,
            r"unable to remove repository reference 'a:1' \(must force\) - container cccccccccccc",
        ),
        (["a:1", "b:1"], None, [], False, "image is referenced in multiple repositories"),
        (
            ["a:1"],
            None,
            [RUNNING],
            True,
            r"\(cannot be forced\) - image is being used by running container dddddddddddd",
        ),
        (["a:1"], None, [STOPPED], False, r"\(must be forced\) - image is being used by stopped container"),
    ],
)
def test_removal_that_is_refused(
    references: list[str], named: object, uses: list[Use], force: bool, says: str
) -> None:
    with pytest.raises(ApiError, match=says) as refused:
        plan_removal(image("x", *references), named, uses, force=force)  # type: ignore[arg-type]
    assert refused.value.reason is Reason.CONFLICT
    assert refused.value.hint


def test_pod_that_uses_an_image_is_named_with_what_ends_it() -> None:
    use = Use("pod-1234", True, pod="team/web-1")
    with pytest.raises(ApiError, match="- pod team/web-1 is using its referenced image") as refused:
        plan_removal(image("x", "a:1"), A1, [use], force=False)
    assert refused.value.hint == "remove it first: pinnace delete pod web-1 -n team"


# --- changes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "result"),
    [
        (['CMD ["python", "app.py"]'], ContainerConfig(cmd=("python", "app.py"))),
        (["CMD echo $HOME"], ContainerConfig(cmd=("/bin/sh", "-c", "echo $HOME"))),
        (['ENTRYPOINT ["/x"]'], ContainerConfig(entrypoint=("/x",))),
        (["ENV A=1 B='two words'", "ENV A=3"], ContainerConfig(env=("A=3", "B=two words"))),
        (["ENV OLD form of it"], ContainerConfig(env=("OLD=form of it",))),
        (["env a=b"], ContainerConfig(env=("a=b",))),
        (
            ["EXPOSE 80 53/udp 9000-9001"],
            ContainerConfig(exposed_ports={"80/tcp": {}, "53/udp": {}, "9000/tcp": {}, "9001/tcp": {}}),
        ),
        (['LABEL a=b c="d e"'], ContainerConfig(labels={"a": "b", "c": "d e"})),
        (["USER 1000:1000"], ContainerConfig(user="1000:1000")),
        (["VOLUME /data /logs"], ContainerConfig(volumes={"/data": {}, "/logs": {}})),
        (["WORKDIR /app", "WORKDIR src"], ContainerConfig(working_dir="/app/src")),
        (["ONBUILD RUN make"], ContainerConfig(on_build=("RUN make",))),
        (["STOPSIGNAL SIGINT"], ContainerConfig(stop_signal="SIGINT")),
        (["HEALTHCHECK NONE"], ContainerConfig(healthcheck=HealthCheck(test=("NONE",)))),
        (
            ['SHELL ["/bin/bash", "-c"]', "CMD x"],
            ContainerConfig(shell=("/bin/bash", "-c"), cmd=("/bin/bash", "-c", "x")),
        ),
    ],
)
def test_changes_are_applied(changes: list[str], result: ContainerConfig) -> None:
    assert apply_changes(ContainerConfig(), changes) == result


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("RUN make", "RUN is not a valid change"),
        ("CMD", "requires at least one argument"),
        ("EXPOSE 99999", "invalid containerPort: 99999"),
        ("ENV A=1 B", "'B' is not NAME=VALUE"),
        ('ENV A="x', "quotation"),
        ("ENV A", "two arguments"),
    ],
)
def test_a_wrong_change_is_refused_with_the_change(change: str, says: str) -> None:
    with pytest.raises(UserError, match=says) as refused:
        apply_changes(ContainerConfig(), [change])
    assert change in refused.value.where


# --- views -------------------------------------------------------------------------------------------------------------


def test_an_image_has_a_line_for_each_name_newest_first() -> None:
    old = image("old", created="2026-01-01T00:00:00Z")
    new = image("new", "web:v2", "ghcr.io/me/web:v2", created="2026-01-02T00:00:00.123456789Z")
    assert rows([(one, one.references) for one in (old, new)]) == (
        Row("ghcr.io/me/web", "v2", new.id, new.created, 30),
        Row("web", "v2", new.id, new.created, 30),
        Row("<none>", "<none>", old.id, 1767225600.0, 30),
    )


def test_inspect_has_dockers_shape() -> None:
    document = inspect_document(
        image("web", "web:v1", created="2026-01-01T00:00:00Z"), {"UpperDir": "/l/diff"}
    )
    assert document["Id"] == digest("web")
    assert document["RepoTags"] == ["web:v1"]
    assert document["Config"]["Cmd"] is None
    assert document["GraphDriver"] == {"Name": "overlay2", "Data": {"UpperDir": "/l/diff"}}
    assert msgspec.json.encode(document)


# --- frames ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        TarError("bad", "a hint", "x.tar"),
        UserError("bad", "a hint", "Dockerfile:3"),
        HostError("full", errno=28, hint="free some"),
        ApiError(Reason.NOT_FOUND, "none"),
    ],
)
def test_errors_cross_the_pipe_with_their_type(error: PinnaceError) -> None:
    frame = frames.render(frames.describe_error(error, "trace"))
    answer = frames.parse_answer(frame[frames.HEADER.size :])
    assert isinstance(answer, frames.Failure)
    back = frames.build_error(answer)
    assert (type(back), back.message, back.hint) == (type(error), error.message, error.hint)
    assert getattr(back, "errno", None) == getattr(error, "errno", None)


def test_what_nobody_expected_comes_back_as_a_bug_with_its_trace() -> None:
    answer = worker.run(frames.Request("pinnace.image.jobs:no_such", msgspec.Raw(b"{}")), lambda *_: None)
    assert isinstance(answer, frames.Failure)
    assert isinstance(frames.build_error(answer), Bug)


@pytest.mark.parametrize(
    "name", ["os:system", "pinnace.image.jobs", "pinnaceevil:x", "pinnace.image.jobs:CHUNK"]
)
def test_a_worker_runs_only_functions_of_ours(name: str) -> None:
    with pytest.raises(Bug, match="asked to run"):
        worker.find_function(name)
