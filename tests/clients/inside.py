"""kubectl in one namespace of the shared instance, for tests that say many commands."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.product.instance import Object, Product


@dataclass(frozen=True)
class Inside:
    """Runs kubectl with `-n NAMESPACE`. `env`: further variables, such as KUBE_EDITOR."""

    product: Product
    ns: str
    env: Mapping[str, str] = field(default_factory=dict)

    def run(self, *words: str, stdin: str = "", timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run it and return what came of it."""
        return subprocess.run(
            [self.product.kubectl_path, "-n", self.ns, *words],
            input=stdin,
            capture_output=True,
            text=True,
            env={**self.product.env, "HOME": str(self.product.host.root), **self.env},
            timeout=timeout_s,
            check=False,
        )

    def __call__(self, *words: str, stdin: str = "") -> str:
        """Return what it prints; it must succeed."""
        done = self.run(*words, stdin=stdin)
        assert done.returncode == 0, f"kubectl {' '.join(words)}: {done.stdout}{done.stderr}"
        return done.stdout

    def fails(self, *words: str, stdin: str = "", code: int = 1) -> str:
        """Return what it complains of; it must fail with `code`."""
        done = self.run(*words, stdin=stdin)
        assert done.returncode == code, (
            f"kubectl {' '.join(words)} ended with {done.returncode}: {done.stdout}"
        )
        return done.stderr

    def read(self, *words: str) -> Object:
        """Return the object that `kubectl get WORDS -o json` prints."""
        found: Object = json.loads(self("get", *words, "-o", "json"))
        return found

    def make(self, *words: str) -> Object:
        """Return the object that `kubectl create WORDS` made."""
        ends = words.index("--") if "--" in words else len(words)
        made: Object = json.loads(self("create", *words[:ends], "-o", "json", *words[ends:]))
        return made

    def rows(self, *words: str) -> list[list[str]]:
        """Return a printed table as lists of cells."""
        lines = self(*words).splitlines()
        return [re.split(r"\s{2,}", line.strip()) for line in lines if line.strip()]


def with_editor(inside: Inside, *scripts: str) -> Inside:
    """Return one whose editor runs `sed -i SCRIPT` for each script."""
    path = inside.product.host.root / f"editor-{inside.ns}.sh"
    lines = "\n".join(f"sed -i '{script}' \"$1\"" for script in scripts)
    path.write_text(f"#!/bin/sh\n{lines}\n")
    path.chmod(0o755)
    return Inside(inside.product, inside.ns, {"KUBE_EDITOR": str(path), "PATH": os.environ["PATH"]})
