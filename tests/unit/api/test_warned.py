from msgspec.structs import replace

from pinnace.api.context import Context
from pinnace.api.strategy import with_meta
from tests.unit.api.builders import deployment, make_api, pod

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


async def test_a_change_is_spoken_of_where_it_changed_what_is_wanted() -> None:
    api, _ = await make_api()
    spoken = []
    made = await api.create(deployment("a.b"))
    for changed in (
        with_meta(made, labels={"a": "b"}),
        replace(made, spec=replace(made.spec, replicas=7)),
    ):
        context = Context(user="ann", groups=("system:masters",))
        changed = with_meta(changed, resource_version="")
        await api.update(changed, context=context)
        spoken.append([sentence for sentence in context.warnings if sentence.startswith("metadata.name")])
    assert [len(each) for each in spoken] == [0, 1]


async def test_nothing_is_said_again_of_a_pod() -> None:
    api, _ = await make_api()
    made = await api.create(pod("a.b"))
    context = Context(user="ann", groups=("system:masters",))
    await api.update(with_meta(made, labels={"a": "b"}), context=context)
    assert context.warnings == []
