"""Finds a kubectl of before 1.27, as distributions carry it, or fetches Debian's, without installing anything.

Debian 12's is 1.20 (package kubernetes-client). Such a client reads OpenAPI v2 as protobuf, and its streams are SPDY only.
"""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

BEFORE = 27  # Source: kubectl 1.27's release notes: explain and validation by OpenAPI v3
_PACKAGE = "kubernetes-client"
_FETCH_S = 90
_APT_OPTIONS = (
    "-q",
    "-o",
    "Acquire::Retries=0",
    "-o",
    "Acquire::http::Timeout=10",
    "-o",
    "APT::Sandbox::User=root",
)


def find_old_kubectl(cache: Path) -> tuple[str, str]:
    """Return the path of an old kubectl, or "" and why there is none.

    One is taken that PINNACE_OLD_KUBECTL names, else that is on the PATH, else that of Debian's package, kept in CACHE.
    """
    kept = cache / _PACKAGE / "kubectl"
    for path in (os.environ.get("PINNACE_OLD_KUBECTL", ""), shutil.which("kubectl") or "", str(kept)):
        if path and _is_old(path):
            return path, ""
    why = _fetch(cache, kept)
    if why:
        return "", why
    return (str(kept), "") if _is_old(str(kept)) else ("", f"this distribution's {_PACKAGE} is too new")


def _is_old(path: str) -> bool:
    try:
        ran = subprocess.run(
            [path, "version", "--client", "-o", "json"], capture_output=True, check=False, timeout=20
        )
        return int(json.loads(ran.stdout)["clientVersion"]["minor"].rstrip("+")) < BEFORE
    except (OSError, ValueError, KeyError, subprocess.TimeoutExpired):
        return False


def _fetch(cache: Path, target: Path) -> str:
    """Put the package's kubectl at TARGET; return why that didn't go."""
    if not shutil.which("apt-get") or not shutil.which("dpkg"):
        return f"there is no kubectl before 1.{BEFORE}, and no apt that may have one"
    if target.exists():
        return ""
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as name:
        work = Path(name)
        for words in (["apt-get", *_APT_OPTIONS, "download", _PACKAGE], ["sh", "-c", "dpkg -x *.deb ."]):
            try:
                ran = subprocess.run(
                    words, cwd=work, capture_output=True, text=True, check=False, timeout=_FETCH_S
                )
            except subprocess.TimeoutExpired:
                return f"{words[0]} takes longer than {_FETCH_S} s"
            if ran.returncode != 0:
                return f"there is no kubectl before 1.{BEFORE}, and apt has none: {ran.stderr.strip()[-200:]}"
        target.parent.mkdir(exist_ok=True)
        os.replace(work / "usr/bin/kubectl", target)
    return ""
