"""--output in all its forms. Source of expected values: docker buildx build's reference; BuildKit's exporters."""

from __future__ import annotations

import os

import pytest

from pinnace.base.errors import UserError
from pinnace.cli.build_results import Output, describe_built, parse_output


def parse(text: str, *, is_terminal: bool = False) -> Output:
    return parse_output(text, is_terminal=is_terminal)


HERE = os.path.abspath(".")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("out", Output("local", f"{HERE}/out")),
        ("-", Output("tar", "-")),
        ("type=local,dest=out", Output("local", f"{HERE}/out", is_folder=True)),
        ("type=tar,dest=a.tar", Output("tar", f"{HERE}/a.tar")),
        ("type=tar", Output("tar", "-")),
        ('type=tar,"dest=a,b.tar"', Output("tar", f"{HERE}/a,b.tar")),
        ("type=oci,dest=a.tar,name=x:1", Output("oci", f"{HERE}/a.tar", ("x:1",))),
        ("type=oci,dest=d,tar=false", Output("oci", f"{HERE}/d", is_folder=True)),
        ("type=docker", Output("image")),
        (
            "type=docker,dest=a.tar,compression=zstd",
            Output("docker", f"{HERE}/a.tar", compression="zstd"),
        ),
        ('type=image,"name=a:1,b:1",push=true', Output("image", names=("a:1", "b:1"), push=True)),
        ("type=registry", Output("image", push=True)),
        ("type=registry,oci-mediatypes=true", Output("image", push=True)),
        ("type=cacheonly", Output("cacheonly")),
    ],
)
def test_output_means_what_buildx_means(text: str, expected: Output) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("type=zip,dest=x", "unknown type 'zip'"),
        ("dest=x", "type is required"),
        ("type=tar,x", "must be a key=value pair"),
        ("type=local", "needs a dest"),
        ("type=local,dest=-", "needs a dest"),
        ("type=image,dest=x", "has no dest"),
        ("type=tar,dest=/", "is a folder, not a file"),
        ("type=image,push=maybe", "push=maybe is neither true nor false"),
        ("type=oci,dest=x,compression=lzma", "unknown compression"),
        ("type=tar,dest=x,danger=1", "there is no option 'danger'"),
        ('"type=tar', "can't be read"),
    ],
)
def test_what_makes_no_sense_is_refused(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse(text)


def test_archive_is_not_written_to_a_terminal() -> None:
    with pytest.raises(UserError, match="refusing to write to a terminal"):
        parse("-", is_terminal=True)


def test_metadata_names_what_was_pushed_else_the_image() -> None:
    built = {"image": "sha256:a", "names": ["x:1", "y:1"], "manifest": "sha256:m"}
    assert describe_built(built) == {
        "containerimage.config.digest": "sha256:a",
        "containerimage.digest": "sha256:m",
        "image.name": "x:1,y:1",
    }
    assert describe_built({"image": "sha256:a", "names": []})["containerimage.digest"] == "sha256:a"
