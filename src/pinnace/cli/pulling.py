"""Asks the daemon for pulls, and shows what comes of them: for `pull`, and for `run` and `create` with a missing image."""

from __future__ import annotations

import sys

from pinnace.base.credentials import registry_of
from pinnace.base.errors import ApiError, PinnaceError, Reason, UserError
from pinnace.cli.client import Client, parse_error_document
from pinnace.cli.credentials import Credentials
from pinnace.cli.layers import Layers
from pinnace.cli.output import say

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
    begun = ""  # told once the registry has the image
    pulled: list[dict[str, Any]] = []
    try:
        for news in client.open("POST", "/pinnace/v1/pull", body).lines():
            match news["type"]:
                case "error":
                    raise parse_error_document(news, 500)
                case "begin":
                    begun = f"{news['tag'] or news['reference']}: Pulling from {news['path']}"
                case "layer" if not quiet:
                    begun = _tell(begun, out)
                    layers.show(news)
                case "pulled":
                    pulled.append(news)
                    if not quiet:
                        _tell(begun, out)
                        layers.close()
                        _tell(f"Digest: {news['digest']}", out)
                case _:
                    pass
    finally:
        layers.close()
    if not quiet and pulled:
        _tell(f"Status: {describe_status(pulled, reference if all_tags else '')}", out)
    return pulled


def _tell(text: str, out: TextIO) -> str:
    if text:
        print(text, file=out, flush=True)
    return ""


def pull_missing(client: Client, reference: str, error: PinnaceError, *, platform: str = "") -> None:
    """Pull an image that was found to be missing; `error` has said so. Progress goes to standard error.

    Raises: PinnaceError as the daemon said, with what to do without a registry too.
    """
    say(error.message)
    try:
        pull_image(client, reference, platform=platform, stream=sys.stderr)
    except PinnaceError as failed:
        failed.hint = " otherwise ".join(filter(None, (failed.hint, error.hint)))
        raise


class ImageWish:
    """When the image of a container is pulled: "always", "missing" or "never". Raises: UserError for another word."""

    def __init__(self, when: str, platform: str, image: str) -> None:
        if when not in ("always", "missing", "never"):
            raise UserError(f'invalid pull option: \'{when}\': must be one of "always", "missing" or "never"')
        self._when = when
        self._platform = platform
        self._image = image

    def pull_first(self, client: Client) -> None:
        """Pull, before anything is asked for: always, and when another platform's image is here under the name."""
        if self._when == "always" or (self._when == "missing" and self._is_other_platform(client)):
            pull_image(client, self._image, platform=self._platform, stream=sys.stderr)

    def pull_missing(self, client: Client, error: PinnaceError) -> None:
        """Pull what was found to be missing, unless that is not wanted. Raises: `error` then."""
        if self._when == "never":
            raise error
        pull_missing(client, self._image, error, platform=self._platform)

    def post(self, client: Client, path: str, request: dict[str, Any]) -> dict[str, Any]:
        """Send a request that needs the image; pull it and send again when it is missing."""
        try:
            answer: dict[str, Any] = client.post(path, request)
        except ApiError as error:
            if error.reason is not Reason.NOT_FOUND or error.kind != "images":
                raise
            self.pull_missing(client, error)
            answer = client.post(path, request)
        return answer

    def _is_other_platform(self, client: Client) -> bool:
        if not self._platform:
            return False
        from urllib.parse import quote

        try:
            found = client.get(f"/pinnace/v1/images/{quote(self._image, safe='')}")
        except ApiError:
            return False
        has = [found.get("Os", ""), found.get("Architecture", ""), found.get("Variant", "")]
        wanted = self._platform.split("/")
        return any(mine != theirs for mine, theirs in zip(has, wanted, strict=False) if mine)


def describe_status(pulled: list[dict[str, Any]], repository: str) -> str:
    """Return what Docker says at the end; of all tags of `repository` together, if it is given."""
    name = repository or pulled[-1]["reference"]
    if any(one["is_new"] for one in pulled):
        return f"Downloaded newer image for {name}"
    return f"Image is up to date for {name}"
