"""`pinnace image`: the verbs about images under the names that Docker's group has, and `prune`."""

from __future__ import annotations

import importlib
from urllib.parse import urlencode

import click

from pinnace.cli.client import Client
from pinnace.cli.verbs.images import confirm, print_removal, say_reclaimed, show_documents

# name in the group → verb
VERBS = {
    **{name: name for name in ("build", "history", "import", "load", "pull", "push", "save", "tag")},
    "ls": "images",
    "list": "images",
    "rm": "rmi",
    "remove": "rmi",
}
OWN = ("inspect", "prune")
HIDDEN = ("list", "remove")


class _Group(click.Group):
    """The commands of other files, imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*VERBS, *OWN} - {*HIDDEN})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in OWN:
            return {"inspect": inspect_command, "prune": prune_command}[cmd_name]
        from pinnace.cli.main import VERBS as ALL

        for verb in ALL:
            if verb.name == VERBS.get(cmd_name):
                module = importlib.import_module(f"pinnace.cli.verbs.{verb.file}")
                command: click.Command = getattr(module, f"{verb.name}_command")
                return command
        return None


@click.group("image", cls=_Group)
def image_command() -> None:
    """List, show, move, prune and remove images."""


@click.command("prune")
@click.option("-a", "--all", "every", is_flag=True, help="All that no container uses, not only unnamed ones.")
@click.option("-f", "--force", is_flag=True, help="Do not ask.")
@click.option(
    "--filter", "filters", multiple=True, metavar="KEY=VALUE", help="Only some: until=24h, label=KEY[=VALUE]."
)
def prune_command(every: bool, force: bool, filters: tuple[str, ...]) -> None:
    """Remove images that nobody uses."""
    what = "all images without at least one container associated to them" if every else "all dangling images"
    if not confirm(f"This will remove {what}.", force=force):
        return
    prune_images(Client(), every=every, filters=filters)


def prune_images(client: Client, *, every: bool, filters: tuple[str, ...], total: bool = True) -> int:
    """Prune, print what went, and return the bytes that this gave back."""
    query = [*([("all", "1")] if every else []), *(("filter", text) for text in filters)]
    done = client.post(f"/pinnace/v1/image-prune?{urlencode(query)}")
    if done["untagged"] or done["deleted"]:
        print("Deleted Images:")
        print_removal(done, ("untagged", "deleted"))
        print()
    if total:
        say_reclaimed(done["freed"])
    return int(done["freed"])


@click.command("inspect")
@click.argument("names", nargs=-1, required=True)
@click.option(
    "-f", "--format", "form", default="", metavar="FORM", help="json, or a template: '{{json .Config}}'."
)
@click.option("--platform", default="", metavar="OS/ARCH", help="Accepted for Docker's sake.")
def inspect_command(names: tuple[str, ...], form: str, platform: str) -> int:
    """Show images as JSON, in Docker's shape."""
    return show_documents(names, ("image",), form)
