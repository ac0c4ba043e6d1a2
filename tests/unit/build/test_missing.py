"""A COPY that finds nothing: what is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from pinnace.base.errors import UserError
from pinnace.build.missing import suggest_dockerfile
from pinnace.build.selection import Selection, find_sources
from tests.unit.build.trees import Tree, grow

TREE: Tree = {
    "README.md": "",
    "src/app.py": "",
    "src/deep/app.py": "",
    "src/conf/a.yaml": "",
    "docker/entry.sh": "",
    "docker/Dockerfile": "",
}


@pytest.fixture
def context(tmp_path: Path) -> Path:
    return grow(tmp_path / "context", TREE)


def told(context: Path, source: str, *, ignore: str = "", stage: bool = False) -> UserError:
    place = {"what": "stage build", "keep_owner": True} if stage else {"shown": "/home/me/app"}
    if not stage:
        place["beside"] = str(context / "docker")
    with pytest.raises(UserError) as caught:
        find_sources(Selection(root=str(context), sources=(source,), ignore=ignore, **place))  # type: ignore[arg-type]
    return caught.value


@pytest.mark.parametrize(
    ("source", "hint"),
    [
        ("readme.md", "did you mean README.md? upper and lower case matter"),
        ("src/App.py", "did you mean src/app.py? upper and lower case matter"),
        ("src/app.pi", "did you mean src/app.py?"),
        ("a.yaml", "did you mean src/conf/a.yaml?"),
        ("app.py", "did you mean src/app.py?"),
        ("deep/app.py", "did you mean src/deep/app.py?"),
        ("entry.sh", "it lies beside the Dockerfile, in "),
        ("../zzz", "nothing above the context can be copied"),
        ("/etc/passwd", "/etc/passwd of this machine is not in the build context"),
        ("zzz", "not beside the Dockerfile; it has README.md, docker, src"),
        ("src/zzz/yyy", "not beside the Dockerfile; /src has app.py, conf, deep"),
    ],
)
def test_hint_says_what_is_near(context: Path, source: str, hint: str) -> None:
    error = told(context, source)
    assert error.message == f"{source!r} is not in the build context /home/me/app"
    assert hint in error.hint


def test_of_a_stage_the_names_in_the_nearest_folder_are_told(context: Path) -> None:
    error = told(context, "/src/zzz", stage=True)
    assert (error.message, error.hint) == ("'/src/zzz' is not in stage build", "/src has app.py, conf, deep")
    assert told(context, "/zzz", stage=True).hint == "/ has README.md, docker, src"


def test_hidden_file_is_told_with_the_line_and_its_text(context: Path) -> None:
    error = told(context, "src/app.py", ignore="# c\n\n*.md\nsr*\n")
    assert error.message == "'src/app.py' is in the build context /home/me/app, but .dockerignore hides it"
    assert error.hint == "line 4 of .dockerignore is 'sr*'; add a line !src/app.py"


def test_pattern_whose_matches_are_all_hidden_is_told_with_the_line(context: Path) -> None:
    findings = find_sources(Selection(root=str(context), sources=("src/*",), ignore="x\nsrc\n"))
    assert findings.unmatched == ("src/* (line 2 of .dockerignore, 'src', hides src/app.py and 2 more)",)


@pytest.mark.parametrize(
    ("tree", "hint"),
    [
        ({"dockerfile": ""}, "did you mean -f {}/dockerfile?"),
        ({"Dockerfile.gpu": "", "Dockerfile.gpu.dockerignore": ""}, "did you mean -f {}/Dockerfile.gpu?"),
        ({"Containerfile": ""}, "did you mean -f {}/Containerfile?"),
        ({"gpu.Dockerfile": ""}, "did you mean -f {}/gpu.Dockerfile?"),
        ({"docker/Dockerfile": ""}, "did you mean -f {}/docker/Dockerfile?"),
        ({"a": ""}, "name it with -f, or go to the folder that has it"),
    ],
)
def test_dockerfile_that_is_not_there_is_told_with_the_one_that_is_near(
    tmp_path: Path, tree: Tree, hint: str
) -> None:
    root = grow(tmp_path / "x", tree)
    assert suggest_dockerfile(root, root / "Dockerfile") == hint.format(root)
