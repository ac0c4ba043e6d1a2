"""What a build's request may not hold."""

from __future__ import annotations

import pytest

from pinnace.base.errors import UserError
from pinnace.ownapi.build import check_text

BYTES = b"\xffsecret".decode(errors="surrogateescape")


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"labels": {"a": BYTES}}, "labels a"),
        ({"build_args": {BYTES: "x"}}, "build_args"),
        ({"names": ["x", BYTES]}, "names"),
        ({"outputs": [{"type": "tar", "dest": BYTES}]}, "outputs dest"),
    ],
)
def test_bytes_that_are_no_text_are_told_with_their_place_only(body: dict[str, object], where: str) -> None:
    with pytest.raises(UserError) as caught:
        check_text(body)
    assert caught.value.message == f"{where}: this is not UTF-8"


def test_text_in_any_language_is_fine() -> None:
    check_text({"labels": {"größe": "大"}, "no_cache": True, "platforms": ["x"], "n": 1})
