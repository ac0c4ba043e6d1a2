"""Instructions as values, and errors on their line. Source: Dockerfile reference; BuildKit, instructions/parse.go."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pinnace.base.errors import UserError
from pinnace.dockerfile import instructions as ast
from pinnace.dockerfile.instructions import Command, Instruction
from pinnace.dockerfile.lines import Heredoc
from pinnace.dockerfile.parse import parse_dockerfile


def read(text: str) -> Instruction:
    """Return the only instruction of a stage, without its place and text."""
    (found,) = parse_dockerfile(f"FROM a\n{text}\n").stages[0].instructions
    return replace(found, line=0, last_line=0, text="")


def shell(text: str, *heredocs: Heredoc) -> Command:
    return Command((text,), shell=True, heredocs=heredocs)


EMPTY: dict[str, int] = {"line": 0}

CASES: list[tuple[str, Instruction]] = [
    ("RUN a  b && c", ast.Run(command=shell("a  b && c"), **EMPTY)),
    ('RUN ["a", "b c"]', ast.Run(command=Command(("a", "b c"), shell=False), **EMPTY)),
    ("RUN ['a', 'b']", ast.Run(command=shell("['a', 'b']"), **EMPTY)),  # single quotes are no JSON
    ("RUN [ -f x ] && y", ast.Run(command=shell("[ -f x ] && y"), **EMPTY)),
    (
        "RUN --mount=type=cache,target=/c --mount=type=tmpfs,target=/t --network=none x",
        ast.Run(
            command=shell("x"),
            mounts=("type=cache,target=/c", "type=tmpfs,target=/t"),
            network="none",
            **EMPTY,
        ),
    ),
    ("RUN <<EOF\na\nEOF", ast.Run(command=shell("<<EOF", Heredoc("EOF", "a\n")), **EMPTY)),
    ("COPY a b /c/", ast.Copy(sources=("a", "b"), target="/c/", **EMPTY)),
    ('COPY ["a b", "c"]', ast.Copy(sources=("a b",), target="c", **EMPTY)),
    ('COPY "a b" c', ast.Copy(sources=('"a', 'b"'), target="c", **EMPTY)),
    (
        "COPY --from=x --chown=1:2 --chmod=755 --link --exclude=*.md --exclude=b a c",
        ast.Copy(
            sources=("a",),
            target="c",
            from_="x",
            chown="1:2",
            chmod="755",
            link=True,
            exclude=("*.md", "b"),
            **EMPTY,
        ),
    ),
    ("COPY --link=false --parents a c", ast.Copy(sources=("a",), target="c", parents=True, **EMPTY)),
    (
        "COPY <<f x /c/\n1\nf",
        ast.Copy(sources=("x",), target="/c/", inline=(Heredoc("f", "1\n"),), **EMPTY),
    ),
    ("ADD --unpack=false a c", ast.Copy(sources=("a",), target="c", is_add=True, unpack=False, **EMPTY)),
    ("ENV A=1 B='2 3' C=", ast.Env(pairs=(("A", "1"), ("B", "'2 3'"), ("C", "")), **EMPTY)),
    ("ENV A b  c=d", ast.Env(pairs=(("A", "b  c=d"),), **EMPTY)),
    ("ENV A=b=c", ast.Env(pairs=(("A", "b=c"),), **EMPTY)),
    ('LABEL "com.x"="y z" a=b', ast.Label(pairs=(('"com.x"', '"y z"'), ("a", "b")), **EMPTY)),
    ("LABEL a b c", ast.Label(pairs=(("a", "b c"),), **EMPTY)),
    ("ARG A B=1 C=", ast.Arg(pairs=(("A", None), ("B", "1"), ("C", "")), **EMPTY)),
    ("WORKDIR /a b", ast.Workdir(path="/a b", **EMPTY)),
    ("USER a:b", ast.User(user="a:b", **EMPTY)),
    ("EXPOSE 80 90/udp", ast.Expose(ports=("80", "90/udp"), **EMPTY)),
    ("VOLUME /a /b", ast.Volume(paths=("/a", "/b"), **EMPTY)),
    ('VOLUME ["/a b"]', ast.Volume(paths=("/a b",), **EMPTY)),
    ('CMD ["a"]', ast.Cmd(command=Command(("a",), shell=False), **EMPTY)),
    ("CMD []", ast.Cmd(command=Command((), shell=False), **EMPTY)),
    ("CMD", ast.Cmd(command=shell(""), **EMPTY)),
    ("ENTRYPOINT a b", ast.Entrypoint(command=shell("a b"), **EMPTY)),
    ('SHELL ["/bin/bash", "-c"]', ast.Shell(argv=("/bin/bash", "-c"), **EMPTY)),
    ("STOPSIGNAL SIGQUIT", ast.StopSignal(signal="SIGQUIT", **EMPTY)),
    ("HEALTHCHECK NONE", ast.HealthCheck(command=None, **EMPTY)),
    (
        "HEALTHCHECK --interval=5s --timeout=3s --retries=2 cmd curl  x",
        ast.HealthCheck(command=shell("curl  x"), interval="5s", timeout="3s", retries="2", **EMPTY),
    ),
    (
        'HEALTHCHECK --start-period=1m --start-interval=1s CMD ["a"]',
        ast.HealthCheck(
            command=Command(("a",), shell=False), start_period="1m", start_interval="1s", **EMPTY
        ),
    ),
    ("ONBUILD RUN a", ast.OnBuild(instruction="RUN a", **EMPTY)),
    ("ONBUILD copy <<f /c\n1\nf", ast.OnBuild(instruction="copy <<f /c\n1\nf", **EMPTY)),
    ("MAINTAINER A B <a@b>", ast.Maintainer(name="A B <a@b>", **EMPTY)),
]

# what follows "FROM a\n", the message, a word of the hint
ERRORS = [
    ("RNU a", "unknown instruction: RNU", "RUN"),
    ("and b", "unknown instruction: AND", "ADD"),
    ("RUN", "RUN requires at least one argument", "RUN COMMAND"),
    ("RUN []", "RUN requires at least one argument", "RUN COMMAND"),
    (
        'CMD ["a", 1]',
        "when using JSON array syntax, arrays must be comprised of strings only",
        "double quotes",
    ),
    ("COPY a", "COPY requires at least two arguments, but only one was provided", "TARGET"),
    ("COPY --form=x a b", "unknown flag: --form", "from"),
    ("COPY --from a b", "missing a value on flag: --from", "--from=VALUE"),
    ("COPY --link=x a b", "expecting boolean value for flag --link, not: x", "true"),
    ("COPY --chown=1 --chown=2 a b", "duplicate flag specified: --chown", "once"),
    ("COPY a <<EOF\nx\nEOF", "COPY cannot accept a heredoc as a destination", "TARGET"),
    ("CMD --x a", "unknown flag: --x", "CMD takes no flags"),
    ("ENV A", "ENV must have two arguments", "NAME=VALUE"),
    ("ENV A=b c", "Syntax error - can't find = in 'c'. Must be of the form: name=value", "quote"),
    ("ENV =b", "ENV names can not be blank", "NAME=VALUE"),
    ("ARG =b", "ARG names can not be blank", "NAME"),
    ("SHELL /bin/sh", "SHELL requires the arguments to be in JSON form", '["/bin/bash", "-c"]'),
    ('VOLUME [""]', "VOLUME specified can not be an empty string", "PATH"),
    ("HEALTHCHECK NONE x", "HEALTHCHECK NONE takes no arguments", "NONE"),
    ("HEALTHCHECK FOO x", "Unknown type 'FOO' in HEALTHCHECK (try CMD)", "CMD"),
    ("HEALTHCHECK CMD", "Missing command after HEALTHCHECK CMD", "CMD"),
    ("ONBUILD ONBUILD RUN a", "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed", "ONBUILD"),
    ("ONBUILD FROM a", "FROM isn't allowed as an ONBUILD trigger", "RUN"),
    ("ONBUILD RUNN a", "unknown instruction: RUNN", "RUN"),
    ("FROM a b", "FROM requires either one or three arguments", "AS NAME"),
    ("FROM a AS 1b", "invalid name for build stage: '1b'", "letter"),
]


@pytest.mark.parametrize(("text", "expected"), CASES, ids=[text for text, _ in CASES])
def test_instruction_is_read(text: str, expected: Instruction) -> None:
    assert read(text) == expected


@pytest.mark.parametrize(("text", "message", "hint"), ERRORS, ids=[text for text, _, _ in ERRORS])
def test_what_is_wrong_is_told_on_its_line_with_what_to_do(text: str, message: str, hint: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_dockerfile(f"FROM a\n\n{text}\n", "Dockerfile.test")
    error = caught.value
    assert error.message == message
    assert error.where.split("\n")[0] == f"Dockerfile.test:3: {text.splitlines()[0]}"
    assert hint in error.hint


def test_stages_have_numbers_names_and_their_instructions() -> None:
    file = parse_dockerfile(
        "ARG V=1\nfrom a:$V as Build\nRUN x\nFROM --platform=linux/amd64 b\nCOPY --from=build /x /\n"
    )
    assert [(s.index, s.name, s.base.image, s.base.platform) for s in file.stages] == [
        (0, "build", "a:$V", ""),
        (1, "", "b", "linux/amd64"),
    ]
    assert [arg.pairs for arg in file.global_args] == [(("V", "1"),)]
    assert [[type(i).__name__ for i in s.instructions] for s in file.stages] == [["Run"], ["Copy"]]


def test_stage_is_found_by_name_in_any_case_by_number_and_only_before_another() -> None:
    file = parse_dockerfile("FROM a AS x\nFROM b AS y\nFROM x AS x\n")

    def index(name: str, before: int | None = None) -> int:
        found = file.find_stage(name, before=before)
        return -1 if found is None else found.index

    assert [index("X"), index("y"), index("1"), index("3"), index("z")] == [2, 1, 1, -1, -1]
    assert index("x", before=2) == 0


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("# only a comment\n", 1, "the Dockerfile has no FROM"),
        ("ARG a\n", 1, "the Dockerfile has no FROM"),
        ("ARG a\nRUN x\nFROM b\n", 2, "no build stage in current context: RUN comes before FROM"),
    ],
)
def test_file_without_a_stage_is_refused(text: str, line: int, message: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_dockerfile(text)
    assert caught.value.message == message
    assert caught.value.where.startswith(f"Dockerfile:{line}:")


def test_deeply_nested_brackets_are_a_shell_command() -> None:
    run = read("RUN " + "[" * 100_000)
    assert isinstance(run, ast.Run)
    assert run.command.shell
