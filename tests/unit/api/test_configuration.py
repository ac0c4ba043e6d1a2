"""ConfigMaps and Secrets: keys, sizes, immutability, text data."""

from typing import Any

import pytest
from msgspec.structs import replace

from pinnace.base.errors import ApiError
from pinnace.kube.kinds import SECRET
from tests.unit.api.builders import config_map, decode, make_api


def secret(**fields: Any) -> Any:
    return decode(SECRET, {"metadata": {"name": "s", "namespace": "default"}, **fields})


async def test_text_of_a_secret_becomes_data() -> None:
    api, _ = await make_api()
    stored = await api.create(secret(data={"a": "eA==", "b": "eQ=="}, stringData={"b": "new"}))
    assert (stored.type, stored.data, stored.string_data) == ("Opaque", {"a": "eA==", "b": "bmV3"}, {})


async def test_an_immutable_config_map_stays() -> None:
    api, _ = await make_api()
    stored = await api.create(replace(config_map(), immutable=True))
    with pytest.raises(ApiError) as caught:
        await api.update(replace(stored, data={"a": "2"}, immutable=None))
    words = "Forbidden: field is immutable when `immutable` is set"
    assert [(cause.field, cause.message) for cause in caught.value.causes] == [
        ("immutable", words),
        ("data", words),
    ]


async def test_keys_are_file_names() -> None:
    api, _ = await make_api()
    with pytest.raises(ApiError) as caught:
        await api.create(replace(config_map(), data={"a b": "1", "..": "2"}))
    assert [cause.field for cause in caught.value.causes] == ["data[a b]", "data[..]"]


async def test_a_config_map_holds_a_megabyte_at_most() -> None:
    api, _ = await make_api()
    with pytest.raises(ApiError, match="Too long: may not be more than 1048576 bytes"):
        await api.create(replace(config_map(), data={"a": "x" * (1024 * 1024 + 1)}))


async def test_a_type_of_secret_has_its_keys_and_stays() -> None:
    api, _ = await make_api()
    with pytest.raises(ApiError) as caught:
        await api.create(secret(type="kubernetes.io/tls", data={"tls.crt": "eA=="}))
    assert [(cause.field, cause.message) for cause in caught.value.causes] == [
        ("data[tls.key]", "Required value")
    ]
    await api.create(secret())
    with pytest.raises(ApiError, match=r'type: Invalid value: "example.com/x": field is immutable'):
        await api.update(secret(type="example.com/x"))
