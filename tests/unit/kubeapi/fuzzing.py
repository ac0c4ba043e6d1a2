"""Makes requests from our own OpenAPI documents: right ones, nearly right ones and nonsense.

Used by test_fuzz_openapi.py in a few seconds, and by hand for as long as one likes:
    python -m tests.unit.kubeapi.fuzzing --seconds 300 --seed 7
It prints each request that was answered with a 5xx, or with what is no Status. A request follows from a `Random` alone.
"""

from __future__ import annotations

import argparse
import asyncio
import copy
import json
import random
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, urlencode

import aiohttp
import msgspec

from pinnace.api.facade import Api
from pinnace.base.chance import Chance
from pinnace.base.clock import SystemClock
from pinnace.kube import openapi
from pinnace.kube.kind_table import BUILT_IN, KindTable
from pinnace.kube.objects.core_v1 import Namespace
from pinnace.kube.objects.meta_v1 import ObjectMeta
from pinnace.kubeapi.server import KubeServer
from pinnace.kubeapi.settings import ServerSettings, World
from pinnace.store.memory import MemoryStore

NASTY: tuple[Any, ...] = (
    None, "", 0, -1, 1, 2**31 - 1, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**40, 0.5, -0.0, 1e308, True,
    False, [], {}, [[]], [None], {"": ""}, {"a": None}, {"a": {"b": {"c": []}}}, "\0", "a\nb", "é" * 40, "x" * 3000, "1Gi",
    "1m", "-1", "1e400", "0x1", "50%", "150%", "-5%", "a.b/c", "/", "..", "*", "A_B", "\ud7ff\ue000", "🙂", "2026-01-02T03:04:05Z",
    "2026-13-45T99:00:00Z", "10.0.0.1", "::1", "10.0.0.0/8", "default", "kube-system", "sample", "web", "app=web", "$patch",
)  # fmt: skip
WORDS = (
    "a", "web", "sample", "default", "Always", "Never", "TCP", "UDP", "ClusterIP", "None", "RollingUpdate", "Recreate", "app",
    "http", "v1", "apps/v1", "Pod", "Deployment", "cpu", "memory", "100m", "64Mi", "In", "Exists", "Equal", "NoSchedule",
    "kubernetes.io/hostname", "Utilization", "Resource", "10.96.0.10", "25%", "*/5 * * * *", "Opaque", "rbac.authorization.k8s.io",
    "get", "*", "pods", "ReadWriteOnce", "Delete", "Foreground", "IPv4", "true", "2026-01-02T03:04:05Z", "x.example.com",
)  # fmt: skip
NAMES = (
    "sample",
    "web",
    "a",
    "none",
    "A",
    "a b",
    "..",
    "%",
    "é",
    "x" * 260,
    "a.b",
    "default",
    "kubernetes",
    "\0",
    "a:b",
)
ACCEPTS = (
    "", "application/json", "*/*", "application/yaml", "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
    "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io,application/json",
    "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json",
    "application/vnd.kubernetes.protobuf", "application/cbor", "text/html;q=x", ";;,=", "application/json;as=Table;v=v9;g=x",
)  # fmt: skip
QUERY_VALUES = (
    "", "0", "1", "true", "false", "-1", "abc", "1e3", "All", "Strict", "Warn", "Ignore", "Exact", "NotOlderThan", "Orphan",
    "Foreground", "Background", "99999999999999999999", "metadata.name=sample", "metadata.name!=a,x=y", "app=web", "app in (a,b)",
    "!app", "a=b=c", "((", "spec.nodeName=", "\\", "a,b", "\0", "é", "Object", "None", "Metadata", "x" * 200,
)  # fmt: skip
EXTRA_QUERY = (
    "resourceVersion", "includeObject", "pretty", "container", "tailLines", "sinceTime", "sinceSeconds", "limitBytes", "command",
    "ports", "follow", "timestamps", "unknown", "force", "dryRun", "fieldManager", "fieldValidation", "labelSelector",
    "fieldSelector", "limit", "continue", "resourceVersionMatch", "sendInitialEvents", "allowWatchBookmarks", "orphanDependents",
)  # fmt: skip
BODY_TYPES = (
    "application/json", "application/yaml", "application/json; charset=utf-8", "application/vnd.kubernetes.protobuf",
    "application/cbor", "text/plain", "", "application/merge-patch+json", "application/json-patch+json",
)  # fmt: skip
PATCH_TYPES = (
    "application/merge-patch+json", "application/strategic-merge-patch+json", "application/json-patch+json",
    "application/apply-patch+yaml",
)  # fmt: skip
MAX_DEPTH = 9

_SPEC = {
    "type": "object",
    "required": ["size"],
    "properties": {
        "size": {"type": "integer", "format": "int32", "minimum": 1, "maximum": 9, "default": 3},
        "mode": {"type": "string", "enum": ["fast", "slow"], "default": "fast"},
        "name": {"type": "string", "pattern": "^[a-z]*$", "maxLength": 20, "nullable": True},
        "port": {"x-kubernetes-int-or-string": True},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        "when": {"type": "string", "format": "date-time"},
        "parts": {
            "type": "array",
            "maxItems": 5,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["id"],
            "items": {
                "type": "object",
                "required": ["id"],
                "properties": {"id": {"type": "string"}, "weight": {"type": "number"}},
            },
        },
        "labels": {"type": "object", "additionalProperties": {"type": "string", "maxLength": 9}},
        "least": {"type": "integer"},
        "most": {"type": "integer"},
    },
    "x-kubernetes-validations": [
        {
            "rule": "!has(self.least) || !has(self.most) || self.least <= self.most",
            "message": "least above most",
        }
    ],
}
DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "gadgets.fuzz.example.com"},
    "spec": {
        "group": "fuzz.example.com",
        "scope": "Namespaced",
        "names": {"plural": "gadgets", "singular": "gadget", "kind": "Gadget", "listKind": "GadgetList"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {
                    "status": {},
                    "scale": {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size"},
                },
                "additionalPrinterColumns": [
                    {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
                    {"name": "When", "type": "date", "jsonPath": ".spec.when"},
                    {"name": "Part", "type": "string", "jsonPath": ".spec.parts[0].id"},
                ],
                "selectableFields": [{"jsonPath": ".spec.mode"}],
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": _SPEC,
                            "status": {"type": "object", "properties": {"size": {"type": "integer"}}},
                        },
                    }
                },
            }
        ],
    },
}
GADGET = {
    "apiVersion": "fuzz.example.com/v1",
    "kind": "Gadget",
    "metadata": {"name": "sample"},
    "spec": {
        "size": 2,
        "parts": [{"id": "a", "weight": 0.5}],
        "free": {"x": [1, {"y": None}]},
        "port": "50%",
    },
}


class Dice(Protocol):
    """What of `random.Random` is used here; hypothesis has one that it can shrink."""

    def random(self) -> float: ...
    def randint(self, a: int, b: int) -> int: ...
    def choice(self, seq: Any) -> Any: ...


@dataclass
class Operation:
    """One method of one path of a document."""

    method: str
    path: str
    kind: str
    parameters: tuple[str, ...]
    schema: Any
    schemas: dict[str, Any] = field(repr=False, default_factory=dict)


@dataclass
class Request:
    """One request, ready to be sent."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes | None

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.headers}\n{self.body[:2000] if self.body else self.body!r}"


def read_operations(kinds: KindTable = BUILT_IN, only: str = "") -> list[Operation]:
    """Return what our documents offer, or that of one group."""
    found: list[Operation] = []
    for group, version in kinds.routes:
        if only and group != only:
            continue
        document = msgspec.json.decode(openapi.openapi_v3(group, version, kinds))
        schemas = document["components"]["schemas"]
        for path, item in document["paths"].items():
            for method, operation in item.items():
                if method != "parameters":
                    found.append(_read_operation(path, method, operation, schemas))
    return found


def _read_operation(path: str, method: str, operation: dict[str, Any], schemas: dict[str, Any]) -> Operation:
    media = operation.get("requestBody", {}).get("content", {})
    answer = operation.get("responses", {}).get("200", {}).get("content", {})
    content = answer if method == "patch" else media  # a patch's own schema says nothing
    schema = next((part["schema"] for part in content.values()), None)
    names = tuple(parameter["name"] for parameter in operation.get("parameters", ()))
    kind = operation.get("x-kubernetes-group-version-kind", {}).get("kind", "")
    return Operation(method.upper(), path, kind, names, schema, schemas)


def nasty(dice: Dice) -> Any:
    """Return a value that fits few fields."""
    return copy.deepcopy(dice.choice(NASTY))


def make_value(dice: Dice, schema: Any, schemas: dict[str, Any], depth: int = 0) -> Any:
    """Return a value that mostly fits a schema."""
    roll = dice.random()
    if roll < 0.04 or schema is None:
        return nasty(dice)
    while isinstance(schema, dict) and ("$ref" in schema or "allOf" in schema):
        reference = schema.get("$ref") or schema["allOf"][0].get("$ref")
        schema = schemas[reference.rpartition("/")[2]] if reference else schema["allOf"][0]
    if depth > MAX_DEPTH:
        return None
    if "properties" in schema:
        return _make_object(dice, schema, schemas, depth)
    match schema.get("type"):
        case "array":
            return [
                make_value(dice, schema.get("items"), schemas, depth + 1) for _ in range(dice.randint(0, 2))
            ]
        case "object":
            inner = schema.get("additionalProperties")
            return {
                dice.choice(WORDS): make_value(dice, inner, schemas, depth + 1)
                for _ in range(dice.randint(0, 2))
            }
        case "integer":
            return dice.choice((0, 1, 2, 5, 30, 80, 8080, 65536, -1, 2**31))
        case "boolean":
            return dice.random() < 0.5
        case "number":
            return dice.choice((0, 0.5, 1, 1e9))
    return dice.choice(schema.get("enum") or WORDS)


def _make_object(dice: Dice, schema: Any, schemas: dict[str, Any], depth: int) -> dict[str, Any]:
    required = set(schema.get("required", ()))
    likely = 0.5 if depth < 2 else 0.25 if depth < 5 else 0.1
    made = {}
    for name, inner in schema["properties"].items():
        if dice.random() < (0.95 if name in required else likely) and name not in ("kind", "apiVersion"):
            made[name] = make_value(dice, inner, schemas, depth + 1)
    if dice.random() < 0.03:
        made[dice.choice(WORDS)] = nasty(dice)
    return made


def mutate(dice: Dice, document: Any, operation: Operation) -> Any:
    """Return a document with a few places changed."""
    changed = copy.deepcopy(document)
    for _ in range(dice.randint(0, 3)):
        holder, place = changed, None
        for _ in range(dice.randint(1, 8)):
            places = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
            if not places:
                break
            place = dice.choice(places)
            if not isinstance(holder[place], dict | list) or dice.random() < 0.15:
                break
            holder, place = holder[place], None
        if place is None:
            if isinstance(holder, dict):
                holder[dice.choice(WORDS)] = nasty(dice)
            else:
                holder.append(nasty(dice))
        elif dice.random() < 0.2:
            del holder[place]
        else:
            holder[place] = nasty(dice)
    return changed


def make_request(dice: Dice, operations: list[Operation], samples: dict[str, list[Any]]) -> Request:
    """Return one request."""
    # The custom kind's come last, and are few; its own code is as long as that of all others.
    operation = operations[-dice.randint(1, 14)] if dice.random() < 0.1 else dice.choice(operations)
    path = operation.path
    namespace = dice.choice(("default",) * 8 + ("none", "A", "kube-system"))
    name = "sample" if dice.random() < 0.7 else dice.choice(NAMES)
    path = path.replace("{namespace}", namespace).replace("{name}", quote(name, safe=""))
    query = _make_query(dice, operation)
    headers = {}
    if accept := dice.choice(ACCEPTS) if dice.random() < 0.4 else "":
        headers["Accept"] = accept
    body = None
    if operation.method in ("POST", "PUT", "PATCH", "DELETE"):
        media = dice.choice(PATCH_TYPES) if operation.method == "PATCH" else "application/json"
        if dice.random() < 0.06:
            media = dice.choice(BODY_TYPES)
        body = _make_body(dice, operation, media, samples, name)
        headers["Content-Type"] = media
        if operation.method == "PATCH" and media.startswith("application/apply") and dice.random() < 0.9:
            query["fieldManager"] = "fuzz"
    text = urlencode(query)
    return Request(operation.method, f"{path}?{text}" if text else path, headers, body)


def _make_query(dice: Dice, operation: Operation) -> dict[str, str]:
    if dice.random() < 0.6:
        return {}
    names = (*operation.parameters, *EXTRA_QUERY)
    return {dice.choice(names): dice.choice(QUERY_VALUES) for _ in range(dice.randint(1, 3))}


def _make_body(
    dice: Dice, operation: Operation, media: str, samples: dict[str, list[Any]], name: str
) -> bytes:
    known = samples.get(operation.kind)
    document: Any
    if known and dice.random() < 0.6:
        document = mutate(dice, dice.choice(known), operation)
    else:
        document = make_value(dice, operation.schema, operation.schemas)
    if isinstance(document, dict) and operation.method != "DELETE" and dice.random() < 0.9:
        meta = document.setdefault("metadata", {})
        if isinstance(meta, dict):
            meta["name"] = name
    if media == "application/json-patch+json":
        document = _make_json_patch(dice, document)
    if media == "application/apply-patch+yaml" and isinstance(document, dict):
        group = operation.path.split("/")
        version = group[2] if group[1] == "api" else f"{group[2]}/{group[3]}"
        document |= {"apiVersion": version, "kind": operation.kind}
    data = json.dumps(document).encode()
    return _damage(dice, data) if dice.random() < 0.04 else data


def _make_json_patch(dice: Dice, document: Any) -> list[Any]:
    operations = []
    for _ in range(dice.randint(0, 3)):
        pointer = ""
        value = document
        for _ in range(dice.randint(1, 5)):
            if isinstance(value, dict) and value:
                word = dice.choice(list(value))
                value = value[word]
            elif isinstance(value, list) and value:
                word = str(dice.randint(0, len(value)))
                value = value[0]
            else:
                break
            pointer += "/" + str(word).replace("~", "~0").replace("/", "~1")
        verb = dice.choice(("add", "remove", "replace", "test", "move", "copy", "nonsense"))
        inner = value if dice.random() < 0.4 else nasty(dice)
        operations.append({"op": verb, "path": pointer, "value": inner, "from": "/metadata/labels"})
    return operations


def _damage(dice: Dice, data: bytes) -> bytes:
    at = dice.randint(0, len(data))
    damaged: bytes = dice.choice(
        (
            data[:at],
            data[:at] + bytes((dice.randint(0, 255),)) + data[at:],
            data[:at] + b"\\ud800" + data[at:],
            data + data,
            b"[" * 5000,
            b'{"a":' * 3000 + b"1" + b"}" * 3000,
            b"\xef\xbb\xbf" + data,
            data.replace(b'"', b"'"),
            b"&a [*a]",
            data.replace(b": ", b": !!python/object "),
        )
    )
    return damaged


# ---------------------------------------------------------------------------------------------------- against a server


class Target:
    """A server with samples of every kind in it."""

    def __init__(self, samples: list[tuple[Any, dict[str, Any]]]) -> None:
        self.samples: dict[str, list[Any]] = {}
        for kind, document in samples:
            self.samples.setdefault(kind.kind, []).append(document)
        self.operations = read_operations()

    async def open(self, folder: Path) -> None:
        self.api = Api(MemoryStore(), SystemClock(), Chance(1))
        for name in ("default", "kube-system"):
            await self.api.create(Namespace(metadata=ObjectMeta(name=name)))
        self.server = KubeServer(self.api, World(), ServerSettings())
        path = folder / "fuzz.sock"
        await self.server.serve_unix(path)
        self.session = aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path)))
        await self._define()

    async def _define(self) -> None:
        """Add a kind of somebody's own, with a bit of everything that a schema may say."""
        definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        body = json.dumps(DEFINITION).encode()
        status, problem = await self.ask(
            Request("POST", definitions, {"Content-Type": "application/json"}, body)
        )
        assert status == 201, problem
        async with asyncio.timeout(5):
            while self.api.kinds.by_plural("fuzz.example.com", "v1", "gadgets") is None:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        self.operations += read_operations(self.api.kinds, "fuzz.example.com")
        self.samples["Gadget"] = [GADGET]

    async def close(self) -> None:
        await self.session.close()
        await self.server.close()
        await self.api.store.close()

    async def ask(self, request: Request) -> tuple[int, str]:
        """Send a request; return its status and what is wrong with the answer, "" if nothing is."""
        url = "http://kube" + request.path
        from yarl import URL

        async with (
            asyncio.timeout(20),
            self.session.request(
                request.method, URL(url, encoded=True), data=request.body, headers=request.headers
            ) as response,
        ):
            if response.status >= 500 and response.status not in (503, 504):
                return response.status, f"{response.status}: {(await response.read())[:1500]!r}"
            if "watch" in request.path or "follow" in request.path:
                response.close()
                return response.status, ""
            body = await response.read()
            if response.status < 400 or not response.content_type.endswith("json"):
                return response.status, ""
            status = json.loads(body)
            good = (
                status.get("kind") == "Status"
                and status.get("code") == response.status
                and status.get("message")
            )
            return response.status, "" if good else f"no Status: {body[:500]!r}"

    async def read_everything(self) -> list[str]:
        """Return what can't be read back in one of its forms: nothing."""
        wrong = []
        for kind in self.api.kinds.served:
            if "list" not in kind.verbs or kind.group == "metrics.k8s.io":
                continue
            base = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
            for accept in (ACCEPTS[1], ACCEPTS[3], ACCEPTS[4]):
                _, problem = await self.ask(Request("GET", f"{base}/{kind.plural}", {"Accept": accept}, None))
                if problem:
                    wrong.append(f"{kind.plural}: {problem}")
        return wrong


async def run(seconds: float, seed: int, quiet: bool) -> int:
    """Fuzz for a while; return how many answers were wrong."""
    from tests.unit.api.test_every_kind import SAMPLES

    target, codes, wrong = Target(SAMPLES), Counter[int](), 0
    with tempfile.TemporaryDirectory() as folder:
        await target.open(Path(folder))
        end, number = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            number += 1
            request = make_request(random.Random(f"{seed}/{number}"), target.operations, target.samples)
            try:
                code, problem = await target.ask(request)
            except Exception as error:  # noqa: BLE001 - a hang or a lost connection is a finding as well
                code, problem = 0, repr(error)
            codes[code] += 1
            if problem:
                wrong += 1
                if not quiet or wrong < 20:
                    print(f"--- {seed}/{number}: {problem}\n{request}\n", flush=True)
            if number % 2000 == 0:
                for line in await target.read_everything():
                    wrong += 1
                    print(f"--- after {seed}/{number}: {line}", flush=True)
        print(f"{number} requests, {wrong} wrong, {dict(sorted(codes.items()))}")
        await target.close()
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--quiet", action="store_true")
    given = parser.parse_args()
    return 1 if asyncio.run(run(given.seconds, given.seed, given.quiet)) else 0


if __name__ == "__main__":
    raise SystemExit(main())
