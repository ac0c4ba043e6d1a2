"""Runs all benchmarks, one after the other: python -m benchmarks [NAME …]."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

NAMES = (
    *("instance", "run_rm", "pods", "api", "cli", "loop_stall", "store_writes", "scheduling", "images"),
    "applies",
    "stored_pods",
    "api_reads",
    "builds",
)


def main(names: list[str]) -> int:
    """Run the named benchmarks, or all; return how many failed."""
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        print(
            f"error: no benchmark is called {', '.join(unknown)}\nhint: {', '.join(NAMES)}", file=sys.stderr
        )
        return 1
    failed = 0
    for name in names or NAMES:
        print(f"\n== {name}", flush=True)
        root = Path(__file__).resolve().parent.parent
        failed += (
            subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], cwd=root, check=False).returncode
            != 0
        )
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
