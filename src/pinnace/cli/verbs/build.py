"""`pinnace build` sends the request and prints what comes of it, as `docker build --progress=plain` does; `pinnace builder`."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import click

from pinnace.base.errors import UserError
from pinnace.cli.client import Client, parse_error_document
from pinnace.cli.output import say
from pinnace.cli.units import render_size

PROGRESS_EVERY_S = 2.0  # how often a long COPY says how far it is


@click.command("build")
@click.argument("context")
@click.option("-t", "--tag", "names", multiple=True, metavar="NAME", help="Name of the image (name:tag).")
@click.option("-f", "--file", "dockerfile", metavar="FILE", help="The Dockerfile (CONTEXT/Dockerfile).")
@click.option("--build-arg", "build_args", multiple=True, metavar="NAME=VALUE", help="Value of an ARG.")
@click.option("--target", default="", metavar="STAGE", help="Build this stage.")
@click.option("--label", "labels", multiple=True, metavar="NAME=VALUE", help="Label of the image.")
@click.option("--no-cache", is_flag=True, help="Do every step anew.")
@click.option(
    "--host-ca", is_flag=True, help="Mount the host's CA bundle for RUN steps; it stays out of the image."
)
@click.option("-q", "--quiet", is_flag=True, help="Print only the image's id.")
def build_command(
    context: str,
    names: tuple[str, ...],
    dockerfile: str | None,
    build_args: tuple[str, ...],
    target: str,
    labels: tuple[str, ...],
    no_cache: bool,
    host_ca: bool,
    quiet: bool,
) -> int:
    """Build an image from a Dockerfile."""
    folder = os.path.abspath(context)
    body = {
        "context": folder,
        "dockerfile": os.path.abspath(dockerfile) if dockerfile else os.path.join(folder, "Dockerfile"),
        "names": list(names),
        "target": target,
        "build_args": _read_args(build_args),
        "labels": dict(_pair(label, "label") for label in labels),
        "no_cache": no_cache,
        "host_ca": host_ca,
    }
    printer = Printer(quiet=quiet)
    for news in Client().open("POST", "/pinnace/v1/build", body).lines():
        if news["type"] == "error":
            raise parse_error_document(news, 400)
        printer.show(news)
    return 0


@click.group("builder")
def builder_command() -> None:
    """Look after the build cache."""


@builder_command.command("prune")
def prune_command() -> None:
    """Forget all cached steps, and remove the layers that no image needs."""
    done = Client().post("/pinnace/v1/build/prune")
    print(f"Forgot {done['forgotten']} cached steps, reclaimed {render_size(done['freed'])}")


def _read_args(items: tuple[str, ...]) -> dict[str, str]:
    """Return the build args; one without a value takes it from the environment, as with Docker."""
    values = {}
    for item in items:
        name, equals, value = item.partition("=")
        if equals:
            values[name] = value
        elif name in os.environ:
            values[name] = os.environ[name]
    return values


def _pair(text: str, what: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name:
        raise UserError(f"{text!r} is no {what}", "NAME=VALUE")
    return name, value if equals else ""


class Printer:
    """Prints news as lines: `#3 [builder 2/5] RUN …`, output with its step's number, `#3 DONE 1.2s`."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._numbers: dict[str, int] = {}
        self._rest: dict[str, str] = {}
        self._next: dict[str, float] = {}

    def show(self, news: dict[str, Any]) -> None:
        match news["type"]:
            case "built":
                self._show_built(news)
            case "step" if not self._quiet:
                self._show_step(news)
            case "output" if not self._quiet:
                self._show_output(news["id"], news["text"])
            case "warning":
                say(news["text"])
            case _:
                pass

    def _show_step(self, news: dict[str, Any]) -> None:
        known = news["id"] in self._numbers
        number = self._numbers.setdefault(news["id"], len(self._numbers) + 1)
        if not known:
            say(
                f"#{number} [{news['stage']} {news['number']}/{news['total']}] {' '.join(news['text'].split())}"
            )
        self._flush(news["id"])
        if news["state"] == "cached":
            say(f"#{number} CACHED")
        elif news["state"] == "done":
            weight = f", {render_size(news['bytes'])}" if news["bytes"] else ""
            say(f"#{number} DONE {news['seconds']:.1f}s{weight}")
        elif news["state"] == "failed":
            say(f"#{number} ERROR")
        elif news["bytes"]:
            self._show_progress(number, news)

    def _show_progress(self, number: int, news: dict[str, Any]) -> None:
        now = time.monotonic()
        if now >= self._next.setdefault(news["id"], now + PROGRESS_EVERY_S):
            self._next[news["id"]] = now + PROGRESS_EVERY_S
            what = "reading" if news["state"] == "reading" else "copying"
            say(f"#{number} {what} {render_size(news['bytes'])}")

    def _show_output(self, step: str, text: str) -> None:
        *lines, rest = (self._rest.get(step, "") + text).split("\n")
        self._rest[step] = rest
        for line in lines:
            say(f"#{self._numbers[step]} {line.rstrip()}")

    def _flush(self, step: str) -> None:
        rest = self._rest.pop(step, "")
        if rest:
            say(f"#{self._numbers[step]} {rest}")

    def _show_built(self, news: dict[str, Any]) -> None:
        if self._quiet:
            print(news["image"])
            return
        for stage in news["stages"]:
            say(f"stage {stage['name']}: {render_size(stage['size'])} in {stage['layers']} layers")
        named = ", ".join(news["names"]) or "without a name"
        say(
            f"built {news['image']} ({named}) in {news['seconds']:.1f}s, {news['cached']} of {news['steps']} steps cached"
        )
        sys.stdout.flush()
