"""CEL's functions on strings. Pure; a ValueError becomes the expression's error. Source: cel-go v0.26, ext/strings.go."""

import json
import math
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

MAX_RESULT = 1 << 20  # characters: repeated replacing could otherwise fill memory


def char_at(text: str, at: int) -> str:
    """Return the character at a place; "" right behind the last one."""
    if not 0 <= at <= len(text):
        raise ValueError(f"index out of range: {at}")
    return text[at : at + 1]


def index_of(text: str, part: str, start: int = 0) -> int:
    """Return the first place of a part, -1 if there is none."""
    if not 0 <= start <= len(text):
        raise ValueError(f"index out of range: {start}")
    return text.find(part, start)


def last_index_of(text: str, part: str, start: int | None = None) -> int:
    """Return the last place of a part that begins at `start` at the latest, -1 if there is none."""
    if start is None:
        return text.rfind(part)
    if not 0 <= start <= len(text):
        raise ValueError(f"index out of range: {start}")
    return text.rfind(part, 0, start + len(part))


def lower_ascii(text: str) -> str:
    return "".join(letter.lower() if letter.isascii() else letter for letter in text)


def upper_ascii(text: str) -> str:
    return "".join(letter.upper() if letter.isascii() else letter for letter in text)


def replace(text: str, old: str, new: str, count: int = -1) -> str:
    places = text.count(old) if count < 0 else min(count, text.count(old))
    if len(text) + places * len(new) > MAX_RESULT:
        raise ValueError("operation cancelled: actual cost limit exceeded")
    return text.replace(old, new, count)


def split(text: str, separator: str, count: int = -1) -> list[str]:
    if count == 0:
        return []
    if not separator:
        letters = list(text)
        return (
            letters
            if count < 0 or len(letters) <= count
            else [*letters[: count - 1], "".join(letters[count - 1 :])]
        )
    return text.split(separator, -1 if count < 0 else count - 1)


def substring(text: str, start: int, end: int | None = None) -> str:
    stop = len(text) if end is None else end
    if not 0 <= start <= len(text) or not 0 <= stop <= len(text):
        raise ValueError(f"index out of range: {start}")
    if start > stop:
        raise ValueError(f"invalid substring range. start: {start}, end: {stop}")
    return text[start:stop]


def trim(text: str) -> str:
    return text.strip()


def reverse(text: str) -> str:
    return text[::-1]


def join(parts: Sequence[Any], separator: str = "") -> str:
    if not all(isinstance(part, str) for part in parts):
        raise ValueError("no such overload")
    return separator.join(parts)


def quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def find(text: str, pattern: str) -> str:
    """Return the first match of a regular expression, "" if there is none."""
    found = find_all(text, pattern, 1)
    return found[0] if found else ""


def find_all(text: str, pattern: str, limit: int = -1) -> list[str]:
    """Return the matches of a regular expression, at most `limit` if that isn't negative."""
    import re

    from pinnace.api.cel.engine import check_pattern

    if why := check_pattern(pattern):
        raise ValueError(why)
    try:
        found = re.finditer(pattern, text, re.ASCII)
    except re.error as error:
        raise ValueError(f"invalid regular expression: {error}") from None
    matches = [match.group(0) for match in found]
    return matches if limit < 0 else matches[:limit]


# ---------------------------------------------------------------------------------------------------- format


def format_text(text: str, values: Sequence[Any]) -> str:
    """Return the text with %s, %d, %f, %e, %b, %x, %X, %o and %% filled in. Raises: ValueError."""
    parts: list[str] = []
    at, used = 0, 0
    while (start := text.find("%", at)) >= 0:
        parts.append(text[at:start])
        at = start + 1
        precision = 6
        if text[at : at + 1] == ".":
            stop = at + 1
            while text[stop : stop + 1].isdigit():
                stop += 1
            precision, at = int(text[at + 1 : stop] or 0), stop
        verb = text[at : at + 1]
        at += 1
        if verb == "%":
            parts.append("%")
            continue
        if used >= len(values):
            raise ValueError(f"index {used} out of range")
        parts.append(_verb(verb, values[used], precision))
        used += 1
    parts.append(text[at:])
    return "".join(parts)


def _verb(verb: str, value: Any, precision: int) -> str:
    render = _VERBS.get(verb)
    if render is None:
        raise ValueError(f'unrecognized formatting clause "{verb}"')
    return render(value, precision)


def _whole(value: Any, verb: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError(f"error during formatting: {verb} clause can only be used on integers")


def _decimal(value: Any, precision: int) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(_whole(value, "decimal"))


def _real(spec: str) -> Callable[[Any, int], str]:
    def render(value: Any, precision: int) -> str:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError("error during formatting: fixed-point clause can only be used on doubles")
        return f"{value:.{min(precision, 100)}{spec}}"

    return render


def _hex(value: Any, precision: int) -> str:
    if isinstance(value, str):
        return value.encode().hex()
    if isinstance(value, bytes | bytearray):
        return bytes(value).hex()
    return f"{_whole(value, 'hex'):x}"


def _binary(value: Any, precision: int) -> str:
    return str(int(value)) if isinstance(value, bool) else f"{_whole(value, 'binary'):b}"


_VERBS: dict[str, Callable[[Any, int], str]] = {
    "s": lambda value, precision: render_value(value),
    "d": _decimal,
    "f": _real("f"),
    "e": _real("e"),
    "b": _binary,
    "x": _hex,
    "X": lambda value, precision: _hex(value, precision).upper(),
    "o": lambda value, precision: f"{_whole(value, 'octal'):o}",
}


def render_value(value: Any) -> str:
    """Return a value as %s shows it."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case str():
            return value
        case float():
            return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
        case bytes() | bytearray():
            return bytes(value).decode(errors="replace")
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
        case timedelta():
            return f"{value.total_seconds():g}s"
        case dict():
            from pinnace.api.cel.tagged import text_of

            told = text_of(value)
            if told is not None:
                return told
            return (
                "{"
                + ", ".join(f"{render_value(k)}: {render_value(v)}" for k, v in sorted(value.items()))
                + "}"
            )
        case list() | tuple():
            return "[" + ", ".join(render_value(one) for one in value) + "]"
    return str(value)
