"""`python -m examples.base`: makes the base images of the examples and brings them into the running instance."""

from __future__ import annotations

import argparse
import os
import sys

from examples.base.make import ensure_root_filesystem, import_image
from examples.base.recipes import RECIPES


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m examples.base", description=(__doc__ or "").split(": ")[1]
    )
    parser.add_argument("--fresh", action="store_true", help="make them anew, with today's packages")
    parser.add_argument("--only-make", action="store_true", help="fill the cache; don't import")
    options = parser.parse_args()
    for recipe in RECIPES:
        path = ensure_root_filesystem(recipe, _say, fresh=options.fresh)
        if not options.only_make:
            import_image(recipe, path, [sys.executable, "-m", "pinnace.cli.main"], dict(os.environ))
            _say(f"{recipe.reference}: imported")
    return 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
