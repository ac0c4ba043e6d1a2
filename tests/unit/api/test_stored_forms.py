"""Objects that earlier versions of Pinnace have stored: each can be read, shown, written and removed after an upgrade.

stored/ holds a state file of each version whose stored form differs from the next one's; a released one never changes.
"""

import gzip
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pinnace.api.facade import Api
from pinnace.api.patches import Patch
from pinnace.base.chance import Chance
from pinnace.base.clock import FrozenClock
from pinnace.kube import codec, kinds
from pinnace.store.sqlite import SqliteStore
from tests.unit.api.builders import NOW

STORED = Path(__file__).parent / "stored"
FILES = sorted(STORED.glob("*.db.gz"))

# What every one of the files holds, by the store's resource.
NAMES = {
    "apps/deployments": ["applied", "sample"],
    "apps/replicasets": ["sample"],
    "autoscaling/horizontalpodautoscalers": ["old", "sample"],
    "coordination.k8s.io/leases": ["sample"],
    "discovery.k8s.io/endpointslices": ["sample"],
    "endpoints": ["sample"],
    "namespaces": ["default", "sample"],
    "nodes": ["sample"],
    "pinnace.dev/containers": ["one"],
    "pinnace.dev/images": ["app-v1"],
    "pinnace.dev/volumes": ["data"],
    "pods": ["leaving", "sample"],
    "secrets": ["sample"],
    "serviceaccounts": ["sample"],
    "services": ["sample"],
}


@pytest.fixture(params=FILES, ids=lambda path: path.name.removesuffix(".db.gz"))
async def api(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Api]:
    path = tmp_path / "state.db"
    path.write_bytes(gzip.decompress(request.param.read_bytes()))
    store = SqliteStore(path)
    yield Api(store, FrozenClock(NOW + 60), Chance(8))
    await store.close()


async def test_there_is_a_file_to_test() -> None:
    assert FILES


async def test_every_object_is_read_with_what_it_held(api: Api) -> None:
    found = {
        kind.resource: [obj.metadata.name for obj in api.list(kind)]
        for kind in kinds.STORED
        if kind.resource in NAMES
    }
    assert found == NAMES
    assert api.get(kinds.DEPLOYMENT, "default", "applied").spec.template.spec.containers[0].image == "app:v1"
    assert api.get(kinds.SECRET, "default", "sample").data == {"a": "Yg=="}
    assert api.get(kinds.SERVICE, "default", "sample").spec.cluster_ip.startswith("10.96.")
    old = api.get(kinds.HORIZONTAL_POD_AUTOSCALER_V1, "default", "old")
    assert old.spec.target_cpu_utilization_percentage == 70
    leaving = api.get(kinds.POD, "default", "leaving")
    assert leaving.metadata.deletion_timestamp
    assert leaving.spec.node_name == "sample"


async def test_each_is_written_back_without_a_change_and_with_one(api: Api) -> None:
    for kind in kinds.STORED:
        for record in api.store.list(kind.resource).records:
            namespace, name = record.header.key.namespace, record.header.key.name
            before = api.get(kind, namespace, name)
            sent = codec.decode(kind, record.value)
            assert await api.update(sent) == before, f"{kind.kind} {name} changed by being sent back"
            patch = api.patch(kind, namespace, name, label_patch())
            assert (await patch).metadata.labels["upgraded"] == "yes"


def label_patch() -> Patch:
    return Patch("application/merge-patch+json", b'{"metadata":{"labels":{"upgraded":"yes"}}}')


async def test_what_was_leaving_can_go(api: Api) -> None:
    patch = Patch("application/merge-patch+json", b'{"metadata":{"finalizers":null}}')
    await api.patch(kinds.POD, "default", "leaving", patch)
    await api.delete(kinds.POD, "default", "leaving", grace_s=0)
    assert api.find(kinds.POD, "default", "leaving") is None
