"""--cache-from and --cache-to. Source of expected values: docker buildx build's reference."""

from __future__ import annotations

import os
from typing import Any

import pytest

from pinnace.base.errors import UserError
from pinnace.cli.build_caches import describe_cache

HERE = os.path.abspath(".")


@pytest.mark.parametrize(
    ("flag", "text", "expected"),
    [
        ("--cache-from", "app:v1", {"type": "registry", "ref": "app:v1"}),
        ("--cache-from", "type=registry,ref=app:v1", {"type": "registry", "ref": "app:v1"}),
        ("--cache-from", "type=local,src=x", {"type": "local", "path": f"{HERE}/x"}),
        ("--cache-to", "app:v1", {"type": "registry", "ref": "app:v1"}),
        (
            "--cache-to",
            "type=registry,ref=app:v1,mode=max,image-manifest=true,compression=zstd",
            {"type": "registry", "ref": "app:v1", "mode": "max", "ignore_error": False},
        ),
        (
            "--cache-to",
            "type=local,dest=/x,ignore-error=true",
            {"type": "local", "path": "/x", "mode": "min", "ignore_error": True},
        ),
        ("--cache-to", "type=inline", {"type": "inline", "mode": "min", "ignore_error": False}),
    ],
)
def test_cache_means_what_buildx_means(flag: str, text: str, expected: dict[str, Any]) -> None:
    assert describe_cache(text, flag) == expected


@pytest.mark.parametrize(
    ("flag", "text", "message"),
    [
        ("--cache-from", "type=inline", "unknown type 'inline'"),
        ("--cache-from", "type=gha", "type=gha is not supported"),
        ("--cache-to", "ref=x", "type is required"),
        ("--cache-to", "type=registry", "ref is required"),
        ("--cache-to", "type=local,src=x", "dest is required"),
        ("--cache-to", "type=inline,mode=most", "mode is min or max"),
        ("--cache-to", "type=registry,ref=x,danger=1", "there is no option 'danger'"),
    ],
)
def test_what_makes_no_sense_is_refused(flag: str, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        describe_cache(text, flag)
