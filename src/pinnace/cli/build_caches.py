"""What --cache-from and --cache-to say, as the daemon is told it. Pure. Source: docker buildx build, its flags."""

from __future__ import annotations

import os
from typing import Any

from pinnace.base.errors import UserError
from pinnace.cli.build_results import parse_pairs

ELSEWHERE = ("gha", "s3", "azblob")
IGNORED = frozenset(
    {"compression", "compression-level", "force-compression", "oci-mediatypes", "image-manifest"}
)
HINTS = {
    "--cache-from": "type=registry,ref=NAME, type=local,src=FOLDER, or the name of an image",
    "--cache-to": "type=registry,ref=NAME[,mode=max], type=local,dest=FOLDER[,mode=max], or type=inline",
}
FOLDERS = {"--cache-from": "src", "--cache-to": "dest"}


def describe_cache(text: str, flag: str) -> dict[str, Any]:
    """Return one place. Raises: UserError.

    Example: "--cache-from app:v1" is type=registry,ref=app:v1.
    """
    if "=" not in text:
        return {"type": "registry", "ref": text}
    fields: dict[str, str] = {}
    for name, value in parse_pairs(text, flag):
        fields[name] = value
    kind = fields.pop("type", "")
    mode = fields.pop("mode", "min")
    ignore_error = fields.pop("ignore-error", "false").lower() in ("true", "1")
    if kind in ELSEWHERE:
        raise UserError(f"{flag} type={kind} is not supported", HINTS[flag])
    if kind not in ("registry", "local", "inline") or (kind == "inline" and flag == "--cache-from"):
        raise UserError(
            f"{flag} {text}: unknown type {kind!r}" if kind else f"{flag} {text}: type is required",
            HINTS[flag],
        )
    if mode not in ("min", "max"):
        raise UserError(f"{flag} {text}: mode is min or max, not {mode!r}", HINTS[flag])
    place: dict[str, Any] = {"type": kind}
    if flag == "--cache-to":
        place |= {"mode": mode, "ignore_error": ignore_error}
    needed = {"registry": "ref", "local": FOLDERS[flag]}.get(kind)
    if needed:
        value = fields.pop(needed, "")
        if not value:
            raise UserError(f"{flag} {text}: {needed} is required", HINTS[flag])
        place |= {"ref": value} if kind == "registry" else {"path": os.path.abspath(value)}
    fields = {
        name: value for name, value in fields.items() if name not in IGNORED and name not in ("tag", "digest")
    }
    if fields:
        raise UserError(f"{flag} {text}: there is no option {next(iter(fields))!r} here", HINTS[flag])
    return place
