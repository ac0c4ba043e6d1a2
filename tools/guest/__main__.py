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
    """Return the guest's shell script: the tests with each runtime, and the first code that isn't 0."""
    marked = ["-m", "short"] if short else []
    words = [
        "python3",
        "-m",
        "pytest",
        f"--timeout={TEST_TIMEOUT_S}",
        "-p",
        "no:cacheprovider",
        *marked,
        *(arguments or ("tests/host",)),
    ]
    lines = ["code=0"]
    for runtime in runtimes:
        lines.append(f"echo 'guest: tests with {runtime}'")
        lines.append(
            f"PINNACE_RUNTIME={runtime} {shlex.join(words)} || {{ last=$?; [ $code -ne 0 ] || code=$last; }}"
        )
    return "\n".join([*lines, "exit $code", ""])


if __name__ == "__main__":
    raise SystemExit(main())
