"""Warnings go to whoever asks, unknown fields in patches too; the write path runs on the virtual loop."""

import pytest
from msgspec.structs import replace

from pinnace.api.context import SYSTEM, Context
from pinnace.api.facade import Api
from pinnace.api.patches import Patch
from pinnace.base.chance import Chance
from pinnace.base.clock import LoopClock
from pinnace.base.errors import ApiError
from pinnace.base.virtual import run_virtual
from pinnace.kube.kinds import CONFIG_MAP, POD
from pinnace.kube.objects.core_v1 import Namespace
from pinnace.kube.objects.meta_v1 import ObjectMeta
from pinnace.store.memory import MemoryStore
from tests.unit.api.builders import NOW, config_map, make_api, pod


async def test_a_variable_that_hides_another_is_worth_a_warning() -> None:
    api, _ = await make_api()
    context = Context(user="me")
    await api.create(pod(env=[{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]), context=context)
    assert context.warnings == [
        'spec.containers[0].env[1]: hides previous definition of "A", which may be dropped when using apply'
    ]
    assert SYSTEM.warnings == []


async def test_unknown_fields_in_a_patch_follow_the_validation_that_is_asked_for() -> None:
    api, _ = await make_api()
    await api.create(config_map())
    patch = Patch("application/merge-patch+json", b'{"dada":{"b":"2"}}')
    warned = Context(field_validation="Warn")
    await api.patch(CONFIG_MAP, "default", "settings", patch, context=warned)
    assert warned.warnings == ['unknown field "dada"']
    with pytest.raises(ApiError, match='unknown field "dada"'):
        await api.patch(CONFIG_MAP, "default", "settings", patch, context=Context(field_validation="Strict"))


async def test_an_unknown_subresource_is_not_allowed() -> None:
    api, _ = await make_api()
    await api.create(pod())
    with pytest.raises(ApiError) as caught:
        await api.patch(
            POD, "default", "web", Patch("application/merge-patch+json", b"{}"), subresource="nothing"
        )
    assert caught.value.code == 405


def test_the_write_path_runs_on_virtual_time() -> None:
    async def scenario() -> tuple[str, str | None]:
        clock = LoopClock(NOW)
        api = Api(MemoryStore(), clock, Chance(1))
        await api.create(Namespace(metadata=ObjectMeta(name="default")))
        await clock.sleep(3600)
        stored = await api.create(pod())
        watch = api.watch(POD)
        await api.update_status(replace(stored, status=replace(stored.status, phase="Running")))
        await watch.__anext__()
        change = await watch.__anext__()
        return stored.metadata.creation_timestamp, change.object.status.phase

    assert run_virtual(scenario()) == ("2026-01-02T01:00:00Z", "Running")
