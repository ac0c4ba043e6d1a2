"""`pinnace build` sends the request and shows what comes of it (`cli/build_view`); `pinnace builder`."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from pinnace.base.errors import PinnaceError, UserError
from pinnace.cli.build_caches import describe_cache
from pinnace.cli.build_commands import command_flags, open_commands
from pinnace.cli.build_results import Output, Receiver, read_outputs
from pinnace.cli.build_view.choose import choose_mode
from pinnace.cli.build_view.show import show_build
from pinnace.cli.client import Client
from pinnace.cli.contexts import find_agent, read_context, read_named_contexts, standard_input
from pinnace.cli.credentials import Credentials
from pinnace.cli.output import say

EPOCH_ARG = "SOURCE_DATE_EPOCH"  # Source: docker buildx build: taken from the environment where it is set


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
@click.option(
    "--explain", is_flag=True, help="Say why each step was done or cached, and what stages and layers weigh."
)
@click.option(
    "--progress", default="", metavar="WAY", help="How it is shown: auto, plain, tty, quiet or rawjson."
)
@click.option("-q", "--quiet", is_flag=True, help="Print only the image's id.")
@click.option(
    "--pull", is_flag=True, help="Ask the registries for the base images, also those that are here."
)
@click.option("--platform", "platforms", multiple=True, metavar="OS/ARCH", help="What the image is made for.")
@click.option(
    "-o",
    "--output",
    "outputs",
    multiple=True,
    metavar="WHAT",
    help="What becomes of it: a folder, type=tar,…",
)
@click.option("--push", is_flag=True, help="Push the image; short for --output type=registry.")
@click.option("--load", is_flag=True, hidden=True)
@command_flags
@click.option("--no-cache-filter", multiple=True, metavar="STAGE", help="Do every step of this stage anew.")
@click.option(
    "--annotation", "annotations", multiple=True, metavar="KEY=VALUE", help="Annotation of the manifest."
)
# Of Docker's classic builder: with BuildKit `docker build` takes them too, and they do nothing.
@click.option("--rm", is_flag=True, hidden=True, expose_value=False)
@click.option("--force-rm", is_flag=True, hidden=True, expose_value=False)
@click.option("--compress", is_flag=True, hidden=True, expose_value=False)
@click.option("--provenance", default="", hidden=True)
@click.option("--sbom", default="", hidden=True)
@click.option("--attest", multiple=True, hidden=True)
@click.option(
    "--cache-from", multiple=True, metavar="FROM", help="Another place's cache: an image, type=…,…."
)
@click.option(
    "--cache-to", multiple=True, metavar="TO", help="Write the cache: type=registry,ref=NAME,mode=max,…."
)
@click.option("--iidfile", default="", metavar="FILE", help="Write the image's id to a file.")
@click.option("--metadata-file", default="", metavar="FILE", help="Write what came of it to a file, as JSON.")
@click.option(
    "--build-context",
    "contexts",
    multiple=True,
    metavar="NAME=WHAT",
    help="A further context: a folder, docker-image://REF, oci-layout://DIR, a repository or a tar.",
)
def build_command(
    context: str,
    names: tuple[str, ...],
    dockerfile: str | None,
    build_args: tuple[str, ...],
    target: str,
    labels: tuple[str, ...],
    no_cache: bool,
    host_ca: bool,
    explain: bool,
    progress: str,
    quiet: bool,
    pull: bool,
    platforms: tuple[str, ...],
    outputs: tuple[str, ...],
    push: bool,
    load: bool,
    no_cache_filter: tuple[str, ...],
    annotations: tuple[str, ...],
    provenance: str,
    sbom: str,
    attest: tuple[str, ...],
    cache_from: tuple[str, ...],
    cache_to: tuple[str, ...],
    iidfile: str,
    metadata_file: str,
    commands: dict[str, Any],
    contexts: tuple[str, ...],
) -> int:
    """Build an image from a Dockerfile."""
    _note_attestations(provenance, sbom, attest)
    client = Client()
    body = {
        "contexts": read_named_contexts(contexts),
        "names": list(names),
        "target": target,
        "build_args": _read_args(build_args),
        "labels": dict(_pair(label, "label") for label in labels),
        "no_cache": no_cache,
        "no_cache_stages": [one for text in no_cache_filter for one in text.split(",")],
        "annotations": dict(_annotation(text) for text in annotations),
        "host_ca": host_ca,
        "explain": explain,
        "pull": pull,
        "platforms": list(platforms) or _default_platforms(),
        "credentials": _find_credentials(),
        **click.get_current_context().with_resource(open_commands(commands)),
    }
    wanted = read_outputs(outputs, push=push, load=load)
    body["outputs"] = [output.describe() for output in wanted]
    body["cache_from"] = [describe_cache(text, "--cache-from") for text in cache_from]
    body["cache_to"] = [describe_cache(text, "--cache-to") for text in cache_to]
    wanted += [Output("local", cache["path"]) for cache in body["cache_to"] if cache["type"] == "local"]
    body |= read_context(context, dockerfile, client, standard_input())
    body["ssh"] |= find_agent(body, os.environ)
    receiver = Receiver(client, wanted, iidfile=iidfile, metadata_file=metadata_file)
    if receiver.takes_stdout and (quiet or explain or progress == "rawjson"):
        raise UserError(
            "an archive goes to standard output, so nothing else can: no --quiet, --explain or --progress=rawjson",
            "write it to a file: --output type=tar,dest=FILE",
        )
    mode = choose_mode(progress, os.environ, is_terminal=sys.stderr.isatty(), is_quiet=quiet)
    news = receiver.filter(client.open("POST", "/pinnace/v1/build", body).lines())
    show_build(news, mode, " ".join(names) or "an image", os.environ)
    return 0


def _annotation(text: str) -> tuple[str, str]:
    """Return a pair. Source: docker buildx build, --annotation: TYPE:KEY=VALUE, where the type is the manifest's here."""
    kind, colon, _ = text.partition("=")[0].partition(":")
    kind = kind.partition("[")[0]
    if colon and kind == "manifest":
        return _pair(text.partition(":")[2], "annotation")
    if colon and kind in ("index", "manifest-descriptor", "index-descriptor"):
        raise UserError(
            f"--annotation {text}: only a manifest can have annotations here", "manifest:KEY=VALUE"
        )
    return _pair(text, "annotation")


def _note_attestations(provenance: str, sbom: str, attest: tuple[str, ...]) -> None:
    """Attestations are not written; that they are not wanted is fine."""
    if attest or any(text.lower() not in ("", "false") for text in (provenance, sbom)):
        say("warning: attestations (--provenance, --sbom, --attest) are not supported: the image has none")


def _default_platforms() -> list[str]:
    """Return what DOCKER_DEFAULT_PLATFORM says. Source: docker build, --platform."""
    default = os.environ.get("DOCKER_DEFAULT_PLATFORM", "")
    return [default] if default else []


def _find_credentials() -> dict[str, dict[str, str]]:
    """Return the person's credentials; without them a build may still need none."""
    try:
        return Credentials().find_all()
    except PinnaceError as error:
        say(f"warning: building without registry credentials: {error.message}")
        return {}


def _read_args(items: tuple[str, ...]) -> dict[str, str]:
    """Return the build args; one without a value takes it from the environment, as with Docker."""
    values = {name: os.environ[name] for name in (EPOCH_ARG,) if os.environ.get(name)}
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
