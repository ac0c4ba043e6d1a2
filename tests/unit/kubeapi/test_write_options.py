"""What a write says in its query. Expected: apimachinery, meta/v1/validation/validation.go; managerOrUserAgent's tests."""

import pytest

from pinnace.base.errors import ApiError
from pinnace.kubeapi.query import parse_query
from pinnace.kubeapi.write_options import WriteOptions, manager_of, read_write_options

APPLY = "application/apply-patch+yaml"


@pytest.mark.parametrize(
    ("query", "options"),
    [
        ("", WriteOptions(False, "", "Warn")),
        ("dryRun=All&fieldManager=me&fieldValidation=Strict", WriteOptions(True, "me", "Strict")),
        ("fieldValidation=Ignore", WriteOptions(False, "", "Ignore")),
    ],
)
def test_options_are_read(query: str, options: WriteOptions) -> None:
    assert read_write_options(parse_query(query), "POST") == options


@pytest.mark.parametrize(
    ("method", "media_type", "query", "message"),
    [
        ("POST", "", "dryRun=yes",
         'CreateOptions.meta.k8s.io "" is invalid: dryRun: Unsupported value: ["yes"]: supported values: "All"'),
        ("PUT", "", "fieldValidation=strict",
         'UpdateOptions.meta.k8s.io "" is invalid: fieldValidation: Unsupported value: "strict": supported values: '
         '"", "Ignore", "Strict", "Warn"'),
        ("PATCH", APPLY, "", 'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch'),
        ("PATCH", "application/merge-patch+json", "force=true",
         'PatchOptions.meta.k8s.io "" is invalid: force: Forbidden: may not be specified for non-apply patch'),
        ("POST", "", "fieldManager=" + "x" * 129,
         'CreateOptions.meta.k8s.io "" is invalid: fieldManager: Too long: may not be more than 128 bytes'),
        ("POST", "", "fieldManager=a%0A",
         'CreateOptions.meta.k8s.io "" is invalid: fieldManager: Invalid value: "a\\n": invalid character U+000A (at position 1)'),
    ],
)  # fmt: skip
def test_wrong_options_are_refused(method: str, media_type: str, query: str, message: str) -> None:
    with pytest.raises(ApiError) as caught:
        read_write_options(parse_query(query), method, media_type)
    assert (caught.value.code, caught.value.message) == (422, message)


def test_everything_that_is_wrong_is_named_at_once() -> None:
    with pytest.raises(ApiError) as caught:
        read_write_options(parse_query("dryRun=x&fieldValidation=y&fieldManager=%00"), "POST")
    assert [cause.field for cause in caught.value.causes] == ["fieldManager", "dryRun", "fieldValidation"]


@pytest.mark.parametrize(
    ("agent", "manager"),
    [
        ("kubectl/v1.37.0 (linux/amd64)", "kubectl"),
        ("", ""),
        ("a\tb\u200bc/1", "abc"),
        ("x" * 200, "x" * 128),
        ("é" * 100, "é" * 64),
    ],
)
def test_a_program_is_its_own_manager(agent: str, manager: str) -> None:
    assert manager_of(agent) == manager
