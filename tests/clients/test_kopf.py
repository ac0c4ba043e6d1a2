"""An operator written with kopf, as people write them: handlers, a timer, a daemon's end, finalizers, events, a child."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from pinnace.controllers.definitions.controller import DefinitionController
from pinnace.controllers.garbage.controller import GarbageController
from pinnace.controllers.runner import ControllerRunner
from tests.clients.conftest import Kubectl

DEFINITION = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: greetings.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: greetings, kind: Greeting, shortNames: [hi]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    additionalPrinterColumns: [{name: Said, type: string, jsonPath: .status.on_create.said}]
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec: {type: object, required: [text], properties: {text: {type: string}, times: {type: integer, default: 2}}}
          status: {type: object, x-kubernetes-preserve-unknown-fields: true}
"""

OPERATOR = """
import kopf
import kubernetes


@kopf.on.startup()
def configure(settings, **_):
    settings.posting.enabled = True


@kopf.on.create("greetings")
def on_create(spec, name, namespace, body, **_):
    text = " ".join([spec["text"]] * spec["times"])
    child = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"{name}-words"}, "data": {"text": text}}
    kopf.adopt(child)
    kubernetes.config.load_kube_config()
    kubernetes.client.CoreV1Api().create_namespaced_config_map(namespace, child)
    kopf.info(body, reason="Greeted", message=f"said {text}")
    return {"said": text}


@kopf.on.update("greetings", field="spec.text")
def on_update(old, new, name, namespace, patch, **_):
    kubernetes.config.load_kube_config()
    kubernetes.client.CoreV1Api().patch_namespaced_config_map(f"{name}-words", namespace, {"data": {"text": new}})
    patch.status["changed"] = f"{old} to {new}"


@kopf.on.delete("greetings")
def on_delete(name, namespace, **_):
    kubernetes.config.load_kube_config()
    note = {"metadata": {"name": f"{name}-farewell"}}
    kubernetes.client.CoreV1Api().create_namespaced_config_map(namespace, note)


@kopf.timer("greetings", interval=0.2, initial_delay=0.1)
def tick(status, patch, **_):
    if status.get("beats", 0) < 3:
        patch.status["beats"] = status.get("beats", 0) + 1


@kopf.on.event("greetings")
def seen(type, logger, **_):
    logger.debug("seen %s", type)
"""

OBJECT = '{"apiVersion": "example.com/v1", "kind": "Greeting", "metadata": {"name": "one"}, "spec": {"text": "hello"}}'


class Operator:
    """The operator's process, and what it has said."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []

    async def listen(self) -> None:
        assert self.process.stderr is not None
        while line := await self.process.stderr.readline():
            self.lines.append(line.decode().rstrip())


@pytest.fixture
async def operator(kubectl: Kubectl, tmp_path: Path) -> AsyncIterator[Operator]:
    """An operator that runs against the server, with the definition in force."""
    api = kubectl.api
    runner = ControllerRunner(api, (DefinitionController(api, api.clock), GarbageController(api)), api.clock)
    runner.start()
    await kubectl("apply", "-f", "-", stdin=DEFINITION)
    script = tmp_path / "operator.py"
    script.write_text(OPERATOR)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "kopf", "run", "--standalone", "--namespace=default", "--log-format=plain", str(script)),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "KUBECONFIG": str(kubectl.kubeconfig)},
    )
    running = Operator(process)
    listening = asyncio.create_task(running.listen())
    yield running
    process.terminate()
    try:
        async with asyncio.timeout(10):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
    await listening
    await runner.close()


async def until(kubectl: Kubectl, operator: Operator, what: str, name: str, path: str, wanted: Any) -> None:
    """Wait until kubectl prints this; what the operator said is shown if it never does."""
    found = ""
    try:
        async with asyncio.timeout(20):
            while True:
                ran = await kubectl.run("get", what, name, "-o", f"jsonpath={path}")
                found = ran.out
                if ran.code == 0 and found == wanted:
                    return
                await asyncio.sleep(0.1)
    except TimeoutError:
        said = "\n".join(operator.lines[-40:])
        raise AssertionError(f"{what}/{name} {path}: {found!r}, not {wanted!r}\n{said}") from None


async def test_an_operator_greets_follows_ticks_and_takes_leave(kubectl: Kubectl, operator: Operator) -> None:
    await kubectl("create", "-f", "-", stdin=OBJECT)
    await until(kubectl, operator, "hi", "one", "{.status.on_create.said}", "hello hello")
    await until(kubectl, operator, "cm", "one-words", "{.data.text}", "hello hello")
    await until(kubectl, operator, "hi", "one", "{.status.beats}", "3")
    assert (await kubectl("get", "hi", "--no-headers")).split() == ["one", "hello", "hello"]
    owners = json.loads(await kubectl("get", "cm", "one-words", "-o", "jsonpath={.metadata.ownerReferences}"))
    assert [(owner["kind"], owner["name"]) for owner in owners] == [("Greeting", "one")]
    finalizers = await kubectl("get", "hi", "one", "-o", "jsonpath={.metadata.finalizers}")
    assert "kopf" in finalizers.lower()

    await kubectl("patch", "hi", "one", "--type=merge", "-p", '{"spec":{"text":"bye"}}')
    await until(kubectl, operator, "hi", "one", "{.status.changed}", "hello to bye")
    await until(kubectl, operator, "cm", "one-words", "{.data.text}", "bye")
    events = await kubectl(
        "get", "events", "--field-selector", "involvedObject.name=one", "-o", "jsonpath={.items[*].reason}"
    )
    assert "Greeted" in events.split()

    await kubectl("delete", "hi", "one", "--timeout=20s")
    await until(kubectl, operator, "cm", "one-farewell", "{.metadata.name}", "one-farewell")
    await kubectl("wait", "--for=delete", "cm/one-words", "--timeout=10s")
    assert not [line for line in operator.lines if "Traceback" in line], operator.lines
