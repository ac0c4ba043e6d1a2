"""Decides how containers and volumes may be called, and what they are called when nobody says so. Pure.

Source: moby, daemon/names/names.go (the pattern and the words of the refusal).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection

from pinnace.base.chance import Chance
from pinnace.base.errors import UserError

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
OBJECT_NAME_CHARACTERS = 40
OBJECT_NAME_DIGITS = 10
ANONYMOUS_DIGITS = 64

ADJECTIVES = (
    *(
        "amber",
        "ample",
        "apt",
        "blithe",
        "bold",
        "brave",
        "breezy",
        "bright",
        "brisk",
        "calm",
        "candid",
        "clear",
    ),
    *(
        "crisp",
        "daring",
        "deft",
        "eager",
        "early",
        "easy",
        "fair",
        "fleet",
        "fresh",
        "gentle",
        "glad",
        "golden",
    ),
    *(
        "hardy",
        "hearty",
        "jolly",
        "keen",
        "kind",
        "level",
        "light",
        "lively",
        "lucid",
        "merry",
        "mild",
        "neat",
    ),
    *("nimble", "noble", "patient", "plain", "prompt", "proud", "quick", "quiet", "ready", "robust", "salty"),
    *(
        "sharp",
        "silver",
        "sleek",
        "snug",
        "solid",
        "spry",
        "stable",
        "steady",
        "sturdy",
        "sunny",
        "swift",
        "tidy",
    ),
    *("trim", "true", "vivid", "warm", "watchful", "windy", "witty"),
)
# People who built, sailed, charted or computed.
SURNAMES = (
    *("amundsen", "anning", "baret", "beaufort", "bering", "bligh", "bowditch", "brunel", "cabot", "cheng", "chichester"),
    *("cook", "cousteau", "dampier", "drake", "earhart", "earle", "erikson", "fitzroy", "flinders", "fourier", "franklin"),
    *("froude", "gauss", "harrison", "henson", "herschel", "hooke", "hopper", "hudson", "humboldt", "huygens", "jeanne"),
    *("kepler", "knox", "laplace", "leavitt", "lovelace", "magellan", "maury", "mercator", "meitner", "nansen", "napier"),
    *("noether", "plimsoll", "ptolemy", "rennell", "ross", "scoresby", "shackleton", "slocum", "somerville", "tabei"),
    *("tasman", "tereshkova", "tharp", "turing", "vancouver", "vespucci", "wegener", "zheng"),
)  # fmt: skip


def check_name(name: str, what: str = "container") -> str:
    """Return the name without a leading slash. Raises: UserError for one that can't be used."""
    name = name.removeprefix("/")
    if not _NAME.fullmatch(name):
        raise UserError(
            f"Invalid {what} name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
            "two characters at least, beginning with a letter or digit",
        )
    return name


def generate_name(taken: Collection[str], chance: Chance) -> str:
    """Return a free name, an adjective and a surname. Example: "steady_lovelace"; with a digit when that is taken."""
    for attempt in range(10):
        name = f"{chance.choice(ADJECTIVES)}_{chance.choice(SURNAMES)}"
        if attempt > 3:
            name += str(chance.integer(0, 9))
        if name not in taken:
            return name
    return f"{chance.choice(ADJECTIVES)}_{chance.hex(12)}"


def volume_object_name(name: str) -> str:
    """Return the name of a volume's object: readable, and different for every volume.

    Example: "My_Data" gives "my-data-" and ten digits.
    """
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower())[:OBJECT_NAME_CHARACTERS].strip("-")
    return f"{slug}-{hashlib.sha256(name.encode()).hexdigest()[:OBJECT_NAME_DIGITS]}"


def is_anonymous(name: str) -> bool:
    """Say whether a volume's name is one that nobody chose: 64 hexadecimal digits."""
    return re.fullmatch(rf"[0-9a-f]{{{ANONYMOUS_DIGITS}}}", name) is not None
