"""Logging in, pulling and pushing as a person does it, and pods that pull, with a real registry behind TLS and a password."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.host.registries import PASSWORD, USER, RealRegistry, needs_registry, needs_skopeo, real_registry
from tests.product.instance import PINNACE, Product, container_state, pod_ready, waiting_reason
from tests.product.manifests import container, pod

pytestmark = [needs_registry, needs_skopeo]


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRegistry]:
    with real_registry(tmp_path_factory.mktemp("registry"), tls=True, auth="basic") as one:
        yield one


@pytest.fixture(scope="module")
def pushed(product: Product, registry: RealRegistry, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An image that only the registry has: its name, with the digest that the push told."""
    env = {"DOCKER_CONFIG": str(tmp_path_factory.mktemp("docker"))}
    log_in(product, registry, env)
    name = registry.reference("team/pods:v1")
    product.pinnace("tag", "tiny:v1", name)
    told = product.pinnace("push", name, env=env)
    product.pinnace("rmi", name)
    digest = told.rpartition("digest: ")[2].split()[0]
    return f"{name}@{digest}"


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """A person without credentials."""
    return {"DOCKER_CONFIG": str(tmp_path / "docker")}


def log_in(product: Product, registry: RealRegistry, env: dict[str, str]) -> None:
    words = ("login", "-u", USER, "--password-stdin", registry.host)
    assert product.pinnace(*words, stdin=PASSWORD.encode(), env=env) == "Login Succeeded\n"


def create_secret(product: Product, registry: RealRegistry, ns: str, name: str = "regcred") -> None:
    product.kubectl(
        *("create", "secret", "docker-registry", name, "-n", ns),
        *(f"--docker-server={registry.host}", f"--docker-username={USER}", f"--docker-password={PASSWORD}"),
    )


@contextmanager
def silent_server() -> Iterator[socket.socket]:
    """A registry that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)
        yield server


def address_of(server: socket.socket) -> str:
    return f"127.0.0.1:{server.getsockname()[1]}"


def test_login_push_pull_and_run(product: Product, registry: RealRegistry, env: dict[str, str]) -> None:
    name = registry.reference("team/life:v1")
    product.pinnace("tag", "tiny:v1", name)
    refused = product.try_pinnace("push", name, env=env)
    assert refused.returncode == 1
    assert "denied" in refused.stderr and f"hint: pinnace login {registry.host}" in refused.stderr

    log_in(product, registry, env)
    config = Path(env["DOCKER_CONFIG"]) / "config.json"
    assert config.stat().st_mode & 0o777 == 0o600
    assert list(json.loads(config.read_text())["auths"]) == [registry.host]
    told = product.pinnace("push", name, env=env).splitlines()
    assert told[0] == f"The push refers to repository [{registry.host}/team/life]"
    assert told[-2].endswith(": Pushed")
    digest = told[-1].removeprefix("v1: digest: ").split(" size: ")[0]
    assert registry.inspect("team/life:v1")["Digest"] == digest
    assert product.pinnace("push", "-q", name, env=env) == f"{name}\n"

    product.pinnace("rmi", name)
    told = product.pinnace("pull", name, env=env).splitlines()
    assert told[0] == "v1: Pulling from team/life"
    assert told[-3:] == [f"Digest: {digest}", f"Status: Downloaded newer image for {name}", name]
    told = product.pinnace("pull", name, env=env).splitlines()
    assert told[-2] == f"Status: Image is up to date for {name}"

    product.pinnace("rmi", name)
    done = product.try_pinnace("run", "-i", "--rm", name, "cat", stdin=b"all of it\n", env=env)
    assert (done.returncode, done.stdout) == (0, "all of it\n")
    assert done.stderr.startswith(f"Unable to find image '{name}' locally\nv1: Pulling from team/life\n")
    done = product.try_pinnace("run", "--rm", "--pull", "always", name, "echo", "hi", env=env)
    assert (done.stdout, "Image is up to date" in done.stderr) == ("hi\n", True)

    assert product.pinnace("logout", registry.host, env=env) == (
        f"Removing login credentials for {registry.host}\n"
    )
    assert product.try_pinnace("pull", name, env=env).returncode == 1


def test_all_tags_are_pushed_and_pulled(
    product: Product, registry: RealRegistry, env: dict[str, str]
) -> None:
    log_in(product, registry, env)
    repository = registry.reference("team/tags")
    for tag in ("a", "b"):
        product.pinnace("tag", "tiny:v1", f"{repository}:{tag}")
    told = product.pinnace("push", "-a", repository, env=env)
    assert "\na: digest: sha256:" in told and "\nb: digest: sha256:" in told
    product.pinnace("rmi", f"{repository}:a", f"{repository}:b")
    told = product.pinnace("pull", "-a", repository, env=env)
    assert "a: Pulling from team/tags\n" in told and "b: Pulling from team/tags\n" in told
    assert told.endswith(f"Status: Downloaded newer image for {repository}\n{repository}\n")


def test_a_registry_with_tokens_takes_the_same_login(
    product: Product, env: dict[str, str], tmp_path: Path
) -> None:
    with real_registry(tmp_path, tls=True, auth="token") as one:
        one.fill("team/token:v1")
        name = one.reference("team/token:v1")
        again = one.reference("team/token:v2")
        assert product.pinnace("pull", "-q", name, env=env) == f"{name}\n"  # everybody may
        product.pinnace("tag", name, again)
        refused = product.try_pinnace("push", again, env=env)
        assert (refused.returncode, "denied" in refused.stderr) == (1, True)
        log_in(product, one, env)
        assert "v2: digest: sha256:" in product.pinnace("push", again, env=env)
        product.pinnace("rmi", name, again)


def test_a_build_takes_its_private_base_with_the_persons_login(
    product: Product, registry: RealRegistry, pushed: str, env: dict[str, str], tmp_path: Path
) -> None:
    name = pushed.partition("@")[0]
    (tmp_path / "Dockerfile").write_text(f"FROM {pushed}\nCOPY Dockerfile /\n")
    refused = product.try_pinnace("build", "-t", "on-private:v1", str(tmp_path), env=env)
    assert refused.returncode == 1
    assert "Dockerfile:1: FROM" in refused.stderr and f"pinnace login {registry.host}" in refused.stderr
    log_in(product, registry, env)
    product.pinnace("build", "-t", "on-private:v1", str(tmp_path), env=env)
    product.pinnace("rmi", "on-private:v1")
    product.try_pinnace("rmi", name)


def test_a_wrong_password_is_refused_and_not_kept(
    product: Product, registry: RealRegistry, env: dict[str, str]
) -> None:
    done = product.try_pinnace("login", "-u", USER, "-p", "wrong", registry.host, env=env)
    assert (done.returncode, done.stdout) == (1, "")
    assert "WARNING! Using --password via the CLI is insecure. Use --password-stdin." in done.stderr
    assert "unauthorized" in done.stderr and "wrong" not in product.log
    assert not Path(env["DOCKER_CONFIG"]).exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("login", "-u", "ada"), "Cannot perform an interactive login from a non TTY device"),
        (("login", "--password-stdin"), "the --password-stdin option requires --username to be set"),
        (("pull", "-a", "x:v1"), "tag can't be used with --all-tags/-a"),
        (("pull", "Bad"), "must be lowercase"),
        (("push", "nobody/has:this"), "An image does not exist locally with the tag: nobody/has:this"),
    ],
)
def test_what_cannot_be_asked_for_is_told_in_dockers_words(
    product: Product, env: dict[str, str], words: tuple[str, ...], said: str
) -> None:
    done = product.try_pinnace(*words, env=env)
    assert done.returncode == 1
    assert said in done.stderr


def test_a_client_that_goes_away_ends_its_pull(product: Product, env: dict[str, str]) -> None:
    with silent_server() as server:
        process = subprocess.Popen(
            [*PINNACE, "pull", f"{address_of(server)}/app:v1"], env={**product.env, **env}
        )
        connection, _ = server.accept()
        with connection:
            connection.settimeout(20)
            process.terminate()
            process.wait(20)
            while connection.recv(4096):
                pass


# --- pods ------------------------------------------------------------------------------------------------------------


def test_a_pod_pulls_with_its_secret(product: Product, registry: RealRegistry, pushed: str, ns: str) -> None:
    name, _, digest = pushed.partition("@")
    create_secret(product, registry, ns)
    secrets = [{"name": "regcred"}]
    product.apply(pod("web", {**container(), "image": name}, imagePullSecrets=secrets), namespace=ns)
    ready = product.until("pods", "web", pod_ready, namespace=ns)
    assert container_state(ready)["imageID"] == f"{registry.host}/team/pods@{digest}"
    product.until_event("web", "Pulling", namespace=ns, has=f'Pulling image "{name}"')
    product.until_event("web", "Pulled", namespace=ns, has=f'Successfully pulled image "{name}" in ')
    product.kubectl("delete", "pod", "web", "-n", ns)
    product.pinnace("rmi", name)


def test_a_pod_without_credentials_backs_off_until_its_secret_comes(
    product: Product, registry: RealRegistry, pushed: str, ns: str
) -> None:
    name = pushed.partition("@")[0]
    secrets = [{"name": "late"}]
    product.apply(pod("web", {**container(), "image": name}, imagePullSecrets=secrets), namespace=ns)
    failed = product.until("pods", "web", lambda p: waiting_reason(p) == "ErrImagePull", namespace=ns)
    message = container_state(failed)["state"]["waiting"]["message"]
    assert "unauthorized" in message and f"pinnace login {registry.host}" in message
    waits = product.until("pods", "web", lambda p: waiting_reason(p) == "ImagePullBackOff", namespace=ns)
    message = container_state(waits)["state"]["waiting"]["message"]
    assert message.startswith(f'Back-off pulling image "{name}": ErrImagePull: ')
    product.until_event("web", "BackOff", namespace=ns, has=f'Back-off pulling image "{name}"')
    product.until_event("web", "Failed", namespace=ns, has=f'Failed to pull image "{name}": ')
    product.until_event("web", "FailedToRetrieveImagePullSecret", namespace=ns, has="(late)")
    assert "ImagePullBackOff" in product.kubectl("get", "pod", "web", "-n", ns)
    create_secret(product, registry, ns, "late")
    product.until("pods", "web", pod_ready, namespace=ns)
    product.kubectl("delete", "pod", "web", "-n", ns)
    product.pinnace("rmi", name)


def test_a_service_accounts_secrets_serve_its_pods(
    product: Product, registry: RealRegistry, pushed: str, ns: str
) -> None:
    name = pushed.partition("@")[0]
    create_secret(product, registry, ns)
    patch = '{"imagePullSecrets": [{"name": "regcred"}]}'
    product.kubectl("patch", "serviceaccount", "default", "-n", ns, "-p", patch)
    by_digest = {**container(), "image": pushed}
    product.apply(pod("web", {**container(), "image": name}), pod("fixed", by_digest), namespace=ns)
    product.until("pods", "web", pod_ready, namespace=ns)
    fixed = product.until("pods", "fixed", pod_ready, namespace=ns)
    assert container_state(fixed)["imageID"] == pushed.replace(":v1@", "@")
    product.kubectl("delete", "pod", "web", "fixed", "-n", ns)


def test_an_image_made_here_runs_under_latest_without_a_registry(
    product: Product, registry: RealRegistry, ns: str
) -> None:
    hosted = registry.reference("team/never-pushed")
    product.pinnace("tag", "tiny:v1", "made-here:latest")
    product.pinnace("tag", "tiny:v1", f"{hosted}:latest")
    short = {**container(), "image": "made-here", "imagePullPolicy": "Always"}
    product.apply(pod("short", short), pod("hosted", {**container(), "image": hosted}), namespace=ns)
    for name in ("short", "hosted"):
        product.until("pods", name, pod_ready, namespace=ns)
    product.until_event(
        "short", "Pulled", namespace=ns, has="no registry is asked though the policy is Always"
    )
    product.until_event("hosted", "Pulled", namespace=ns, has="it was made here, and is used because")
    product.kubectl("delete", "pod", "short", "hosted", "-n", ns)
    product.pinnace("rmi", "made-here:latest", f"{hosted}:latest")


def test_a_pod_can_be_deleted_while_its_image_comes_and_others_go_on(product: Product, ns: str) -> None:
    with silent_server() as server:
        slow = {**container(), "image": f"{address_of(server)}/app:v1"}
        product.apply(pod("slow", slow), namespace=ns)
        connection, _ = server.accept()
        with connection:
            product.apply(pod("quick"), namespace=ns)
            product.until("pods", "quick", pod_ready, namespace=ns)
            began = time.monotonic()
            product.kubectl("delete", "pod", "slow", "-n", ns)
            assert time.monotonic() - began < 15  # far less than a registry is waited for
            connection.settimeout(20)
            while connection.recv(4096):
                pass


class Valve:
    """A registry's door that can be shut: connections are taken, and led on only once it is opened."""

    def __init__(self, host: str) -> None:
        self._target = (host.split(":")[0], int(host.split(":")[1]))
        self._server = socket.create_server(("127.0.0.1", 0))
        self.host = address_of(self._server)
        self.open = threading.Event()
        self.knocked = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                self.knocked.set()
                threading.Thread(target=self._lead, args=(connection,), daemon=True).start()

    def _lead(self, connection: socket.socket) -> None:
        self.open.wait(60)
        with contextlib.suppress(OSError), connection, socket.create_connection(self._target) as target:
            back = threading.Thread(target=_copy, args=(target, connection), daemon=True)
            back.start()
            _copy(connection, target)
            back.join()

    def close(self) -> None:
        self.open.set()
        self._server.close()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def test_a_daemon_that_dies_while_pods_pull_leaves_the_pulls_to_the_next(
    own: Product, tmp_path: Path
) -> None:
    with real_registry(tmp_path) as one, contextlib.closing(Valve(one.host)) as valve:
        own.pinnace("tag", "tiny:v1", one.reference("team/app:v1"))
        own.pinnace("push", one.reference("team/app:v1"))
        own.apply(pod("web", {**container(), "image": f"{valve.host}/team/app:v1"}))
        assert valve.knocked.wait(30)
        own.kill_daemon()
        valve.knocked.clear()
        own.up()
        assert valve.knocked.wait(30)
        valve.open.set()
        own.until("pods", "web", pod_ready)


# --- settings, and the node's own credentials ------------------------------------------------------------------------

HELPER = """#!/bin/sh
test "$1" = get || exit 1
read -r server
case "$server" in
{host}) echo '{{"ServerURL": "{host}", "Username": "{user}", "Secret": "{password}"}}' ;;
*) echo "credentials not found in native keychain"; exit 1 ;;
esac
"""


def test_mirrors_certificates_and_the_owners_helper(
    make_product: Callable[[], Product], registry: RealRegistry, pushed: str, tmp_path: Path
) -> None:
    name, _, digest = pushed.partition("@")
    helper = tmp_path / "bin" / "docker-credential-test"
    helper.parent.mkdir()
    helper.write_text(HELPER.format(host=registry.host, user=USER, password=PASSWORD))
    helper.chmod(0o755)
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker" / "config.json").write_text(json.dumps({"credHelpers": {registry.host: "test"}}))
    one = make_product()
    env = {"DOCKER_CONFIG": str(tmp_path / "docker"), "PATH": f"{helper.parent}:{one.env['PATH']}"}
    with real_registry(tmp_path / "mirror") as mirror:
        mirror.fill("library/redis:7")
        mirror.fill("team/app:v1")
        one.up(
            *("--registry-mirrors", f"http://{mirror.host},registry.example=http://{mirror.host}"),
            *("--registry-certs", str(registry.cert_dir)),
            env=env,
        )
        told = one.pinnace("pull", "redis:7", env=env)
        assert "7: Pulling from library/redis\n" in told and told.endswith("docker.io/library/redis:7\n")
        assert one.pinnace("pull", "-q", "registry.example/team/app:v1", env=env) == (
            "registry.example/team/app:v1\n"
        )
    one.apply(pod("web", {**container(), "image": name}))
    ready = one.until("pods", "web", pod_ready)
    assert container_state(ready)["imageID"].endswith(digest)
    assert PASSWORD not in one.log


def test_settings_that_can_be_none_are_refused_before_anything_starts(
    make_product: Callable[[], Product],
) -> None:
    one = make_product()
    for words, said in (
        (("--registry-mirrors", "mirror.example.com"), "is no mirror"),
        (("--insecure-registries", "http://registry.example"), "should not contain '://'"),
    ):
        done = one.try_pinnace("up", *words)
        assert done.returncode == 1
        assert said in done.stderr
