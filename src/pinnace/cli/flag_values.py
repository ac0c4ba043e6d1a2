"""Decides what `--flag=true` and `--flag=false` mean: the flag, or nothing. Pure but for click's description of a command.

Docker's and Kubernetes' commands take flags in this form, and scripts write them so; click takes a flag's name only.
Called by `group` before click reads a verb's words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import click

# Source: Go's strconv.ParseBool
VALUES = {
    word: value
    for value, words in ((True, "1 t T TRUE true True"), (False, "0 f F FALSE false False"))
    for word in words.split()
}


def read_flag_values(command: click.Command, words: Sequence[str]) -> list[str]:
    """Return a command's words with `--flag=true` as `--flag`, and without what `--flag=false` says.

    Words that are not the command's own (after `--`, or of a container's command) stay as they are.
    """
    options = {name: one for one in command.params if isinstance(one, click.Option) for name in one.opts}
    may_mix = command.context_settings.get("allow_interspersed_args", True)
    read: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        option = options.get(name)
        if word == "--" or not (may_mix or word.startswith("-")):
            return [*read, word, *rest]
        if equals and option is not None and option.is_flag and name.startswith("--") and value in VALUES:
            read += [name] if VALUES[value] else option.secondary_opts[:1]
            continue
        read.append(word)
        if rest and not equals and _takes_next(word, options):
            read.append(rest.pop(0))
    return read


def _takes_next(word: str, options: Mapping[str, click.Option]) -> bool:
    """Say whether the next word is the value of the option in this one: `--name VALUE`, `-n VALUE`, `-itn VALUE`."""
    if word.startswith("--"):
        option = options.get(word)
        return option is not None and not option.is_flag and not option.count
    for place, letter in enumerate(word[1:], start=2) if word.startswith("-") else ():
        option = options.get(f"-{letter}")
        if option is not None and not option.is_flag and not option.count:
            return place == len(word)
    return False
