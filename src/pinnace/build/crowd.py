"""Decides when a build context is so large that a person should know, and what is said: its largest entries, and the
`.dockerignore` lines to copy. Pure; the facts come from `survey`.

Source of the bounds: what takes longer to read than a person waits without wondering.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Sequence
from typing import Protocol

from pinnace.build.words import render_bytes

SIZE_MAX = 500_000_000
FILES_MAX = 50_000
SHOWN = 6
SHARE_MIN = 0.02  # an entry that holds less of the context than this is not worth a line


class Entry(Protocol):
    """What lies at or below a path. Units: bytes."""

    @property
    def path(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def files(self) -> int: ...
    @property
    def is_folder(self) -> bool: ...


# What hardly ever belongs into an image, by the name of the last part of its path → the line that hides it anywhere.
NEVER: dict[str, str] = {
    ".git": ".git",
    ".hg": ".hg",
    ".svn": ".svn",
    ".venv": "**/.venv",
    "venv": "**/venv",
    "env": "**/env",
    ".conda": "**/.conda",
    "node_modules": "**/node_modules",
    "__pycache__": "**/__pycache__",
    ".cache": "**/.cache",
    ".pytest_cache": "**/.pytest_cache",
    ".mypy_cache": "**/.mypy_cache",
    ".ruff_cache": "**/.ruff_cache",
    ".tox": "**/.tox",
    ".nox": "**/.nox",
    ".terraform": "**/.terraform",
    ".gradle": "**/.gradle",
    ".idea": ".idea",
    ".ipynb_checkpoints": "**/.ipynb_checkpoints",
    ".dvc": ".dvc",
    "wandb": "wandb",
    "mlruns": "mlruns",
    "lightning_logs": "lightning_logs",
    "target": "target",
    ".next": "**/.next",
}
# What an image may need, but is often there by mistake: said as that.
OFTEN = re.compile(
    r"^(data|datasets?|checkpoints?|ckpts?|weights|models?|outputs?|runs|logs?|results|artifacts|tmp|dumps?|backups?|dist|build)$"
)
LARGE_KINDS = re.compile(
    r"\.(safetensors|pt|pth|ckpt|gguf|onnx|h5|npy|npz|parquet|tar|tgz|gz|zip|zst|iso|qcow2|img|mp4|csv|log)$"
)


def is_known(path: str) -> bool:
    """Say whether an entry has a name that hardly ever belongs into an image."""
    return posixpath.basename(path) in NEVER


def is_crowded(size: int, files: int) -> bool:
    """Say whether a person should know before it is read."""
    return size > SIZE_MAX or files > FILES_MAX


def announce(
    step: str,
    size: int,
    files: int,
    entries: Sequence[Entry],
    *,
    is_whole: bool,
    ignore_name: str,
    has_ignore: bool,
) -> str:
    """Return what is said of a context that is crowded.

    Example: "COPY . . takes 21.4 GB in 120,345 files of the build context; most of it:" and lines.
    """
    least = "" if is_whole else "more than "
    shown = choose_entries(entries, size, files)
    lines = [f"{step} takes {least}{render_bytes(size)} in {files:,} files of the build context; most of it:"]
    lines += [_show(one) for one in shown]
    never, often = choose_lines(shown, entries)
    if never or often:
        lines.append(f"lines for {ignore_name}{'' if has_ignore else ' (there is none yet)'}:")
        lines += [f"  {line}" for line in never]
    if often:
        lines += ["  # unless the image needs it:", *(f"  {line}" for line in often)]
    return "\n".join(lines)


def _show(one: Entry) -> str:
    what = f"{one.path}/ ({one.files:,} files)" if one.is_folder else one.path
    return f"  {render_bytes(one.size):>8}  {what}"


def choose_entries(entries: Sequence[Entry], size: int, files: int) -> list[Entry]:
    """Return the entries to show, largest first: none of which is but a part of one that says as much.

    One file of four is not shown for its share of the files: it is no reason for a context of too many.
    """

    def share(one: Entry) -> float:
        return max(one.size / size if size else 0.0, one.files / max(files, FILES_MAX))

    chosen: list[Entry] = []
    for one in sorted(entries, key=lambda e: (-share(e), e.path.count("/"))):
        if share(one) < SHARE_MIN or len(chosen) == SHOWN:
            break
        if any(_is_within(one.path, above.path) for above in chosen):
            continue
        # A folder of which one part makes almost all, with a name that says more, gives way to that part.
        best = _inner(one, entries, share)
        if not any(_is_within(best.path, above.path) for above in chosen):
            chosen.append(best)
    return chosen


def _inner(one: Entry, entries: Sequence[Entry], share: Callable[[Entry], float]) -> Entry:
    if is_known(one.path) or not one.is_folder:
        return one
    parts = [
        e
        for e in entries
        if _is_within(e.path, one.path) and e.path != one.path and share(e) >= 0.8 * share(one)
    ]
    known = [e for e in parts if is_known(e.path)]
    if known:
        return min(known, key=lambda e: e.path.count("/"))
    folders = [e for e in parts if e.is_folder or e.size >= 0.8 * one.size]
    return max(folders, key=lambda e: e.path.count("/")) if folders else one


def choose_lines(shown: Sequence[Entry], entries: Sequence[Entry]) -> tuple[list[str], list[str]]:
    """Return the lines to copy: those for what never belongs into an image, those for what is often there by mistake."""
    never: dict[str, None] = {}
    often: dict[str, None] = {}
    for one in shown:
        known = [part for part in one.path.split("/") if part in NEVER]
        if known:
            never[NEVER[known[0]]] = None
        elif one.is_folder and OFTEN.match(posixpath.basename(one.path)):
            often[one.path] = None
        elif OFTEN.match(posixpath.basename(posixpath.dirname(one.path))):
            often[posixpath.dirname(one.path)] = None
        elif LARGE_KINDS.search(one.path) and not one.is_folder:
            folder, name = posixpath.split(one.path)
            often[posixpath.join(folder, "*" + posixpath.splitext(name)[1])] = None
        else:
            often[one.path] = None
    never |= {NEVER[posixpath.basename(one.path)]: None for one in entries if is_known(one.path)}
    return list(never), [line for line in often if line not in never]


def _is_within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")
