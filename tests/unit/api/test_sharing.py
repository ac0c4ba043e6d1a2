"""Pods of one template share one spec in memory, and nobody can tell."""

import pytest

from pinnace.api.sharing import decode_shared
from pinnace.base.errors import ApiError
from pinnace.kube import codec
from pinnace.kube.kinds import CONFIG_MAP, POD
from tests.unit.api.builders import config_map, make_api, pod


async def test_what_is_decoded_is_what_was_stored() -> None:
    api, _ = await make_api()
    stored = await api.create(
        pod("web", spec={"nodeSelector": {"disk": "fast"}}, env=[{"name": "A", "value": "1"}])
    )
    record = api.get_raw(POD, "default", "web")
    assert decode_shared(POD, record.value) == stored == codec.decode(POD, record.value)


def test_pods_of_one_template_share_their_spec() -> None:
    one, two = (decode_shared(POD, codec.encode(pod(name))) for name in ("web-1", "web-2"))
    assert one.spec is two.spec
    assert (one.metadata.name, two.metadata.name) == ("web-1", "web-2")


def test_pods_of_two_templates_do_not() -> None:
    one, two = (decode_shared(POD, codec.encode(pod("web", image=image))) for image in ("app:v1", "app:v2"))
    assert [one.spec.containers[0].image, two.spec.containers[0].image] == ["app:v1", "app:v2"]


def test_other_kinds_are_decoded_as_ever() -> None:
    settings = config_map()
    assert decode_shared(CONFIG_MAP, codec.encode(settings)) == settings


def test_null_is_absence_here_too() -> None:
    data = b'{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web","labels":null},"spec":{"volumes":null}}'
    assert decode_shared(POD, data) == codec.decode(POD, data)


def test_what_is_no_pod_is_refused_with_its_field() -> None:
    with pytest.raises(ApiError, match="hostNetwork"):
        decode_shared(POD, b'{"apiVersion":"v1","kind":"Pod","spec":{"hostNetwork":"yes"}}')
