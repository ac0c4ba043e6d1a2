"""Reads the indexes of a Job's pods, as text: "0,3-5,7". Pure.

Source: Kubernetes v1.36, pkg/apis/batch/validation, validateIndexesFormat and its kin.
"""

import re


class _WrongIndexes(ValueError):
    pass


def check_indexes(text: str, completions: int) -> tuple[int, str]:
    """Return how many indexes a text names, and what is wrong with it, "" when nothing is.

    Example: "0,3-5" of 6 completions names 4.
    """
    total, last = 0, None
    if not text:
        return 0, ""
    try:
        for part in text.split(","):
            low, high = _parse(part, completions)
            if last is not None and last >= low:
                return 0, f"non-increasing order, previous: {last}, current: {low}"
            total += high - low + 1
            last = high
    except _WrongIndexes as error:
        return 0, str(error)
    return total, ""


def find_common_index(completed: str, failed: str, completions: int) -> int | None:
    """Return the first index that both texts name; parts that can't be read are left out."""
    if not completed or not failed:
        return None
    one, other = _ranges(completed, completions), _ranges(failed, completions)
    at, at_other = 0, 0
    while at < len(one) and at_other < len(other):
        (low, high), (low_other, high_other) = one[at], other[at_other]
        if low <= high_other and low_other <= high:
            return max(low, low_other)
        if low <= low_other:
            at += 1
        else:
            at_other += 1
    return None


def _ranges(text: str, completions: int) -> list[tuple[int, int]]:
    found = []
    for part in text.split(","):
        try:
            found.append(_parse(part, completions))
        except _WrongIndexes:
            continue
    return found


def _parse(text: str, completions: int) -> tuple[int, int]:
    parts = text.split("-")
    if len(parts) > 2:
        raise _WrongIndexes(
            f'the fragment "{text}" violates the requirement that an index interval can have at most two parts '
            "separated by '-'"
        )
    low = _parse_index(parts[0], completions)
    if len(parts) == 1:
        return low, low
    high = _parse_index(parts[1], completions)
    if low >= high:
        raise _WrongIndexes(f"non-increasing order, previous: {low}, current: {high}")
    return low, high


def _parse_index(text: str, completions: int) -> int:
    if not re.fullmatch("[-+]?[0-9]{1,18}", text):
        raise _WrongIndexes(f'cannot convert string to integer for index: "{text}"')
    if int(text) >= completions:
        raise _WrongIndexes(f'too large index: "{text}"')
    return int(text)
