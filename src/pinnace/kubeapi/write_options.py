"""Reads and checks what a write says about itself in its query: dry run, manager, treatment of unknown fields. Pure.

Source: Kubernetes v1.37, apimachinery/pkg/apis/meta/v1/validation/validation.go (ValidateCreateOptions and its like);
apiserver/pkg/endpoints/handlers/create.go, managerOrUserAgent.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from pinnace.api.validation.problems import Problems
from pinnace.kubeapi.query import Query

STRICT, WARN, IGNORE = "Strict", "Warn", "Ignore"
MANAGER_MOST = 128  # bytes. Source: validation.go, FieldManagerMaxLength
APPLY = "application/apply-patch+yaml"

_KINDS = {"POST": "CreateOptions", "PUT": "UpdateOptions", "PATCH": "PatchOptions", "DELETE": "DeleteOptions"}


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """What was asked for. `manager` is "" where the client names none."""

    dry_run: bool = False
    manager: str = ""
    validation: str = WARN


DEFAULT = WriteOptions()


def read_write_options(query: Query, method: str, media_type: str = "") -> WriteOptions:
    """Return the options; `media_type` is a patch's. Raises: ApiError Invalid, with all that is wrong."""
    if query.is_empty and media_type != APPLY:
        return DEFAULT
    dry_run, manager = query.all("dryRun"), query.text("fieldManager")
    validation = query.text("fieldValidation")
    problems = Problems()
    if method == "PATCH":
        if media_type == APPLY and not manager:
            problems.required("fieldManager", "is required for apply patch")
        if media_type != APPLY and "force" in query:
            problems.forbidden("force", "may not be specified for non-apply patch")
    if manager:
        _check_manager(manager, problems)
    check_dry_run(dry_run, problems)
    if validation not in (STRICT, WARN, IGNORE, ""):
        problems.not_supported("fieldValidation", validation, {STRICT, WARN, IGNORE, ""})
    if problems:
        raise problems.to_error(_KINDS.get(method, "UpdateOptions"), "meta.k8s.io", "")
    return WriteOptions(any(dry_run), manager, validation or WARN)


def _check_manager(manager: str, problems: Problems) -> None:
    if len(manager.encode(errors="replace")) > MANAGER_MOST:
        problems.too_long("fieldManager", MANAGER_MOST)
    for position, character in enumerate(manager):
        if not character.isprintable():
            why = f"invalid character U+{ord(character):04X} (at position {position})"
            problems.invalid("fieldManager", manager, why)


def check_dry_run(values: Iterable[str], problems: Problems) -> None:
    """Refuse anything but "All"."""
    values = tuple(values)
    if any(value not in ("All", "") for value in values):
        problems.not_supported("dryRun", list(values), ("All",))


@lru_cache(maxsize=256)
def manager_of(agent: str) -> str:
    """Return the manager that a program is which doesn't name one: the first word of its User-Agent."""
    kept, size = [], 0
    for character in agent.partition("/")[0]:
        if not character.isprintable():
            continue
        size += len(character.encode(errors="replace"))
        if size > MANAGER_MOST:
            break
        kept.append(character)
    return "".join(kept)
