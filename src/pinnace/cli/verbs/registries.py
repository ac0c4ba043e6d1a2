"""The verbs that speak to registries: `login`, `logout`, `pull`, `push`. Words, output and exit codes are Docker's."""

from __future__ import annotations

import sys

import click

from pinnace.base.credentials import HUB_SERVER, Credential, domain_of, registry_of, server_of
from pinnace.base.errors import PinnaceError, UserError
from pinnace.cli.client import Client, parse_error_document
from pinnace.cli.credentials import Credentials, describe
from pinnace.cli.layers import Layers
from pinnace.cli.output import say
from pinnace.cli.pulling import pull_image

FAILURE = 1  # Source: docker/cli: whatever a registry says, these verbs end with 1


@click.command("login")
@click.argument("server", required=False, default="")
@click.option("-u", "--username", default="", metavar="NAME", help="Who you are.")
@click.option(
    "-p", "--password", default="", metavar="PASSWORD", help="Password or token; see --password-stdin."
)
@click.option("--password-stdin", is_flag=True, help="Take the password from standard input.")
def login_command(server: str, username: str, password: str, password_stdin: bool) -> int:
    """Keep the credentials of a registry (docker.io when none is named), once the registry has taken them."""
    try:
        return _log_in(server, username, password, from_stdin=password_stdin)
    except PinnaceError as error:
        return _fail(error)


def _log_in(server: str, username: str, password: str, *, from_stdin: bool) -> int:
    key = server_of(server)
    kept = Credentials()
    if password:
        say("WARNING! Using --password via the CLI is insecure. Use --password-stdin.")
        if from_stdin:
            raise UserError("conflicting options: cannot specify both --password and --password-stdin")
    if from_stdin:
        if not username:
            raise UserError("the --password-stdin option requires --username to be set")
        password = sys.stdin.read().rstrip("\r\n")
    Client().connect().close()  # before anybody types a password for nothing
    if not username and not password and (known := kept.find(key)) is not None:
        who = f" [Username: {known.username}]" if known.username else ""
        say(f"Authenticating with existing credentials...{who}")
        try:
            return _verify_and_keep(kept, key, known)
        except PinnaceError as error:
            say(f"Login did not succeed, error: {error.message}")
    return _verify_and_keep(kept, key, _ask_person(key, username, password))


def _ask_person(key: str, username: str, password: str) -> Credential:
    """Return the credentials, asking for what is missing. Raises: UserError where nobody can be asked."""
    if not username or not password:
        if not sys.stdin.isatty():
            raise UserError(
                "Cannot perform an interactive login from a non TTY device",
                "pinnace login -u NAME --password-stdin SERVER < FILE",
            )
        if not username:
            if key == HUB_SERVER:
                say("Log in with your Docker ID to pull and push images from docker.io.")
            sys.stderr.write("Username: ")
            sys.stderr.flush()
            username = sys.stdin.readline().strip()
        if not password:
            import getpass

            password = getpass.getpass("Password: ")
    if not username:
        raise UserError("username is empty")
    if not password:
        raise UserError("password is empty")
    return Credential(username, password)


def _verify_and_keep(kept: Credentials, key: str, credential: Credential) -> int:
    body = {"domain": domain_of(key), "credential": describe(credential)}
    token = Client().post("/pinnace/v1/login", body)["identity_token"]
    if token:
        credential = Credential(credential.username, "", token)
    before = kept.read().find_stored(key)
    helper = kept.store(key, credential)
    if not helper and before is None:
        say(
            f"\nWARNING! Your credentials are stored unencrypted in '{kept.path}'.\n"
            "Configure a credential helper to remove this warning. See\n"
            "https://docs.docker.com/go/credential-store/\n"
        )
    print("Login Succeeded")
    return 0


@click.command("logout")
@click.argument("server", required=False, default="")
def logout_command(server: str) -> int:
    """Forget the credentials of a registry."""
    key = server_of(server)
    print(f"Removing login credentials for {key}", flush=True)
    try:
        Credentials().erase(key)
    except PinnaceError as error:
        return _fail(error)
    return 0


@click.command("pull")
@click.argument("name")
@click.option("-a", "--all-tags", is_flag=True, help="All tags of the repository.")
@click.option("-q", "--quiet", is_flag=True, help="Print only the image's name.")
@click.option("--platform", default="", metavar="OS/ARCH", help="For this platform, such as linux/arm64.")
@click.option("--disable-content-trust", hidden=True, is_flag=True)
def pull_command(name: str, all_tags: bool, quiet: bool, platform: str, disable_content_trust: bool) -> int:
    """Get an image from a registry."""
    try:
        _check_tag(name, all_tags, quiet)
        pulled = pull_image(Client(), name, platform=platform, all_tags=all_tags, quiet=quiet)
    except PinnaceError as error:
        return _fail(error)
    if pulled:
        print(pulled[-1]["name"].rpartition(":")[0] if all_tags else pulled[-1]["name"])
    return 0


@click.command("push")
@click.argument("name")
@click.option("-a", "--all-tags", is_flag=True, help="All tags of the repository.")
@click.option("-q", "--quiet", is_flag=True, help="Print only the image's name.")
@click.option("--disable-content-trust", hidden=True, is_flag=True)
def push_command(name: str, all_tags: bool, quiet: bool, disable_content_trust: bool) -> int:
    """Send an image to the registry that its name says."""
    try:
        _check_tag(name, all_tags, quiet)
        _push(name, all_tags=all_tags, quiet=quiet)
    except PinnaceError as error:
        return _fail(error)
    return 0


def _push(name: str, *, all_tags: bool, quiet: bool) -> None:
    body = {
        "reference": name,
        "all_tags": all_tags,
        "credentials": Credentials().find_for(registry_of(name)),
    }
    layers = Layers(sys.stdout, push=True)
    told = last = ""
    try:
        for news in Client().open("POST", "/pinnace/v1/push", body).lines():
            match news["type"]:
                case "error":
                    raise parse_error_document(news, 500)
                case "begin":
                    repository = f"{registry_of(name)}/{news['path']}"
                    if not told and not quiet:
                        print(f"The push refers to repository [{repository}]", flush=True)
                    told = repository
                case "layer" if not quiet:
                    layers.show(news)
                case "pushed":
                    layers.close()
                    last = news["name"]
                    if not quiet:
                        what = news["tag"] or news["reference"]
                        print(f"{what}: digest: {news['digest']} size: {news['size']}", flush=True)
                case _:
                    pass
    finally:
        layers.close()
    if quiet:
        print(told if all_tags else last)


def _fail(error: PinnaceError) -> int:
    from pinnace.cli.quick import fail

    return fail(error, FAILURE)


def _check_tag(name: str, all_tags: bool, quiet: bool) -> None:
    """Refuse a tag beside --all-tags; say which tag is meant where none is given. Raises: UserError."""
    tagged = "@" in name or ":" in name.rpartition("/")[2]
    if tagged and all_tags:
        raise UserError("tag can't be used with --all-tags/-a")
    if not tagged and not all_tags and not quiet:
        print("Using default tag: latest", flush=True)
