"""The asynchronous Python clients `kubernetes-asyncio` and `kr8s`: what their documents show, against a running instance."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.product.instance import Product, pod_ready
from tests.product.manifests import config_map, container, deployment, pod, server

kubernetes_asyncio = pytest.importorskip("kubernetes_asyncio")
kr8s = pytest.importorskip("kr8s")

TALKER = "echo hello; trap 'exit 0' TERM; while :; do sleep 1 & wait $!; done"
WAIT_S = 60.0


def with_client(product: Product, story: Callable[[Any], Awaitable[Any]]) -> Any:
    """Run a story with an API client of kubernetes-asyncio."""

    async def run() -> Any:
        config = kubernetes_asyncio.client.Configuration()
        await kubernetes_asyncio.config.load_kube_config(
            config_file=product.env["KUBECONFIG"], client_configuration=config
        )
        async with asyncio.timeout(WAIT_S), kubernetes_asyncio.client.ApiClient(config) as api:
            return await story(api)

    return asyncio.run(run())


def test_kubernetes_asyncio_creates_lists_patches_and_deletes(product: Product, ns: str) -> None:
    async def story(api: Any) -> None:
        core, apps = kubernetes_asyncio.client.CoreV1Api(api), kubernetes_asyncio.client.AppsV1Api(api)
        await core.create_namespaced_pod(ns, pod("typed"))
        (found,) = (await core.list_namespaced_pod(ns, label_selector="app=typed")).items
        assert found.metadata.name == "typed"
        with pytest.raises(kubernetes_asyncio.client.ApiException) as refused:
            await core.create_namespaced_pod(ns, pod("typed"))
        assert refused.value.status == 409
        await apps.create_namespaced_deployment(ns, deployment("web", replicas=0))
        await apps.patch_namespaced_deployment("web", ns, {"metadata": {"labels": {"a": "b"}}})
        await apps.patch_namespaced_deployment_scale("web", ns, {"spec": {"replicas": 1}})
        web = await apps.read_namespaced_deployment("web", ns)
        assert (web.metadata.labels, web.spec.replicas) == ({"a": "b"}, 1)
        await core.delete_namespaced_pod("typed", ns, grace_period_seconds=0)

    with_client(product, story)


def test_kubernetes_asyncio_watches_what_several_do_at_once(product: Product, ns: str) -> None:
    async def story(api: Any) -> list[tuple[str, str]]:
        core = kubernetes_asyncio.client.CoreV1Api(api)
        seen: list[tuple[str, str]] = []

        async def watch() -> None:
            async with kubernetes_asyncio.watch.Watch() as stream:
                async for event in stream.stream(core.list_namespaced_config_map, ns, timeout_seconds=30):
                    if event["object"].metadata.name.startswith("facts"):
                        seen.append((event["type"], event["object"].metadata.name))
                    if len(seen) == 6:
                        return

        watching = asyncio.create_task(watch())
        names = [f"facts-{n}" for n in range(3)]
        for each in (
            lambda name: core.create_namespaced_config_map(ns, config_map(name, a="1")),
            lambda name: core.delete_namespaced_config_map(name, ns),
        ):
            await asyncio.gather(*map(each, names))
        await watching
        return seen

    seen = with_client(product, story)
    assert sorted(seen[:3]) == [("ADDED", f"facts-{n}") for n in range(3)]
    assert sorted(seen[3:]) == [("DELETED", f"facts-{n}") for n in range(3)]


def test_kubernetes_asyncio_runs_commands_and_reads_logs(product: Product, ns: str) -> None:
    product.apply(pod("talker", container(command=TALKER)), namespace=ns)
    product.until("pods", "talker", pod_ready, namespace=ns)

    async def story(api: Any) -> tuple[str, str]:
        core = kubernetes_asyncio.client.CoreV1Api(api)
        said = await core.read_namespaced_pod_log("talker", ns)
        async with kubernetes_asyncio.stream.WsApiClient(api.configuration) as streams:
            streaming = kubernetes_asyncio.client.CoreV1Api(streams)
            out = await streaming.connect_get_namespaced_pod_exec(
                "talker",
                ns,
                command=["sh", "-c", "echo out; exit 0"],
                stderr=True,
                stdin=False,
                stdout=True,
                tty=False,
            )
        return said, out

    assert with_client(product, story) == ("hello\n", "out\n")


# ---------------------------------------------------------------------------------------------------- kr8s


@pytest.fixture
def kr8s_api(product: Product, ns: str) -> Any:
    """The synchronous client of kr8s, in the test's namespace."""
    return kr8s.api(kubeconfig=product.env["KUBECONFIG"], namespace=ns)


def test_kr8s_creates_waits_runs_and_deletes(product: Product, kr8s_api: Any, ns: str) -> None:
    from kr8s.objects import Pod

    talker = Pod(pod("talker", container(command=TALKER)), namespace=ns, api=kr8s_api)
    talker.create()
    talker.wait("condition=Ready", timeout=WAIT_S)
    assert talker.ready()
    assert list(talker.logs()) == ["hello"]
    assert talker.exec(["sh", "-c", "echo out"]).stdout == b"out\n"
    talker.label(color="blue")
    assert [one.name for one in kr8s_api.get("pods", label_selector="color=blue")] == ["talker"]
    talker.delete()
    product.until_gone("pods", "talker", namespace=ns)


def test_kr8s_forwards_a_port(product: Product, kr8s_api: Any, ns: str) -> None:
    import httpx
    from kr8s.objects import Pod

    web = Pod(pod("web", server()), namespace=ns, api=kr8s_api)
    web.create()
    web.wait("condition=Ready", timeout=WAIT_S)
    with web.portforward(remote_port=8000, local_port="auto") as port:
        assert httpx.get(f"http://127.0.0.1:{port}/cgi-bin/who", timeout=20).text == "web\n"


def test_kr8s_scales_and_watches(kr8s_api: Any, ns: str) -> None:
    from kr8s.objects import Deployment

    web = Deployment(deployment("web", replicas=1), namespace=ns, api=kr8s_api)
    web.create()
    web.scale(2)
    web.wait("condition=Available", timeout=WAIT_S)
    for change, found in kr8s_api.watch("deployments"):
        assert change in ("ADDED", "MODIFIED")
        if found.status.get("readyReplicas") == 2:
            break
    assert {one.raw["spec"]["replicas"] for one in kr8s_api.get("deployments", "web")} == {2}
    assert "apps/v1" in {one["version"] for one in kr8s_api.api_resources()}
    web.delete()


# ---------------------------------------------------------------------------------------------------- restarts


def test_an_informer_goes_on_over_a_restart_of_the_daemon(make_product: Callable[[], Product]) -> None:
    """Nothing is seen twice as new, nothing is missed, though the daemon is killed in the middle."""
    import kubernetes
    from kubernetes.informer.informer import SharedInformer

    product = make_product()
    product.up()
    server = kubernetes.config.new_client_from_config(config_file=product.env["KUBECONFIG"])
    port = server.configuration.host.rpartition(":")[2]
    core = kubernetes.client.CoreV1Api(server)
    added: list[str] = []
    informer = SharedInformer(
        core.list_namespaced_config_map, namespace="default", label_selector="seen", resync_period=1
    )
    informer.add_event_handler("ADDED", lambda one: added.append(one.metadata.name))
    informer.start()
    try:
        for name in ("one", "two"):
            product.apply({**config_map(name), "metadata": {"name": name, "labels": {"seen": "yes"}}})
        product.poll(lambda: added == ["one", "two"])
        product.kill_daemon()
        product.up(env={"PINNACE_API_PORT": port})
        product.apply({**config_map("three"), "metadata": {"name": "three", "labels": {"seen": "yes"}}})
        product.poll(lambda: "three" in added)
        assert added == ["one", "two", "three"]
        assert sorted(one.metadata.name for one in informer.cache.list()) == ["one", "three", "two"]
    finally:
        informer.stop()
