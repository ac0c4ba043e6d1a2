"""Asks the daemon for pulls, and shows what comes of them: for `pull`, and for `run` and `create` with a missing image."""

from __future__ import annotations

import sys

from pinnace.base.credentials import registry_of
from pinnace.cli.client import Client, parse_error_document
from pinnace.cli.credentials import Credentials
from pinnace.cli.layers import Layers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TextIO


def pull_image(
    client: Client,
    reference: str,
    *,
    platform: str = "",
    all_tags: bool = False,
    quiet: bool = False,
    stream: TextIO | None = None,
) -> list[dict[str, Any]]:
    """Pull an image, or all tags of a repository; return what was pulled. Raises: PinnaceError as the daemon said.

    Progress and Docker's lines go to `stream`, which is standard output.
    """
    out = stream or sys.stdout
    body = {
        "reference": reference,
        "platform": platform,
        "all_tags": all_tags,
        "credentials": Credentials().find_for(registry_of(reference)),
    }
    layers = Layers(out)
    pulled: list[dict[str, Any]] = []
    try:
        for news in client.open("POST", "/pinnace/v1/pull", body).lines():
            match news["type"]:
                case "error":
                    raise parse_error_document(news, 500)
                case "begin" if not quiet:
                    print(
                        f"{news['tag'] or news['reference']}: Pulling from {news['path']}",
                        file=out,
                        flush=True,
                    )
                case "layer" if not quiet:
                    layers.show(news)
                case "pulled":
                    pulled.append(news)
                    if not quiet:
                        layers.close()
                        print(f"Digest: {news['digest']}", file=out, flush=True)
                case _:
                    pass
    finally:
        layers.close()
    if not quiet and pulled:
        print(f"Status: {describe_status(pulled, reference if all_tags else '')}", file=out, flush=True)
    return pulled


def describe_status(pulled: list[dict[str, Any]], repository: str) -> str:
    """Return what Docker says at the end; of all tags of `repository` together, if it is given."""
    name = repository or pulled[-1]["reference"]
    if any(one["is_new"] for one in pulled):
        return f"Downloaded newer image for {name}"
    return f"Image is up to date for {name}"
