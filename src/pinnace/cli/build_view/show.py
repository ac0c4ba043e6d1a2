"""Shows a build's news in the way that was chosen, and what came of it at the end. A doer, called by `cli/verbs/build`."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol

from pinnace.cli.build_view.choose import wants_colour
from pinnace.cli.build_view.plain import JsonPrinter, Printer, QuietPrinter
from pinnace.cli.client import parse_error_document
from pinnace.cli.output import say
from pinnace.cli.units import render_size


class View(Protocol):
    """Where news go while a build goes on."""

    def show(self, news: dict[str, Any]) -> None: ...


VIEWS: dict[str, Callable[[], View]] = {"plain": Printer, "quiet": QuietPrinter, "rawjson": JsonPrinter}


def show_build(news: Iterable[dict[str, Any]], mode: str, title: str, environ: Mapping[str, str]) -> None:
    """Show all news; then the image, the weights and the explanation. Raises: PinnaceError that ended the build."""
    built: dict[str, Any] = {}
    explained: list[str] = []
    failure: dict[str, Any] = {}
    with _open_view(mode, title, environ) as view:
        for one in news:
            view.show(one)
            match one["type"]:
                case "built":
                    built = one
                case "explained":
                    explained = one["lines"]
                case "error":
                    failure = one
    if explained and mode != "rawjson":
        print("\n".join(explained))
    if failure:
        raise parse_error_document(failure, 400)
    if built and mode != "rawjson":
        _show_built(built, is_quiet=mode == "quiet", has_weights=bool(explained))
    sys.stdout.flush()


@contextlib.contextmanager
def _open_view(mode: str, title: str, environ: Mapping[str, str]) -> Iterator[View]:
    if mode == "tty":
        from pinnace.cli.build_view.lines import Style
        from pinnace.cli.build_view.terminal import LiveView

        is_unicode = (sys.stderr.encoding or "").lower().replace("-", "") == "utf8"
        with LiveView(sys.stderr, title, Style(wants_colour(environ), is_unicode)) as live:
            yield live
    else:
        yield VIEWS[mode]()


def _show_built(built: dict[str, Any], *, is_quiet: bool, has_weights: bool) -> None:
    if is_quiet:
        print(built["image"])
        return
    for stage in () if has_weights else built["stages"]:
        layers = "1 layer" if stage["layers"] == 1 else f"{stage['layers']} layers"
        say(f"stage {stage['name']}: {render_size(stage['size'])} in {layers}")
    unnamed = "without a name" if built.get("is_stored", True) else "not kept as an image"
    named = ", ".join(built["names"]) or unnamed
    seconds = f"{built['seconds']:.1f}s"
    say(f"built {built['image']} ({named}) in {seconds}, {built['cached']} of {built['steps']} steps cached")
