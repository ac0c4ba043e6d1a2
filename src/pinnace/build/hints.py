"""Decides what a person should do about a command that failed, from what was seen of it. Pure.

One table, `HINTS`: the first row that holds and has something to say is told. The next hint costs a row here and a row in
its test. A pattern's first group that matched is what the hint is about: `{}` in the text, `found` for a function.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from pinnace.build.packages import HEADERS, LIBRARIES, how_to_get, look_up


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of a command: its exit code, itself, the last of its output, the system it ran in (IDs of os-release)."""

    code: int
    command: str = ""
    tail: str = ""
    oom: bool = False
    system: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One hint: told when `pattern` is in the output (or, if `of_command`, in the command) and the code is among `codes`."""

    pattern: str
    say: str | Callable[[Seen, str], str]
    codes: tuple[int, ...] = ()
    of_command: bool = False


def find_hint(seen: Seen) -> str:
    """Return what to do. Never empty."""
    if seen.oom:
        return "memory ran out and the kernel killed it: give this machine more, or build with less at once (make -j1)"
    hint = next(filter(None, (advise(row, seen) for row in HINTS)), "")
    return hint or (OTHERWISE if seen.tail.strip() else "it wrote nothing: run it by hand in the base image")


def advise(row: Row, seen: Seen) -> str:
    """Return what one row has to say; "" when it doesn't hold."""
    if row.codes and seen.code not in row.codes:
        return ""
    match = re.search(row.pattern, seen.command if row.of_command else seen.tail, re.MULTILINE)
    if match is None:
        return ""
    found = next((group for group in match.groups() if group), "")
    return row.say(seen, found) if callable(row.say) else row.say.replace("{}", found)


# --- hints that depend on more than a pattern --------------------------------------------------------------------------


def _missing_command(seen: Seen, found: str) -> str:
    command = found.rpartition("/")[2]
    if found == "/bin/sh":
        return (
            "the image has no shell, as FROM scratch has none: RUN needs one, unless it is a list of a program that is there, "
            'RUN ["/program", "argument"]'
        )
    if "/" in found and not how_to_get(command, seen.system):
        return (
            f"{found} is not there, or what its first line names is not, or that line ends in CR LF; "
            "a program of another C library (glibc, musl) is told so too"
        )
    way = how_to_get(command, seen.system)
    return f"{command} is not in the image: {way or 'is the base image the right one, and PATH?'}"


def _missing_header(seen: Seen, found: str) -> str:
    packages = look_up(HEADERS, found)
    what = f"{packages[0]} (apt) or {packages[1]} (apk)" if packages else "a -dev or -devel package"
    return f"the header {found} comes with {what}: install it before this line"


def _missing_library(seen: Seen, found: str) -> str:
    if "libcuda" in found or "libnvidia" in found:
        return f"{found} belongs to a GPU's driver, which is there only when a container runs: don't use the GPU in a RUN"
    package = look_up(LIBRARIES, found)
    return f"the shared library {found} is not in the image: install {package or 'its package'}"


def _not_a_list(seen: Seen, found: str) -> str:
    if not re.match(r"\s*\[\s*['‘’“”]", seen.command):
        return ""
    return 'a JSON list has double quotes: RUN ["program", "argument"]; with any others it is a command for the shell'


def _no_distribution(seen: Seen, found: str) -> str:
    if "from versions: none" in seen.tail or re.match(r"^[\w.-]+$", found):
        return (
            f"pip finds no {found} for this Python and platform: is the name right, does the index have it (--index-url), "
            "are there wheels for this Python (and for musl, on Alpine)?"
        )
    return f"there is no version of {found} for this Python and platform: pip index versions {re.split('[=<>!~]', found)[0]}"


def _not_executable(seen: Seen, found: str) -> str:
    return (
        f"{found or 'the file'} may not be executed: COPY --chmod=755 it, chmod +x it before it is copied, "
        "or name its interpreter (sh FILE)"
    )


def _no_module(seen: Seen, found: str) -> str:
    known = {
        "distutils": "setuptools",
        "pkg_resources": "setuptools",
        "_ctypes": "a Python built with libffi-dev",
    }
    if found in ("pip", "venv", "ensurepip"):
        return _missing_command(seen, "pip") if found == "pip" else "apt-get install python3-venv"
    return f"the Python module {found} is not in the image: install {known.get(found.split('.')[0], 'it before this line')}"


def _first_word(seen: Seen, found: str) -> str:
    """A single command that isn't there; of several, nobody knows which."""
    return (
        "" if re.search(r"[&|;\n]", seen.command) or found.startswith("-") else _missing_command(seen, found)
    )


FULL_HINT = "the disk is full: pinnace builder prune, or pinnace images and pinnace rmi IMAGE"
NAMES_HINT = (
    "names could not be resolved: look at /etc/resolv.conf of this host, or try pinnace build --network=host; "
    "behind a proxy: --build-arg HTTPS_PROXY=http://…"
)
REACH_HINT = (
    "the network could not be reached: behind a proxy, --build-arg HTTP_PROXY=http://… "
    "--build-arg HTTPS_PROXY=http://…; or try pinnace build --network=host"
)
CA_HINT = (
    "behind an inspecting proxy? pinnace build --host-ca mounts the host's CA bundle for RUN steps; "
    "else: is the package ca-certificates in the image?"
)
CRLF_HINT = (
    "the script has Windows line ends (CRLF): save it with LF (git config core.autocrlf input), "
    "or RUN sed -i 's/\\r$//' FILE before it"
)
OTHERWISE = "the lines above are the command's last output"

_WORD = r"([\w./+-]+)"
_MISSING = (
    # dash "sh: 1: x: not found", ash "sh: x: not found", bash "line 1: x: command not found", "env: 'x': No such file …"
    rf"(?:sh|bash|ash|zsh|env|sudo|xargs|line \d+): (?:(?:line )?\d+: )?['‘\"]?{_WORD}['’\"]?: "
    rf"(?:command )?(?:not found|No such file or directory)"
    rf"|exec: \"{_WORD}\": (?:executable file not found|stat )"
    rf"|executable file [`'\"]{_WORD}[`'\"] not found"
)
_MISSING_WITHIN = (
    rf"command ['\"]?{_WORD}['\"]? failed: No such file|make: {_WORD}: No such file"
    rf"|unable to execute '?{_WORD}'?: No such file|Cannot run program \"{_WORD}\""
    rf"|[Ee]rror: {_WORD} (?:executable )?not found"
)

HINTS: tuple[Row, ...] = (
    # --- the machine and the network
    Row(r"No space left on device|ENOSPC|Disk quota exceeded", FULL_HINT),
    Row(
        r"(?i)certificate[_ ]verify[_ ]failed|self[- ]signed certificate|unable to get local issuer certificate"
        r"|SSL certificate problem|certificate signed by unknown authority|server certificate verification failed",
        CA_HINT,
    ),
    Row(
        r"is not valid yet|certificate is not yet valid",
        "the clock of this machine is behind: date, then set it",
    ),
    Row(
        r"Temporary failure (?:in name resolution|resolving)|Could not resolve (?:host|proxy)|bad address"
        r"|Name or service not known|EAI_AGAIN|getaddrinfo ENOTFOUND|server misbehaving|DNS: transient error"
        r"|Name does not resolve",
        NAMES_HINT,
    ),
    Row(
        r"Network is unreachable|[Cc]onnection timed out|[Nn]o route to host|i/o timeout|ConnectTimeoutError"
        r"|ETIMEDOUT|Could not connect to|network connection aborted",
        REACH_HINT,
    ),
    Row(r"429 Too Many Requests|toomanyrequests", "the server wants fewer requests: try again later"),
    Row(
        r"40[13] (?:Forbidden|Unauthorized)|returned error: 40[13]|Authentication failed for"
        r"|could not read Username|Permission denied \(publickey",
        "the server wants to know who asks: RUN --mount=type=secret for a token, --mount=type=ssh for keys",
    ),
    # --- scripts, and programs for other machines
    Row(
        r"\^M: bad interpreter|bad interpreter.*\^M|\\r['’]?: |\$'\\r': command not found|\r['’]?: (?:not found|No such file)",
        CRLF_HINT,
    ),
    Row(
        r"(?i)exec format error",
        "the program is for another kind of machine, or a script without a first line such as #!/bin/sh: "
        "is the image for this platform? uname -m, FROM --platform",
    ),
    Row(
        rf"{_WORD}: [Pp]ermission denied|exec: \"{_WORD}\": permission denied|(?i:permission denied)",
        _not_executable,
        (126,),
    ),
    Row(
        r"(?i)permission denied|EACCES|Operation not permitted",
        "the command runs as the user of the last USER line: COPY --chown=USER, or do it before USER",
    ),
    # --- commands that are not there
    Row(r"\[", _not_a_list, (127, 2), of_command=True),
    Row(_MISSING, _missing_command, (127,)),
    Row(_MISSING_WITHIN, _missing_command),
    # --- packages of the system
    Row(
        r"E: Unable to locate package|has no installation candidate",
        "run apt-get update in the same RUN as apt-get install (alone it is cached and gets old); "
        "or the package is called otherwise in this release",
    ),
    Row(
        r"E: Failed to fetch .* 404|404 +Not Found \[IP|Hash Sum mismatch",
        "the image's package lists are older than the server's: apt-get update in the same RUN; --no-cache does it anew",
    ),
    Row(
        r"does not have a Release file|is no longer signed|NO_PUBKEY",
        "the release's packages have moved or have a new key: take a newer base image, or bring the key in",
    ),
    Row(
        r"ERROR: unable to select packages:|\(no such package\)",
        "the package is called otherwise in Alpine, or is in another of its repositories: apk search NAME",
    ),
    Row(r"No match for argument: (\S+)", "no package {} in the enabled repositories: dnf search NAME"),
    Row(
        r"Do you want to continue\?|^Abort\.$",
        "nobody answers questions in a build: apt-get install -y, with DEBIAN_FRONTEND=noninteractive",
    ),
    # --- Python
    Row(r"No matching distribution found for ([^\s(]+)", _no_distribution),
    Row(
        r"requires a different Python",
        "the package wants another Python: FROM one that has it, or take another version",
    ),
    Row(
        r"externally-managed-environment",
        "this Python belongs to the system: python3 -m venv /venv and ENV PATH=/venv/bin:$PATH, "
        "or pip install --break-system-packages",
    ),
    Row(
        r"Could not open requirements file|No such file or directory: '([^']*requirements[^']*)'",
        "COPY the requirements file before the RUN that reads it",
    ),
    Row(
        r"DO NOT MATCH THE HASHES",
        "the file that came is not the one that was locked: who changes files on the way?",
    ),
    Row(
        r"ResolutionImpossible|conflicting dependencies",
        "the requirements contradict each other: loosen a version above",
    ),
    Row(r"No module named '?([\w.]+)'?", _no_module),
    Row(r"fatal error: ([\w./+-]+\.h(?:pp)?): No such file", _missing_header),
    Row(
        r"(lib[\w.+-]+\.so[\w.]*): cannot open shared object|Error loading shared library (lib[\w.+-]+\.so[\w.]*)",
        _missing_library,
    ),
    # --- other languages
    Row(
        r"JavaScript heap out of memory",
        "node's own limit is reached: NODE_OPTIONS=--max-old-space-size=4096 npm …",
    ),
    Row(
        r"ENOENT.*package\.json|Could not read package\.json|Couldn't find a package\.json",
        "COPY package.json and its lock file before the RUN that reads them",
    ),
    Row(
        r"npm ci.*can only install|package-lock\.json.*in sync|code EUSAGE",
        "npm ci wants a package-lock.json that fits package.json: npm install on the host, then COPY both",
    ),
    Row(
        r"go\.mod file not found|go\.mod: no such file",
        "COPY go.mod go.sum before, or WORKDIR to the module's folder",
    ),
    Row(
        r"dubious ownership in repository",
        "the repository is another user's: git config --global --add safe.directory DIR",
    ),
    Row(
        r"[Nn]ot a git repository",
        "the context has no .git (does .dockerignore hide it?): pass the version with --build-arg",
    ),
    Row(
        r"[Rr]ead-only file system",
        "it is mounted read-only: RUN --mount=…,rw for what the command must write to",
    ),
    Row(
        r"/run/secrets/([\w.-]+)['’\"]?: No such file or directory|No such file or directory: '/run/secrets/([\w.-]+)'",
        "no secret was given: RUN --mount=type=secret,id={} in the Dockerfile, and pinnace build --secret id={},src=FILE; "
        "with required in the mount its lack is an error",
    ),
    # --- by the code alone
    Row(r"", "it was killed (SIGKILL): was memory short? see dmesg", (137,)),
    Row(
        r"", "it crashed (SIGSEGV): is the program for this machine and this C library (glibc, musl)?", (139,)
    ),
    Row(r"", "it was ended from outside (SIGTERM)", (143,)),
    Row(r"", "the command is there but can't be run: is it executable, and for this machine?", (126,)),
    Row(r"^(?:[A-Za-z_]\w*=\S*\s+)*([\w./+-]+)", _first_word, (127,), of_command=True),
    Row(r"", "the command is not in the image: is the base image the right one?", (127,)),
    Row(
        r"No such file or directory|can't open file|cannot stat|cannot access|can't cd to|cannot find the path",
        "is the file copied before this line, and WORKDIR where you think? only what was COPYed is in the image",
    ),
)
