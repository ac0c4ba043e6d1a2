"""What a person is told to do about a command that failed: one row for each kind of output."""

from __future__ import annotations

import re

import pytest

from pinnace.build.hints import HINTS, OTHERWISE, Seen, advise, find_hint
from pinnace.build.packages import COMMANDS, family_of, how_to_get

# The outputs are those of the real programs: dash, busybox, bash, runc, apt-get, apk, pip, npm, gcc, git, curl.
SEEN: tuple[tuple[int, str, str, str], ...] = (
    (1, "cp big /x", "cp: error writing '/x': No space left on device", "disk is full"),
    (1, "pip install x", "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed", "--host-ca"),
    (60, "curl https://a", "curl: (60) SSL certificate problem: unable to get local issuer certificate", "--host-ca"),
    (100, "apt-get update", "E: Release file for http://d/InRelease is not valid yet (invalid for another 3h)", "clock"),
    (6, "curl https://a", "curl: (6) Could not resolve host: pypi.org", "resolv.conf"),
    (1, "wget http://x", "wget: bad address 'x'", "resolv.conf"),
    (100, "apt-get update", "W: Failed to fetch http://d  Temporary failure resolving 'deb.debian.org'", "HTTPS_PROXY"),
    (1, "npm ci", "npm ERR! request to https://r failed, reason: getaddrinfo EAI_AGAIN r", "--network=host"),
    (1, "apk add curl", "WARNING: fetching https://dl-cdn: DNS: transient error (try again later)", "resolv.conf"),
    (28, "curl http://a", "curl: (28) Failed to connect: Connection timed out", "HTTP_PROXY"),
    (1, "go mod download", "dial tcp 1.2.3.4:443: connect: network is unreachable: i/o timeout", "proxy"),
    (1, "pip install x", "ERROR: HTTP error 429 Too Many Requests", "fewer requests"),
    (1, "pip install x", "ERROR: Package 'x' requires a different Python: 3.8.1 not in '>=3.9'", "another Python"),
    (22, "curl -f http://a", "curl: (22) The requested URL returned error: 403", "type=secret"),
    (128, "git clone git@a:b", "git@a: Permission denied (publickey).", "type=ssh"),
    (126, "/run.sh", "/bin/sh: 1: /run.sh: Permission denied", "/run.sh may not be executed: COPY --chmod=755"),
    (126, "/run.sh", 'exec: "/run.sh": permission denied', "/run.sh may not be executed"),
    (126, "/run.sh", "/bin/bash: line 1: /run.sh: /bin/bash^M: bad interpreter: No such file or directory", "CRLF"),
    (127, "/run.sh", "/usr/bin/env: 'bash\\r': No such file or directory", "CRLF"),
    (127, "sh run.sh", "run.sh: line 2: $'\\r': command not found", "CRLF"),
    (126, "/x", "/bin/sh: 1: /x: Exec format error", "another kind of machine"),
    (1, "/x", "exec /bin/sh: exec format error", "--platform"),
    (1, "touch /x", "touch: cannot touch '/x': Permission denied", "--chown=USER"),
    (127, "['echo', 'a']", "/bin/sh: 1: [echo,: not found", "double quotes"),
    (127, "curl x", "/bin/sh: 1: curl: not found", "curl is not in the image: it comes with the package curl (apt)"),
    (127, "a && make", "/bin/sh: make: not found", "make is not in the image"),
    (127, "a && git", "bash: line 1: git: command not found", "git is not in the image"),
    (127, "x", "/bin/sh: 1: frobnicate: not found", "is the base image the right one"),
    (127, "/x", "/bin/sh: 1: /opt/x: not found", "/opt/x is not there, or what its first line names is not"),
    (127, "/usr/bin/curl x", "/bin/sh: 1: /usr/bin/curl: not found", "package curl"),
    (127, "x", 'exec: "gcc": executable file not found in $PATH', "build-essential (apt)"),
    (1, "pip install x", "error: command 'gcc' failed: No such file or directory", "build-essential"),
    (1, "pip install psycopg2", "Error: pg_config executable not found.", "libpq-dev"),
    (2, "make", "make: g++: No such file or directory", "build-base (apk)"),
    (100, "apt-get install x", "E: Unable to locate package x", "apt-get update in the same RUN"),
    (100, "apt-get install x", "E: Failed to fetch http://d/x.deb  404  Not Found [IP: 1.2.3.4 80]", "older"),
    (100, "apt-get update", "E: The repository 'http://d buster Release' does not have a Release file.", "newer base"),
    (1, "apk add x", "ERROR: unable to select packages:\n  x (no such package):", "apk search"),
    (1, "dnf install x", "No match for argument: foo-devel", "no package foo-devel"),
    (1, "apt-get install x", "Do you want to continue? [Y/n] Abort.", "-y"),
    (1, "pip install x", "ERROR: No matching distribution found for numpyy", "pip finds no numpyy"),
    (1, "pip install x", "ERROR: No matching distribution found for numpy==9.9", "pip index versions numpy"),
    (1, "pip install x", "error: externally-managed-environment", "python3 -m venv"),
    (1, "pip install -r r", "ERROR: Could not open requirements file: [Errno 2]", "COPY the requirements file"),
    (1, "pip install x", "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES", "locked"),
    (1, "pip install x", "ERROR: ResolutionImpossible: for help visit", "contradict"),
    (1, "python setup.py", "ModuleNotFoundError: No module named 'distutils'", "setuptools"),
    (1, "python -m pip", "/usr/bin/python3: No module named pip", "python3-pip"),
    (1, "pip install x", "src/x.c:3:10: fatal error: Python.h: No such file or directory", "python3-dev (apt)"),
    (1, "make", "x.c:1:10: fatal error: foo/bar.h: No such file or directory", "-dev or -devel"),
    (1, "python x", "ImportError: libGL.so.1: cannot open shared object file: No such file", "libgl1"),
    (1, "python x", "ImportError: libcuda.so.1: cannot open shared object file", "driver"),
    (134, "npm run build", "FATAL ERROR: Reached heap limit: JavaScript heap out of memory", "max-old-space-size"),
    (254, "npm ci", "npm error enoent ENOENT: no such file or directory, open '/app/package.json'", "COPY package.json"),
    (1, "npm ci", "npm error code EUSAGE", "package-lock.json"),
    (1, "go build", "go: go.mod file not found in current directory or any parent directory", "go.sum"),
    (128, "git describe", "fatal: detected dubious ownership in repository at '/src'", "safe.directory"),
    (128, "git describe", "fatal: not a git repository (or any of the parent directories): .git", "--build-arg"),
    (1, "touch /m/x", "touch: /m/x: Read-only file system", "rw"),
    (2, "ls x", "ls: cannot access 'x': No such file or directory", "WORKDIR"),
    (1, "cat", "cat: can't open '/run/secrets/hf': No such file or directory", "--secret id=hf,src=FILE"),
    (1, "cat", "cat: /run/secrets/hf: No such file or directory", "type=secret,id=hf in"),
    (1, "p.py", "FileNotFoundError: [Errno 2] No such file or directory: '/run/secrets/a.b'", "--secret id=a.b,"),
    (127, "ls", 'exec: "/bin/sh": stat /bin/sh: no such file or directory', "FROM scratch has none"),
    (137, "make", "Killed", "SIGKILL"),
    (139, "x", "Segmentation fault", "glibc, musl"),
    (143, "x", "Terminated", "SIGTERM"),
    (126, "x", "", "can't be run"),
    (127, "A=1 rsync -a b c", "", "rsync is not in the image"),
    (127, "a && b", "", "not in the image"),
    (1, "x", "something\nelse", OTHERWISE),
    (1, "x", "", "by hand"),
)  # fmt: skip


@pytest.mark.parametrize(("code", "command", "tail", "words"), SEEN)
def test_output_leads_to_its_hint(code: int, command: str, tail: str, words: str) -> None:
    assert words in find_hint(Seen(code, command, tail))


def test_memory_that_ran_out_goes_before_all_else() -> None:
    assert "memory ran out" in find_hint(Seen(137, "make", "No space left on device", oom=True))


def test_every_row_is_reached_by_one_of_the_outputs() -> None:
    seen = [Seen(code, command, tail) for code, command, tail, _ in SEEN]
    assert [row.pattern for row in HINTS if not any(advise(row, one) for one in seen)] == []


@pytest.mark.parametrize(
    ("command", "system", "expected"),
    [
        ("curl", "debian", "RUN apt-get update && apt-get install -y --no-install-recommends curl"),
        ("curl", "alpine", "RUN apk add --no-cache curl"),
        ("ps", "rocky rhel centos fedora", "RUN dnf install -y procps-ng"),
        ("add-apt-repository", "alpine", ""),
        ("apt-get", "alpine", "this image's packages come with apk: RUN apk add --no-cache …"),
        ("apk", "ubuntu debian", "this image's packages come with apt-get: RUN apt-get update && "),
        ("frobnicate", "debian", ""),
        ("gosu", "nixos", "it comes with the package gosu (apt), su-exec (apk)"),
    ],
)
def test_package_that_brings_a_command(command: str, system: str, expected: str) -> None:
    way = how_to_get(command, system)
    assert way == expected or (expected and way.startswith(expected))


def test_family_is_the_nearest_that_is_known() -> None:
    assert [family_of(ids) for ids in ("linuxmint ubuntu debian", "wolfi", "nixos", "")] == [
        "apt",
        "apk",
        "",
        "",
    ]


def test_table_of_packages_holds_names_of_packages_only() -> None:
    for packages in COMMANDS.values():
        assert all(re.fullmatch(r"(?:[a-z0-9][a-z0-9.+ _-]*)?", name) for name in packages)
