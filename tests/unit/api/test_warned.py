from pinnace.api.context import Context
from tests.unit.api.builders import make_api, pod

NFS = {"volumes": [{"name": "v", "nfs": {"server": "s", "path": "/p"}}]}


async def warn(name: str, annotations: dict[str, str]) -> list[str]:
    api, _ = await make_api()
    one = pod(name, spec=NFS)
    context = Context(user="ann", groups=("system:masters",))
    changed = type(one.metadata)(name=name, namespace="default", annotations=annotations)
    await api.create(type(one)(metadata=changed, spec=one.spec), context=context)
    return context.warnings


async def test_what_is_said_of_equal_specs_is_said_each_time() -> None:
    first = await warn("web", {})
    assert first and await warn("other", {"a": "b"}) == first


async def test_what_a_name_or_an_annotation_brings_is_said_of_that_pod_only() -> None:
    plain = await warn("web", {})
    assert len(await warn("web.example", {})) == len(plain) + 1
    critical = {"scheduler.alpha.kubernetes.io/critical-pod": ""}
    assert len(await warn("web", critical)) == len(plain) + 1
    assert await warn("web", {}) == plain
