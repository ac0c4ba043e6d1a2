"""Decides what `history` shows: the steps of an image, with what each of them weighs. Pure.

Source: moby, daemon/images/image_history.go; Docker Engine API v1.47, HistoryResponseItem.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pinnace.base.errors import UserError
from pinnace.base.times import parse_time
from pinnace.image.layers import Layer
from pinnace.image.views import Image

MISSING = "<missing>"  # Docker's word for a step that is no image of its own


def history_rows(image: Image, layers: Sequence[Layer]) -> list[dict[str, Any]]:
    """Return the steps as Docker's API has them, newest first. `layers` are the image's, bottom first.

    Units: bytes; seconds since 1970. Raises: UserError when the history names more layers than there are.
    """
    rows: list[dict[str, Any]] = []
    used = 0
    for step in image.config.history or ():
        size = 0
        if not step.empty_layer:
            if used >= len(layers):
                raise UserError(
                    f"the history of {image.familiar} names more layers than the {len(layers)} that it has"
                )
            size = layers[used].size
            used += 1
        rows.append(
            {
                "Id": MISSING,
                "Created": int(_seconds(step.created)),
                "CreatedBy": step.created_by,
                "Tags": None,
                "Size": size,
                "Comment": step.comment,
            }
        )
    rows.reverse()
    if rows:
        rows[0] |= {"Id": image.id, "Tags": [ref.familiar for ref in image.references if ref.tag] or None}
    return rows


def _seconds(text: str) -> float:
    try:
        return parse_time(text) if text else 0.0
    except ValueError:
        return 0.0
