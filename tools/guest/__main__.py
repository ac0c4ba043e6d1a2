"""Runs the host tests in a guest with systemd and cgroup v2: `python -m tools.guest [--short] [PYTEST ARGUMENT…]`.

The guest is a small Debian, built once with mmdebstrap and kept in the cache, emulated by qemu.
The tests run once with runc and once with crun; the exit code is the first that isn't 0.
"""

from __future__ import annotations

import argparse
import shlex
import time
from pathlib import Path

from tools.guest.image import ensure_image, say
from tools.guest.machine import run_in_guest
from tools.guest.recipe import read_recipe

RUNTIMES = ("runc", "crun")
# A main address and a way out, as every real machine has; nothing is at its other end.
PRELUDE = """modprobe dummy
ip link add lan type dummy && ip address add 192.0.2.10/24 dev lan && ip link set lan up
ip route add default via 192.0.2.1"""
TEST_TIMEOUT_S = 600  # for one test: emulation is some twenty times slower


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tools.guest", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument(
        "--short", action="store_true", help="only the tests marked short, some three minutes"
    )
    parser.add_argument(
        "--runtime", action="append", choices=RUNTIMES, help="only this runtime; may be given twice"
    )
    parser.add_argument("--timeout", type=float, default=5400, metavar="SECONDS", help="for the whole guest")
    # Asked for, not found out: in many virtual machines /dev/kvm is there and a guest hangs in it.
    parser.add_argument("--kvm", action="store_true", help="use the host's KVM rather than emulation")
    parser.add_argument("--build-only", action="store_true", help="build the image, run nothing")
    parser.add_argument("--command", help="a shell command to run instead of the tests")
    parser.add_argument("pytest", nargs="*", help="arguments for pytest; tests/host when there are none")
    options = parser.parse_args()
    checkout = Path(__file__).resolve().parents[2]
    image = ensure_image(read_recipe(checkout))
    if options.build_only:
        return 0
    command = options.command or render_command(
        tuple(options.runtime or RUNTIMES), options.short, tuple(options.pytest)
    )
    began = time.monotonic()
    code = run_in_guest(image, checkout, command, timeout_s=options.timeout, kvm=options.kvm)
    say(f"ended with code {code} after {time.monotonic() - began:.0f} s")
    return code


def render_command(runtimes: tuple[str, ...], short: bool, arguments: tuple[str, ...]) -> str:
    """Return the guest's shell script: the tests with each runtime side by side, and the first code that isn't 0.

    Side by side, since one pass leaves one of the guest's two processors idle. Each pass is shown when it has ended; the
    first is shown while it runs.
    """
    lines = [PRELUDE]
    passes = [render_pass(name, short, arguments, first=number == 0) for number, name in enumerate(runtimes)]
    for number, command in enumerate(passes[1:], 1):
        lines.append(f"( {command}; echo $? > /tmp/code-{number} ) > /tmp/pass-{number} 2>&1 &")
    lines += [f"echo 'guest: tests with {runtimes[0]}'", f"{passes[0]}; code=$?", "wait"]
    for number, name in enumerate(runtimes[1:], 1):
        lines += [f"echo 'guest: tests with {name}'", f"cat /tmp/pass-{number}"]
        lines.append(f"[ $code -ne 0 ] || code=$(cat /tmp/code-{number})")
    return "\n".join([*lines, "exit $code", ""])


def render_pass(runtime: str, short: bool, arguments: tuple[str, ...], *, first: bool) -> str:
    """Return the command line of the tests with one runtime. What has nothing to do with the runtime runs only once."""
    marked = ["-m", "short"] if short else []
    less = [] if first or arguments else ["--ignore-glob=*test_network_*", "--ignore-glob=*test_image_*"]
    words = [
        "python3",
        "-m",
        "pytest",
        f"--timeout={TEST_TIMEOUT_S}",
        "-p",
        "no:cacheprovider",
        *marked,
        *less,
    ]
    return f"PINNACE_RUNTIME={runtime} {shlex.join([*words, *(arguments or ('tests/host',))])}"


if __name__ == "__main__":
    raise SystemExit(main())
