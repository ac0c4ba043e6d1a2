"""Decides how the `git` program is called, and what its answers mean. Pure.

Invariant: no configuration, hook, helper or prompt of this machine's users takes part; no transport but those of the web,
ssh and git's own (and files, where the person named such a repository).
Source: BuildKit, source/git/source.go and util/gitutil (behaviour); gitrevisions(7) for what a short name means.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from pinnace.base.errors import HostError, PinnaceError, UserError
from pinnace.build.remote.addresses import GitSource, hide_secrets, is_commit

SLOW_BYTES, SLOW_S = 100, 30  # slower than so many bytes each second for so long is a stall
WEB_PROTOCOLS = "http:https:ssh:git"

# What git tells of its progress.
_NOISE = re.compile(
    r"hint:|(remote: )?(Enumerating|Counting|Compressing|Total|Receiving|Resolving|Updating) |remote: *$"
)

# For all commands, those that git starts itself included.
CONFIG = """\
[core]
\thooksPath = /dev/null
\tfsmonitor = false
\tautocrlf = false
\tpager = cat
[safe]
\tdirectory = *
[uploadpack]
\tallowAnySHA1InWant = true
[protocol]
\tversion = 2
[transfer]
\tfsckObjects = false
[gc]
\tauto = 0
[maintenance]
\tauto = false
[advice]
\tdetachedHead = false
[init]
\tdefaultBranch = main
[credential]
\thelper =
"""


@dataclass(frozen=True, slots=True)
class GitPlaces:
    """Files that git uses: our configuration, the keys of hosts that were seen; and the agent that may log in, or ""."""

    config: str
    known_hosts: str
    agent: str = ""


def render_environment(
    source: GitSource, places: GitPlaces, proxies: Mapping[str, str], path: str
) -> dict[str, str]:
    """Return the whole environment of a git command."""
    ssh = [
        "ssh",
        "-F",
        "/dev/null",
        "-o",
        "BatchMode=yes",
        "-o",
        "StrictHostKeyChecking=accept-new",
        "-o",
        f"UserKnownHostsFile={places.known_hosts}",
        "-o",
        "ConnectTimeout=20",
        "-o",
        f"ServerAliveInterval={SLOW_S}",
        *(() if places.agent else ("-o", "IdentityFile=none")),
    ]
    environment = {
        "PATH": path,
        "HOME": "/nonexistent",
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": places.config,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "/bin/false",
        "SSH_ASKPASS": "/bin/false",
        "GIT_SSH_COMMAND": shlex.join(ssh),
        "GIT_ALLOW_PROTOCOL": "file" if source.url.startswith("file://") else WEB_PROTOCOLS,
        "GIT_HTTP_LOW_SPEED_LIMIT": str(SLOW_BYTES),
        "GIT_HTTP_LOW_SPEED_TIME": str(SLOW_S),
        "GIT_LFS_SKIP_SMUDGE": "1",
        "GIT_ADVICE": "0",
    }
    for scheme, url in proxies.items():
        if url:
            environment["no_proxy" if scheme == "no" else f"{scheme}_proxy"] = url
    if places.agent:
        environment["SSH_AUTH_SOCK"] = places.agent
    return environment


def render_login(source: GitSource, headers: Mapping[str, str]) -> dict[str, str]:
    """Return the variables with which git sends a header to this source's server, and to no other."""
    parts = urlsplit(source.url) if source.url.startswith(("https://", "http://")) else None
    host = parts.hostname if parts is not None else None
    header = headers.get(host or "") or headers.get("") if host else None
    if parts is None or header is None:
        return {}
    server = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/"
    return {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"http.{server}.extraheader",
        "GIT_CONFIG_VALUE_0": header,
    }


def refs_to_ask(ref: str) -> tuple[str, ...]:
    """Return the names to ask a server for, best first. Example: "v1" is a tag (what it points at), else a branch."""
    if not ref or ref == "HEAD":
        return ("HEAD",)
    if ref.startswith("refs/"):
        return (f"{ref}^{{}}", ref)
    return (f"refs/tags/{ref}^{{}}", f"refs/tags/{ref}", f"refs/heads/{ref}", f"refs/{ref}")


def parse_refs(output: str) -> dict[str, str]:
    """Return what `git ls-remote` lists: names and commits."""
    lines = (line.split("\t", 1) for line in output.splitlines() if "\t" in line)
    return {name: commit for commit, name in lines if is_commit(commit)}


def choose_ref(ref: str, listed: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the full name and the commit that a ref means, None when the server has none such."""
    for name in refs_to_ask(ref):
        if name in listed:
            return name.removesuffix("^{}"), listed[name]
    return None


def check_commit(source: GitSource, commit: str) -> None:
    """Raises: UserError when a commit is not the one that was asked for."""
    if source.checksum and not commit.startswith(source.checksum):
        raise UserError(
            f"expected checksum to match {source.checksum}, got {commit} for {show(source)}",
            "the ref was moved: find out why before you change --checksum",
        )


def missing_ref(source: GitSource) -> UserError:
    """Return the error about a ref that a repository does not have."""
    ref = source.ref or "HEAD"
    return UserError(
        f"{hide_secrets(source.url)}: repository does not contain ref {ref}",
        f"git ls-remote {hide_secrets(source.url)} lists what there is"
        if source.ref
        else "is it empty? name a branch: …#BRANCH",
    )


# What git says, what it means, whose fault it is.
_MEANINGS: tuple[tuple[tuple[str, ...], str, bool], ...] = (
    (
        ("Authentication failed", "could not read Username", "terminal prompts disabled", "The requested URL returned error: 401"),
        "the server wants a login, or has no such repository: https://USER:TOKEN@host/…, or git@host:… with --ssh default",
        True,
    ),
    (("Permission denied (", "Host key verification failed"), "git@ and ssh:// log in with an agent: --ssh default", True),
    (("not found", "does not appear to be a git repository", "does not exist", "error: 404", "no such repository", "access denied or repository not exported"), "is the address right, and the repository public?", True),
    (("error: 403",), "the server does not give this repository to everybody", True),
    (("unable to resolve", "Could not resolve host", "Name or service not known"), "is the host's name right? see /etc/resolv.conf", False),
    (("Connection refused", "Failed to connect", "unable to connect", "Connection timed out", "Operation too slow", "early EOF"), "does the server run, and is a proxy needed? --build-arg HTTPS_PROXY=…", False),
    (("certificate", "SSL"), "behind an inspecting proxy? its CA belongs into the host's bundle: update-ca-certificates", False),
    (("not allowed", "transport"), "only http, https, ssh and git are fetched from", True),
    (("No space left",), "the disk is full: pinnace builder prune", False),
    (("dubious ownership",), "", False),
    (("ssh: not found", "cannot run ssh"), "apt-get install openssh-client", False),
)  # fmt: skip


def explain_failure(source: GitSource, stderr: str, returncode: int) -> PinnaceError:
    """Return the error that a failed git command means, in git's own words and without a password."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip() and not _NOISE.match(line)]
    telling = [line for line in lines if line.startswith(("fatal:", "error:", "remote:", "ssh:"))] or lines[
        -1:
    ]
    said = "; ".join(dict.fromkeys(telling)) or f"git ended with code {returncode}"
    shown = hide_secrets(source.url)
    message = f"{shown}: {said.replace(source.url, shown)}"
    for marks, hint, is_users in _MEANINGS:
        if any(mark in stderr for mark in marks):
            return UserError(message, hint) if is_users else HostError(message, hint=hint)
    return HostError(
        message, returncode=returncode, hint=f"git ls-remote {shown} shows whether it can be reached"
    )


def show(source: GitSource) -> str:
    """Return a repository's address as people write it."""
    fragment = source.ref + (f":{source.folder}" if source.folder else "")
    return hide_secrets(source.url) + (f"#{fragment}" if fragment else "")
