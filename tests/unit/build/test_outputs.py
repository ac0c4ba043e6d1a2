"""What is to become of a build's result."""

from __future__ import annotations

import pytest

from pinnace.base.errors import UserError
from pinnace.build.outputs import Wanted, is_stored, names_of, names_to_push, read_wanted


def test_result_becomes_an_image_unless_only_files_are_wanted() -> None:
    assert is_stored(())
    assert is_stored((Wanted(type="local"), Wanted(type="image")))
    assert not is_stored((Wanted(type="local"), Wanted(type="oci")))
    assert not is_stored((Wanted(type="cacheonly"),))


def test_names_of_flags_and_outputs_are_taken_together() -> None:
    wanted = (Wanted(type="image", names=("b:1", "a:1")), Wanted(type="oci", names=("c:1",)))
    assert names_of(("a:1",), wanted) == ("a:1", "b:1")


def test_push_sends_all_names_and_needs_one() -> None:
    assert names_to_push(("a:1",), ()) == ()
    assert names_to_push(("a:1",), (Wanted(type="image", push=True, names=("b:1",)),)) == ("a:1", "b:1")
    with pytest.raises(UserError, match="a push needs a name"):
        names_to_push((), (Wanted(type="image", push=True),))


def test_request_that_makes_no_sense_is_refused() -> None:
    assert read_wanted([{"type": "tar"}]) == (Wanted(type="tar"),)
    for value in (
        [{"type": "zip"}],
        [{"type": "tar", "to": "x"}],
        "tar",
        [{"type": "oci", "names": ["UP:1"]}],
    ):
        with pytest.raises(UserError):
            read_wanted(value)
