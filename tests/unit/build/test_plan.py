"""What a Dockerfile means. Source of expected values: Dockerfile reference; BuildKit, dockerfile2llb (behaviour)."""

from __future__ import annotations

import pytest

from pinnace.base.errors import ApiError, HostError, PinnaceError, Reason, UserError
from pinnace.build.named import NamedContext, NamedContexts
from pinnace.build.plan import DEFAULT_PATH, BuildOptions, plan_build
from pinnace.build.platforms import Platform
from pinnace.build.run_options import CommandRules, read_rules
from pinnace.build.steps import BuildPlan, Configure, Copy, Inline, MakeDirectory, Run, Step
from pinnace.dockerfile.parse import parse_dockerfile
from pinnace.oci.config import ContainerConfig, HealthCheck, ImageConfig, RootFs

PATH = f"PATH={DEFAULT_PATH}"


def image(**fields: object) -> ImageConfig:
    config = ContainerConfig(**fields)  # type: ignore[arg-type]
    return ImageConfig(architecture="amd64", os="linux", config=config, rootfs=RootFs())


IMAGES = {
    "base": image(env=("A=base", "PATH=/base"), cmd=("base-cmd",), entrypoint=("base-entry",)),
    "bare": image(),
    "hooks": image(on_build=("RUN one $X", "COPY <<f /f\ntext\nf", "ENV FROM_HOOK=1")),
    "at": image(working_dir="/srv", user="app", shell=("/bin/bash", "-c")),
}


def plan(
    text: str, target: str = "", commands: CommandRules = CommandRules(), **build_args: str
) -> BuildPlan:
    options = BuildOptions(target=target, build_args=build_args, commands=commands)
    return plan_build(parse_dockerfile(text), options, lambda reference, platform: IMAGES.get(reference))


def steps_of(text: str, commands: CommandRules = CommandRules(), **build_args: str) -> list[Step]:
    built = plan(text, commands=commands, **build_args)
    return [planned.step for planned in built.stage(built.target).steps]


def config_of(text: str, **build_args: str) -> ContainerConfig:
    built = plan(text, **build_args)
    return built.stage(built.target).config


def run_of(text: str, **build_args: str) -> Run:
    return next(step for step in steps_of(text, **build_args) if isinstance(step, Run))


def copy_of(text: str) -> Copy:
    return next(step for step in steps_of(text) if isinstance(step, Copy))


def refusal(text: str, target: str = "") -> UserError:
    with pytest.raises(UserError) as caught:
        plan(text, target)
    return caught.value


# --- stages --------------------------------------------------------------------------------------------------------------


def test_only_stages_that_the_target_needs_are_planned_each_after_what_it_needs() -> None:
    text = """
FROM bare AS unused
FROM bare AS deps
FROM deps AS builder
COPY --from=tools /t /t
FROM bare AS final
COPY --from=builder /x /x
"""
    text = text.replace("FROM deps AS builder", "FROM bare AS tools\nFROM deps AS builder")
    built = plan(text)
    assert [stage.name for stage in built.stages] == ["deps", "tools", "builder", "final"]
    assert built.stage(built.target).needs == {3}
    assert built.stage(3).needs == {1, 2}


def test_target_stops_at_a_stage_named_in_any_case_or_by_number() -> None:
    text = "FROM bare AS one\nFROM bare AS two\nFROM bare AS three\n"
    assert plan(text, "TWO").target == 1
    assert plan(text, "0").target == 0


def test_unknown_target_is_told_with_the_nearest_stage() -> None:
    error = refusal("FROM bare AS builder\n", "buidler")
    assert (error.message, error.hint) == (
        "target stage 'buidler' could not be found",
        "did you mean builder?",
    )


def test_base_that_is_not_there_is_told_on_its_line_with_what_to_do() -> None:
    error = refusal("ARG X\nFROM ghost:v1\n")
    assert error.where == "Dockerfile:2: FROM ghost:v1"
    assert error.message == "base image 'ghost:v1' was not found"
    assert "pinnace import FILE ghost:v1" in error.hint


def test_base_name_out_of_an_argument_without_a_value_is_blank() -> None:
    assert refusal("ARG X\nFROM $X\n").message == "base name ($X) should not be blank"


def test_stage_name_hides_the_image_of_that_name_only_for_later_stages() -> None:
    built = plan("FROM bare AS base\nFROM base AS base\nRUN x\n")
    assert (built.stages[0].base, built.stages[1].base_stage) == ("bare", 0)
    assert plan("FROM base AS base\n").stages[0].base == "base"


def test_scratch_has_no_files_and_only_a_path() -> None:
    built = plan("FROM scratch\n")
    assert (built.stages[0].base, built.stages[0].base_stage, built.stages[0].config.env) == ("", -1, (PATH,))


def test_copying_from_itself_from_a_later_stage_and_from_nowhere_is_refused() -> None:
    assert "only copy from stages before it" in refusal("FROM bare AS a\nCOPY --from=a /x /x\n").message
    assert (
        "only copy from stages before it"
        in refusal("FROM bare AS a\nCOPY --from=b /x /x\nFROM bare AS b\n", "a").message
    )
    error = refusal("FROM bare AS builder\nFROM bare\nCOPY --from=biulder /x /x\n")
    assert error.message == "--from=biulder: there is no stage and no image of that name"
    assert error.hint == "did you mean builder?"


def test_copy_from_a_number_and_from_an_image() -> None:
    text = "FROM bare\nFROM bare\nCOPY --from=0 /x /x\nCOPY --from=base /y /y\n"
    first, second = [step for step in steps_of(text) if isinstance(step, Copy)]
    assert (first.stage, first.image, second.stage, second.image) == (0, "", -1, "base")


@pytest.mark.parametrize("platform", ["linux/amd64", "linux/x86_64", "linux", "$BUILDPLATFORM"])
def test_platform_may_be_named_when_it_is_this_machine(platform: str) -> None:
    assert plan(f"FROM --platform={platform} bare\n").stages[0].base == "bare"


class Asked:
    """Notes which images are asked for; the registry refuses those that aren't there."""

    def __init__(self, error: PinnaceError | None = None) -> None:
        self.keys: list[str] = []
        self.error = error

    def __call__(self, name: str, platform: Platform) -> ImageConfig | None:
        self.keys.append(f"{name} for {platform}")
        if name not in IMAGES and self.error is not None:
            raise self.error
        return IMAGES.get(name)

    def plan(self, text: str, platform: str = "") -> BuildPlan:
        return plan_build(parse_dockerfile(text), BuildOptions(platform=platform), self)


CROSS = """
FROM --platform=$BUILDPLATFORM bare AS tools
ARG TARGETPLATFORM TARGETARCH TARGETVARIANT BUILDPLATFORM
RUN x
FROM bare AS runtime
ARG TARGETOS
RUN y
COPY --from=tools /x /x
COPY --from=base /x /x
FROM runtime
RUN z
"""


def test_stages_of_a_cross_build_have_platforms_of_their_own() -> None:
    asked = Asked()
    built = asked.plan(CROSS, "linux/arm/v6")
    assert [stage.platform for stage in built.stages] == ["linux/amd64", "linux/arm/v6", "linux/arm/v6"]
    assert set(asked.keys) == {"bare for linux/amd64", "bare for linux/arm/v6", "base for linux/arm/v6"}
    runs = {
        planned.step.argv[-1]: planned.step
        for stage in built.stages
        for planned in stage.steps
        if isinstance(planned.step, Run)
    }
    assert [runs[name].platform for name in "xyz"] == ["", "linux/arm/v6", "linux/arm/v6"]
    assert set(runs["x"].env) == {
        "TARGETPLATFORM=linux/arm/v6",
        "TARGETARCH=arm",
        "TARGETVARIANT=v6",
        "BUILDPLATFORM=linux/amd64",
        PATH,
    }


def test_platform_that_makes_no_sense_is_refused_on_its_line() -> None:
    error = refusal("FROM --platform=windows/amd64 bare\n")
    assert error.message.startswith("--platform=windows/amd64: ")
    assert error.where == "Dockerfile:1: FROM --platform=windows/amd64 bare"


def test_only_images_of_needed_stages_are_asked_for() -> None:
    asked = Asked()
    asked.plan("FROM ghost AS unused\nRUN x\nFROM bare\n")
    assert asked.keys == ["bare for linux/amd64"]


def test_refusal_of_a_registry_is_told_on_the_line_with_the_nearest_stage() -> None:
    asked = Asked(ApiError(Reason.NOT_FOUND, "manifest unknown", hint="is the tag right?"))
    with pytest.raises(UserError) as caught:
        asked.plan("FROM bare AS builder\nFROM biulder\n")
    assert (caught.value.message, caught.value.hint) == ("manifest unknown", "did you mean builder?")
    assert caught.value.where == "Dockerfile:2: FROM biulder"
    with pytest.raises(UserError) as caught:
        asked.plan("FROM bare\nCOPY --from=elsewhere/x:1 /a /a\n")
    assert (caught.value.hint, caught.value.where[:12]) == ("is the tag right?", "Dockerfile:2")
    with pytest.raises(HostError, match="Dockerfile:1: FROM ghost: dial tcp"):
        Asked(HostError("dial tcp")).plan("FROM ghost\n")
    with pytest.raises(HostError) as unreachable:
        Asked(HostError("dial tcp")).plan("FROM bare AS builder\nFROM bare\nCOPY --from=biulder /x /x\n")
    assert unreachable.value.hint == "did you mean builder?"


# --- ARG and ENV ---------------------------------------------------------------------------------------------------------


def test_argument_before_the_first_from_counts_in_from_lines_and_in_a_stage_only_when_named_again() -> None:
    text = "ARG V=are\nFROM b$V\nRUN echo $V\n"
    assert plan(text).stages[0].base == "bare"
    assert run_of(text).env == (PATH,)
    assert run_of("ARG V=are\nFROM b$V\nARG V\nRUN x\n").env == (PATH, "V=are")
    assert run_of("ARG V=are\nFROM b$V\nARG V=own\nRUN x\n").env == (PATH, "V=own")
    assert run_of("ARG V=ase\nFROM b$V\nARG V=own\nRUN x\n", V="are").env == (PATH, "V=are")


def test_argument_is_unknown_before_its_line_and_ends_with_its_stage() -> None:
    text = "FROM bare\nRUN early\nARG A=1\nRUN late\nFROM bare\nRUN other\n"
    built = plan(text, target="0")
    runs = [planned.step for planned in built.stages[0].steps if isinstance(planned.step, Run)]
    assert [run.env for run in runs] == [(PATH,), (PATH, "A=1")]
    assert run_of(text).env == (PATH,)


def test_of_an_environment_and_an_argument_of_one_name_the_later_one_wins() -> None:
    # Source: Dockerfile reference, "Using ARG variables"; for the second line `docker build` 20.10 and later, measured
    assert run_of("FROM bare\nARG V=arg\nENV V=env\nRUN x\n", V="given").env == (PATH, "V=env")
    assert run_of("FROM base\nARG A=arg\nRUN x\n", A="given").env == ("A=given", "PATH=/base")
    assert config_of("FROM base\nARG A=arg\n", A="given").env == ("A=base", "PATH=/base")
    assert config_of("FROM bare\nARG V=arg\nENV V=${V:-v1.0.0}\n", V="v2").env == (PATH, "V=v2")


def test_stage_on_a_stage_begins_with_its_arguments() -> None:
    # Source: Dockerfile reference, "ARG: Scope": inherited by child stages
    assert run_of("FROM bare AS a\nARG S=1\nFROM a\nRUN x\n").env == (PATH, "S=1")
    assert run_of("FROM bare AS a\nARG S=1\nENV S=5\nFROM a\nARG S=7\nRUN x\n").env == (PATH, "S=7")
    assert config_of("FROM bare AS a\nARG S=1\nFROM a\nENV T=$S\n").env == (PATH, "T=1")


def test_platform_arguments_can_be_given_and_the_target_stage_is_one() -> None:
    assert plan("FROM $TARGETARCH\n", TARGETARCH="bare").stages[0].base == "bare"
    assert run_of("FROM bare AS last\nARG TARGETSTAGE\nRUN x\n").env == (PATH, "TARGETSTAGE=last")
    assert run_of("FROM bare\nARG TARGETSTAGE\nRUN x\n").env == (PATH, "TARGETSTAGE=default")


def test_argument_is_not_in_the_image() -> None:
    assert config_of("FROM bare\nARG SECRET=1\n").env == (PATH,)


def test_all_variables_of_one_line_see_the_values_before_it() -> None:
    # Source: Dockerfile reference, "Environment replacement"
    text = "FROM bare\nENV abc=hello\nENV abc=bye def=$abc\nENV ghi=$abc\n"
    assert config_of(text).env == (PATH, "abc=bye", "def=hello", "ghi=bye")


def test_environment_of_the_base_is_kept_in_order_and_replaced_in_place() -> None:
    assert config_of("FROM base\nENV B=2 A=1 PATH=/x:$PATH\n").env == ("A=1", "PATH=/x:/base", "B=2")


def test_base_without_a_path_gets_the_usual_one() -> None:
    assert config_of("FROM bare\nENV PATH=/x:$PATH\n").env == (f"PATH=/x:{DEFAULT_PATH}",)


def test_platform_arguments_are_known_and_must_be_named_in_a_stage() -> None:
    assert run_of("FROM bare\nARG TARGETARCH\nARG TARGETOS\nRUN x\n").env == (
        PATH,
        "TARGETARCH=amd64",
        "TARGETOS=linux",
    )


def test_proxies_reach_commands_without_an_argument_but_are_no_part_of_their_environment() -> None:
    run = run_of("FROM bare\nRUN x\n", HTTP_PROXY="http://p", no_proxy="a")
    assert run.env == (PATH,)
    # Source: BuildKit, executor/oci/spec.go: both cases are set
    assert run.proxies == ("HTTP_PROXY=http://p", "http_proxy=http://p", "NO_PROXY=a", "no_proxy=a")
    named = run_of("FROM bare\nARG HTTP_PROXY\nRUN x\n", HTTP_PROXY="http://p")
    assert (named.env, named.proxies) == ((PATH, "HTTP_PROXY=http://p"), ("http_proxy=http://p",))


def test_build_argument_that_nobody_asks_for_is_told() -> None:
    assert plan("FROM bare\nARG A\n", A="1", B="2", HTTP_PROXY="x", BUILDKIT_INLINE_CACHE="1").warnings == (
        "[Warning] One or more build-args [B] were not consumed",
    )


def test_word_that_cannot_be_expanded_is_told_on_its_line() -> None:
    error = refusal('FROM bare\nENV A="${B:?is missing}"\n')
    assert (error.message, error.where) == ("B: is missing", 'Dockerfile:2: ENV A="${B:?is missing}"')


# --- RUN -----------------------------------------------------------------------------------------------------------------


def test_shell_form_goes_to_the_shell_that_holds() -> None:
    text = 'FROM bare\nRUN a "$X"\nSHELL ["/bin/bash", "-ec"]\nRUN b\nRUN ["c", "$X"]\n'
    assert [step.argv for step in steps_of(text) if isinstance(step, Run)] == [
        ("/bin/sh", "-c", 'a "$X"'),
        ("/bin/bash", "-ec", "b"),
        ("c", "$X"),
    ]
    assert config_of(text).shell == ("/bin/bash", "-ec")


def test_command_runs_where_as_and_with_which_shell_the_base_says() -> None:
    run = run_of("FROM at\nRUN x\n")
    assert (run.cwd, run.user, run.argv) == ("/srv", "app", ("/bin/bash", "-c", "x"))


def test_lone_heredoc_is_the_script_itself() -> None:
    assert run_of("FROM bare\nRUN <<-EOF\n\ta\n\tb $X\nEOF\n").argv == ("/bin/sh", "-c", "a\nb $X\n")


def test_lone_heredoc_with_an_interpreter_is_a_file() -> None:
    run = run_of("FROM bare\nRUN <<'X.py'\n#!/usr/bin/env python3\nprint(1)\nX.py\n")
    assert (run.argv, run.script) == (("/dev/pipes/X.py",), "#!/usr/bin/env python3\nprint(1)\n")
    assert run_of("FROM bare\nRUN <<../up\n#!/bin/sh\n../up\n").argv == ("/dev/pipes/EOF",)


def test_heredocs_of_a_command_are_left_to_the_shell() -> None:
    run = run_of("FROM bare\nRUN cat <<A - 3<<-B > /x\n1\nA\n\t2\n\tB\n")
    assert run.argv == ("/bin/sh", "-c", "cat <<A - 3<<-B > /x\n1\nA\n\t2\nB")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--mount=type=cache,target=/", 'invalid mount target "/"'),
        ("--mount=type=volume,target=/x", 'unsupported mount type "volume"'),
        (
            "--mount=from=$X,target=/x",
            "'from' doesn't support variable expansion, define alias stage instead",
        ),
        ("--security=insecure", "security.insecure is not allowed"),
        ("--security=none", 'security "none" is not valid'),
        ("--network=host", "network.host is not allowed"),
        ("--network=mine", 'invalid network mode "mine"'),
        ("--device=vendor/x", "RUN --device is not supported"),
    ],
)
def test_flags_of_run_that_cannot_be_are_refused_on_their_line(flags: str, message: str) -> None:
    error = refusal(f"FROM bare\nRUN {flags} x\n")
    assert error.message == message
    assert error.where.startswith("Dockerfile:2:")


def test_network_of_a_command() -> None:
    text = "FROM bare\nRUN --network=default a\nRUN --network=none b\nRUN --network=host c\n"
    steps = steps_of(text, commands=CommandRules(allow=frozenset({"network.host"})))
    assert [step.network for step in steps if isinstance(step, Run)] == ["", "none", "host"]
    steps = steps_of(text, commands=read_rules("none", ("network.host",), ()))
    assert [step.network for step in steps if isinstance(step, Run)] == ["none", "none", "host"]


# --- COPY and ADD --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/a", "/a"),
        ("/a/", "/a/"),
        ("a", "/srv/a"),
        ("./a/", "/srv/a/"),
        (".", "/srv/"),
        ("..", "/"),
        ("/a/.", "/a/"),
        ("/a/../b", "/b"),
        ("../../../x", "/x"),
        ("/", "/"),
        ("$WHERE/x", "/where/x"),
    ],
)
def test_target_is_looked_up_from_the_working_directory(target: str, expected: str) -> None:
    assert copy_of(f"FROM at\nENV WHERE=/where\nCOPY f {target}\n").target == expected


def test_several_sources_need_a_folder() -> None:
    error = refusal("FROM bare\nCOPY a b /c\n")
    assert error.message.startswith(
        "When using COPY with more than one source file, the destination must be a directory"
    )
    assert error.hint == "COPY … /c/"
    assert copy_of("FROM bare\nCOPY a b .\n").target == "/"
    assert "more than one" in refusal("FROM bare\nCOPY <<a <<b /c\n1\na\n2\nb\n").message


def test_words_of_a_copy_are_expanded() -> None:
    copy = copy_of("FROM bare\nARG N=x U=app\nCOPY --chown=$U:$U --chmod=0640 $N.txt /$N\n")
    assert (copy.sources, copy.target, copy.chown, copy.chmod) == (("x.txt",), "/x", "app:app", "0640")


def test_text_of_a_file_in_the_dockerfile_is_expanded_unless_its_name_is_quoted() -> None:
    text = "FROM bare\nENV X=1\nCOPY <<a <<'b' /t/\n$X \\$X \"q\"\na\n$X\nb\n"
    assert copy_of(text).inline == (Inline(name="a", data='1 $X "q"\n'), Inline(name="b", data="$X\n"))


def test_only_add_unpacks_unless_told_not_to() -> None:
    text = "FROM bare\nCOPY a /\nADD a /\nADD --unpack=false a /\n"
    assert [step.unpack for step in steps_of(text) if isinstance(step, Copy)] == [False, True, False]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("COPY git@example.com:x /x", "source can't be a git ref for COPY"),
        ("COPY https://example.com/x /x", "source can't be a URL for COPY"),
        (
            "COPY --chmod=u+q a /x",
            "invalid chmod parameter: 'u+q': 'u+q' is neither octal nor like u=rwX",
        ),
        (
            "COPY --chmod=17777 a /x",
            "invalid chmod parameter: '17777': it should be octal and between 0 and 07777",
        ),
        ("ADD --checksum=sha256:1 a /x", "checksum requires HTTP(S) or Git sources"),
    ],
)
def test_what_copy_and_add_cannot_do_is_refused_on_its_line(line: str, message: str) -> None:
    error = refusal(f"FROM bare\n{line}\n")
    assert (error.message, error.where) == (message, f"Dockerfile:2: {line}")
    assert error.hint


def test_flags_of_copies_are_read_with_their_variables() -> None:
    copy = copy_of(
        "FROM bare\nARG M=u=rwX X=*.log\nCOPY --parents --link --chmod=$M --exclude=$X --exclude=b a /x/\n"
    )
    assert (copy.parents, copy.link, copy.chmod, copy.exclude) == (True, True, "u=rwX", ("*.log", "b"))


def test_named_contexts_win_over_images_and_stages() -> None:
    text = (
        "FROM nowhere AS tools\nRUN never\nFROM other:latest\nCOPY --from=tools /t /\nCOPY --from=base /b /\n"
    )
    contexts = NamedContexts(
        (NamedContext("tools", "bare"), NamedContext("other"), NamedContext("base", "at"))
    )
    built = plan_build(
        parse_dockerfile(text), BuildOptions(contexts=contexts), lambda name, platform: IMAGES.get(name)
    )
    tools, last = built.stages
    assert (tools.base, tools.steps) == ("bare", ())
    begin, from_stage, from_image = (planned.step for planned in last.steps)
    assert isinstance(begin, Copy) and isinstance(from_stage, Copy) and isinstance(from_image, Copy)
    assert (begin.context, begin.sources, begin.target) == ("other", ("/",), "/")
    assert (from_stage.stage, from_image.image) == (0, "at")


# --- the configuration ---------------------------------------------------------------------------------------------------


def test_working_directory_is_joined_made_and_owned_by_the_user() -> None:
    text = "FROM bare\nWORKDIR /a\nWORKDIR b\nUSER app\nWORKDIR ../c\nWORKDIR /\n"
    made = [(s.path, s.user) for s in steps_of(text) if isinstance(s, MakeDirectory)]
    assert made == [("/a", ""), ("/a/b", ""), ("/a/c", "app")]
    assert config_of(text).working_dir == "/"


def test_entrypoint_takes_the_bases_command_away_but_not_the_stages_own() -> None:
    assert config_of('FROM base\nENTRYPOINT ["x"]\n').cmd is None
    assert config_of('FROM base\nCMD ["c"]\nENTRYPOINT ["x"]\n').cmd == ("c",)
    text = 'FROM bare AS a\nCMD ["c"]\nFROM a\nENTRYPOINT ["x"]\n'
    assert config_of(text).cmd is None
    assert config_of("FROM base\nENTRYPOINT []\n").entrypoint is None
    assert config_of("FROM base\nCMD []\n").cmd == ()
    assert config_of("FROM base\nCMD a b\n").cmd == ("/bin/sh", "-c", "a b")
    assert config_of("FROM base\nCMD a\n").entrypoint == ("base-entry",)


@pytest.mark.parametrize(
    ("ports", "expected"),
    [
        ("80", ["80/tcp"]),
        ("80/udp 81/TCP", ["80/udp", "81/tcp"]),
        ("8000-8002/sctp", ["8000/sctp", "8001/sctp", "8002/sctp"]),
        ("$PORTS", ["53/udp", "80/tcp"]),
        ('"$PORT"', ["80/tcp"]),
        ("0.0.0.0:1234-1235:3333-3334/tcp", ["3333/tcp", "3334/tcp"]),
    ],
)
def test_ports(ports: str, expected: list[str]) -> None:
    text = f'FROM bare\nENV PORT=80 PORTS="80 53/udp"\nEXPOSE {ports}\n'
    assert list(config_of(text).exposed_ports or {}) == expected


@pytest.mark.parametrize("ports", ["x", "0-", "-1", "80/foo", "70000", "90-80", "/tcp", "١"])
def test_port_that_is_none_is_refused(ports: str) -> None:
    assert refusal(f"FROM bare\nEXPOSE {ports}\n").where.startswith("Dockerfile:2:")


def test_health_check() -> None:
    text = "FROM bare\nHEALTHCHECK --interval=1m30s --timeout=500ms --start-period=2s --start-interval=1s --retries=4 CMD a  b\n"
    assert config_of(text).healthcheck == HealthCheck(
        test=("CMD-SHELL", "a  b"),
        interval=90_000_000_000,
        timeout=500_000_000,
        start_period=2_000_000_000,
        start_interval=1_000_000_000,
        retries=4,
    )
    assert config_of('FROM bare\nHEALTHCHECK CMD ["a"]\n').healthcheck == HealthCheck(test=("CMD", "a"))
    assert config_of("FROM bare\nHEALTHCHECK NONE\n").healthcheck == HealthCheck(test=("NONE",))
    longest = "--interval=2562047h47m16s"  # Source: Go, time.Duration: 2**63 ns
    assert config_of(f"FROM bare\nHEALTHCHECK {longest} CMD a\n").healthcheck is not None
    too_much = ("--interval=2562047h47m17s", f"--timeout={'9' * 400}h", "--retries=2147483648")
    for flag in ("--interval=3x", "--interval=1us", "--retries=-1", "--retries=x", *too_much):
        assert refusal(f"FROM bare\nHEALTHCHECK {flag} CMD a\n").where.startswith("Dockerfile:2:")


@pytest.mark.parametrize(
    ("signal", "good"),
    [("SIGQUIT", True), ("quit", True), ("9", True), ("SIGRTMIN+3", True), ("SIGNOPE", False), ("0", False)],
)
def test_stop_signal(signal: str, good: bool) -> None:
    text = f"FROM bare\nSTOPSIGNAL {signal}\n"
    if good:
        assert config_of(text).stop_signal == signal
    else:
        assert refusal(text).message == f"Invalid signal: {signal}"


def test_labels_volumes_user_and_author() -> None:
    text = 'FROM bare\nMAINTAINER Some One\nENV V=1\nLABEL a="x $V" "b c"=d\nVOLUME /v $V\nUSER u:g\n'
    built = plan(text)
    config = built.stages[0].config
    assert (config.labels, config.volumes, config.user) == (
        {"a": "x 1", "b c": "d"},
        {"/v": {}, "1": {}},
        "u:g",
    )
    assert built.stages[0].author == "Some One"


def test_labels_of_the_command_line_win_and_are_in_the_last_step() -> None:
    options = BuildOptions(labels={"a": "cli"})
    built = plan_build(
        parse_dockerfile("FROM bare\nLABEL a=1 b=2\n"),
        options,
        lambda reference, platform: IMAGES.get(reference),
    )
    assert built.stages[0].config.labels == {"a": "cli", "b": "2"}
    assert isinstance(built.stages[0].steps[-1].step, Configure)


# --- ONBUILD -------------------------------------------------------------------------------------------------------------


def test_triggers_are_kept_and_not_done() -> None:
    text = "FROM bare\nONBUILD RUN a\nONBUILD COPY <<f /f\n1\nf\nRUN b\n"
    assert config_of(text).on_build == ("RUN a", "COPY <<f /f\n1\nf")
    assert [step.argv[-1] for step in steps_of(text) if isinstance(step, Run)] == ["b"]


def test_triggers_of_the_base_come_first_and_are_gone_then() -> None:
    text = "FROM hooks\nRUN own $FROM_HOOK\n"
    steps = [step for step in steps_of(text) if not isinstance(step, Configure)]
    assert [type(step).__name__ for step in steps] == ["Run", "Copy", "Run"]
    assert isinstance(steps[1], Copy)
    assert steps[1].inline == (Inline(name="f", data="text\n"),)
    assert config_of(text).on_build is None
    assert "FROM_HOOK=1" in (config_of(text).env or ())


def test_triggers_of_an_earlier_stage_are_done_too() -> None:
    # Source: BuildKit, dockerfile2llb/convert.go: a stage's base is a stage or an image, the triggers are the same
    text = "FROM bare AS a\nONBUILD RUN hook\nFROM a\nRUN own\n"
    assert [step.argv[-1] for step in steps_of(text) if isinstance(step, Run)] == ["hook", "own"]


def test_plan_can_be_read() -> None:
    assert plan("FROM bare AS a\nRUN x\nENV A=1\n").describe() == [
        "stage a FROM bare",
        "  2: RUN x",
        "  3: ENV A=1",
    ]


@pytest.mark.parametrize("name", ["a/b", "..", "."])
def test_here_document_that_can_be_no_file_is_refused_before_anything_is_done(name: str) -> None:
    error = refusal(f"FROM bare\nCOPY <<{name} /x/\nhi\n{name}\n")
    assert error.message == f"a here-document can't be a file named {name!r}"
    assert error.where.startswith("Dockerfile:2: COPY")
    assert error.hint


def test_number_behind_from_is_a_stage_and_never_an_image() -> None:
    error = refusal("FROM bare\nCOPY --from=5 a b\n")
    assert (error.message, error.where) == (
        "--from=5: there is no stage 5",
        "Dockerfile:2: COPY --from=5 a b",
    )
    assert error.hint == "stages are counted from 0; there are 1"
