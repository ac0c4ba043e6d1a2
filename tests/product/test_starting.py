"""`up` and `down` themselves: what they say when they can't, who wins, what comes back, and that nothing is left."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable

import pytest

from tests.product.fixtures import NODE
from tests.product.instance import PINNACE, Object, Product, pod_ready
from tests.product.manifests import deployment, pod, service
from tests.product.requests import is_refused


def lines_of(done: subprocess.CompletedProcess[str]) -> list[str]:
    """Return what a refused command said: facts, then a hint; never a traceback."""
    assert "Traceback" not in done.stderr, done.stderr
    return done.stderr.splitlines()


# --- refusals -------------------------------------------------------------------------------------------------------


def test_without_root_up_says_so(make_product: Callable[[], Product]) -> None:
    own = make_product()
    words = ["unshare", "--user", *PINNACE, "up"]
    done = subprocess.run(words, capture_output=True, text=True, env=own.env, check=False)
    if "unshare failed" in done.stderr:
        pytest.skip("no user namespaces here")
    assert done.returncode == 1
    assert lines_of(done) == [
        "error: pinnace up needs root: it makes network links, mounts and cgroups",
        "hint: sudo pinnace up",
    ]


@pytest.mark.parametrize("missing", [("runc", "crun"), ("conmon",), ("nft",)], ids=lambda names: names[0])
def test_a_missing_program_is_named_with_what_to_install(
    make_product: Callable[[], Product], missing: tuple[str, ...]
) -> None:
    own = make_product()
    places = [path for name in missing if (path := shutil.which(name))]
    # Hidden from this command only, wherever it is looked for: in a mount namespace of its own.
    hide = "".join(f"mount --bind /dev/null {path}; " for path in places)
    words = ["unshare", "--mount", "sh", "-c", f"{hide}exec {shlex.join(PINNACE)} up"]
    done = subprocess.run(words, capture_output=True, text=True, env=own.env, timeout=60, check=False)
    assert done.returncode in (1, 2)
    said = lines_of(done)
    assert missing[0] in said[0], said
    assert said[-1].startswith("hint: ") and "apt-get install" in said[-1], said
    assert own.host.find_processes() == []


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--api-port", "hundred"), "'hundred' is not a port"),
        (("--node-capacity", "cpu=many"), "capacity cpu=many"),
        (("--pod-range", "10.0.0.0/99"), "10.0.0.0/99"),
        (("--service-range", "nonsense"), "nonsense"),
        (("--runtime", "podman"), "podman"),
        (("--name", "Big_Name"), "'Big_Name'"),
    ],
)
def test_a_wrong_setting_is_the_users_error(
    make_product: Callable[[], Product], flags: tuple[str, ...], words: str
) -> None:
    own = make_product()
    done = own.try_pinnace("up", *flags)
    assert done.returncode == 1, done.stderr
    assert words in lines_of(done)[0]
    assert own.host.find_processes() == []


def test_an_api_port_that_is_taken_is_told(own: Product, make_product: Callable[[], Product]) -> None:
    port = re.search(r"https://127\.0\.0\.1:(\d+)", own.pinnace("status"))
    assert port
    other = make_product()
    done = other.try_pinnace("up", "--api-port", port[1])
    assert done.returncode in (1, 2)
    assert port[1] in lines_of(done)[0] and lines_of(done)[-1].startswith("hint:")
    assert other.host.find_processes() == []


# --- one of them ------------------------------------------------------------------------------------------------------


def test_two_ups_at_once_one_wins_and_one_says_so(make_product: Callable[[], Product]) -> None:
    own = make_product()
    both = [
        subprocess.Popen(
            [*PINNACE, "up", *NODE], env=own.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    said = [one.communicate(timeout=60)[1] for one in both]
    assert sorted(one.returncode for one in both) == [0, 1], said
    loser = said[[one.returncode for one in both].index(1)]
    assert re.match(
        rf"error: the instance '{own.host.name}' runs already( \(pid {own.pid}\))?\nhint: ", loser
    )
    assert own.kubectl("get", "nodes", "--no-headers").split()[1] == "Ready"


def test_a_stale_pid_file_is_no_hindrance(make_product: Callable[[], Product]) -> None:
    own = make_product()
    own.host.run.mkdir(parents=True)
    (own.host.run / "pinnace.pid").write_text(f"{os.getpid()}\n")
    own.up()
    assert own.pid != os.getpid()


def test_commands_without_a_daemon_say_what_to_do(make_product: Callable[[], Product]) -> None:
    own = make_product()
    done = own.try_pinnace("status")
    assert done.returncode == 1
    assert lines_of(done) == [f"error: the instance '{own.host.name}' is not running", "hint: pinnace up"]
    assert own.try_pinnace("down").returncode == 0


# --- down, and up again -----------------------------------------------------------------------------------------------


def test_down_ends_everything_and_up_brings_it_back(own: Product) -> None:
    own.apply(deployment("web", replicas=2), service("web", "web"), pod("alone"))
    own.until("deployments", "web", lambda d: d["status"].get("readyReplicas") == 2)
    own.until("pods", "alone", pod_ready)
    address = own.get("services", "web")["spec"]["clusterIP"]
    names = ("images", "--no-trunc", "--format", "{{.ID}} {{.Repository}}:{{.Tag}} {{.Size}}")
    images = own.pinnace(*names)
    own.pinnace("down")
    assert own.host.find_leftovers() == []
    own.up(*NODE)
    assert own.pinnace(*names) == images
    own.until_all("pods", lambda found: sum(map(pod_ready, found)) == 3)
    assert own.get("services", "web")["spec"]["clusterIP"] == address
    own.poll(lambda: not is_refused(address, 80))
    own.until("deployments", "web", lambda d: d["status"].get("readyReplicas") == 2)


def test_down_clears_what_a_dead_daemon_left(own: Product) -> None:
    own.apply(deployment("web", replicas=2), pod("alone"))
    own.until_all("pods", lambda found: sum(map(pod_ready, found)) == 3)
    own.kill_daemon()
    done = own.try_pinnace("status")
    assert done.returncode == 1 and "has died" in lines_of(done)[0]
    assert own.host.find_processes()
    own.pinnace("down")
    assert own.host.find_leftovers() == []


def test_wipe_forgets_objects_and_images(own: Product) -> None:
    own.apply(pod("alone"))
    own.until("pods", "alone", pod_ready)
    own.pinnace("down", "--wipe")
    assert own.host.find_leftovers() == []
    assert not own.host.home.exists() and not own.host.run.exists()
    own.up(*NODE)
    assert own.list("pods") == []
    assert len(own.pinnace("images").splitlines()) == 1


def test_the_kubeconfig_is_merged_for_the_person_and_taken_back(make_product: Callable[[], Product]) -> None:
    own = make_product()
    config = own.host.root / "user" / ".kube" / "config"
    config.parent.mkdir()
    before = "apiVersion: v1\nkind: Config\ncurrent-context: other\ncontexts:\n- name: other\n  context: {cluster: c, user: u}\n"
    config.write_text(before)
    env = {"PINNACE_MERGE_KUBECONFIG": "1", "KUBECONFIG": ""}
    said = own.up(env=env)
    assert str(config) in said
    words = ["--kubeconfig", str(config), "--context", own.host.name, "get", "nodes", "-o", "name"]
    assert own.kubectl(*words).startswith("node/")
    assert own.kubectl("--kubeconfig", str(config), "config", "current-context") in (
        "other\n",
        f"{own.host.name}\n",
    )
    done = own.try_pinnace("down", "--wipe", env=env)
    assert done.returncode == 0
    assert own.host.name not in config.read_text() and "other" in config.read_text()


def test_foreground_ends_with_the_terminal(make_product: Callable[[], Product]) -> None:
    own = make_product()
    process = subprocess.Popen(
        [*PINNACE, "up", "--foreground"], env=own.env, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    assert any("is ready in" in line for line in iter(process.stderr.readline, ""))
    process.terminate()
    rest = process.communicate(timeout=20)[1]
    assert process.returncode == 0
    assert "Traceback" not in rest


# --- wrong manifests ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda d: d["spec"].update(replicas=-1), "spec.replicas: Invalid value"),
        (
            lambda d: d["spec"]["selector"].update(matchLabels={"a": "b"}),
            "spec.template.metadata.labels: Invalid value",
        ),
        (lambda d: d["metadata"].update(name="Big_Name"), "metadata.name: Invalid value"),
        (
            lambda d: d["spec"]["template"]["spec"]["containers"][0].pop("image"),
            "spec.template.spec.containers[0].image: Required value",
        ),
        (
            lambda d: d["spec"]["template"]["spec"].update(restartPolicy="Never"),
            "spec.template.spec.restartPolicy: Unsupported value",
        ),
        (
            lambda d: d["spec"]["template"]["spec"]["containers"][0].update(
                resources={"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}
            ),
            "spec.template.spec.containers[0].resources.requests: Invalid value",
        ),
    ],
)
def test_a_wrong_manifest_gets_kubernetes_words_with_the_field(
    product: Product, ns: str, change: Callable[[Object], None], field: str
) -> None:
    import yaml

    wrong = deployment("web")
    change(wrong)
    done = product.try_kubectl("apply", "-n", ns, "-f", "-", stdin=yaml.safe_dump(wrong))
    assert done.returncode == 1
    assert "is invalid" in done.stderr and field in done.stderr, done.stderr


def test_an_unknown_field_is_refused_by_its_path(product: Product, ns: str) -> None:
    import yaml

    wrong = deployment("web")
    wrong["spec"]["replica"] = 3
    wrong["spec"]["template"]["spec"]["containers"][0]["imagePulPolicy"] = "Never"
    done = product.try_kubectl("apply", "-n", ns, "-f", "-", "--validate=strict", stdin=yaml.safe_dump(wrong))
    assert done.returncode == 1
    assert 'strict decoding error: unknown field "spec.replica"' in done.stderr
    assert 'unknown field "spec.template.spec.containers[0].imagePulPolicy"' in done.stderr
    warned = product.try_kubectl("apply", "-n", ns, "-f", "-", "--validate=warn", stdin=yaml.safe_dump(wrong))
    assert warned.returncode == 0 and 'Warning: unknown field "spec.replica"' in warned.stderr
