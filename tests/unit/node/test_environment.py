"""A container's environment, as Kubernetes documents it."""

import base64

import pytest

from pinnace.kube.objects.core_v1 import (
    ConfigMap,
    ConfigMapEnvSource,
    ConfigMapKeySelector,
    EnvFromSource,
    EnvVar,
    EnvVarSource,
    ObjectFieldSelector,
    ResourceFieldSelector,
    ResourceRequirements,
    Secret,
    SecretKeySelector,
    Service,
    ServicePort,
    ServiceSpec,
)
from pinnace.kube.objects.meta_v1 import ObjectMeta
from pinnace.node.environment import Lookups, MissingReference, NodeFacts, compute_environment, expand
from tests.unit.node.builders import container, pod

NODE = NodeFacts("n1", "192.0.2.1", 2000, 8 << 30)
CONFIG = ConfigMap(metadata=ObjectMeta(name="conf"), data={"a": "1", "b": "2"})
SECRET = Secret(metadata=ObjectMeta(name="keys"), data={"token": base64.b64encode(b"s3cret").decode()})
NOTHING = Lookups(lambda name: None, lambda name: None)
FULL = Lookups(
    lambda name: CONFIG if name == "conf" else None, lambda name: SECRET if name == "keys" else None
)


def env_of(c, lookups: Lookups = FULL) -> dict[str, str]:  # type: ignore[no-untyped-def]
    return compute_environment(pod(c), c, pod_ip="10.0.0.2", node=NODE, lookups=lookups)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$(A)", "1"),
        ("x$(A)y$(B)", "x1y2"),
        ("$(UNKNOWN)", "$(UNKNOWN)"),
        ("$$(A)", "$(A)"),
        ("$A $", "$A $"),
        ("$$$(A)", "$1"),
        ("$(A", "$(A"),
    ],
)
def test_references_are_replaced_when_known_and_escaped_by_a_second_dollar(text: str, expected: str) -> None:
    assert expand(text, {"A": "1", "B": "2"}) == expected


def test_later_sources_win_and_variables_see_those_before_them() -> None:
    c = container(
        env_from=(EnvFromSource(prefix="P_", config_map_ref=ConfigMapEnvSource(name="conf")),),
        env=(
            EnvVar(name="P_a", value="own"),
            EnvVar(name="all", value="$(P_a)-$(P_b)-$(later)"),
            EnvVar(name="later", value="x"),
        ),
    )
    assert env_of(c) == {"P_a": "own", "P_b": "2", "all": "own-2-$(later)", "later": "x"}


def test_keys_fields_and_resources_become_values() -> None:
    source = EnvVarSource
    c = container(
        resources=ResourceRequirements(limits={"cpu": "1500m", "memory": "64Mi"}),
        env=(
            EnvVar(
                name="KEY", value_from=source(config_map_key_ref=ConfigMapKeySelector(name="conf", key="a"))
            ),
            EnvVar(
                name="TOKEN", value_from=source(secret_key_ref=SecretKeySelector(name="keys", key="token"))
            ),
            EnvVar(name="IP", value_from=source(field_ref=ObjectFieldSelector(field_path="status.podIP"))),
            EnvVar(name="NAME", value_from=source(field_ref=ObjectFieldSelector(field_path="metadata.name"))),
            EnvVar(
                name="CPU", value_from=source(resource_field_ref=ResourceFieldSelector(resource="limits.cpu"))
            ),
            EnvVar(
                name="MIB",
                value_from=source(
                    resource_field_ref=ResourceFieldSelector(resource="limits.memory", divisor="1Mi")
                ),
            ),
        ),
    )
    # 1500m in whole cores is rounded up: Kubernetes, "Expose Pod Information", resourceFieldRef.
    assert env_of(c) == {
        "KEY": "1",
        "TOKEN": "s3cret",
        "IP": "10.0.0.2",
        "NAME": "web",
        "CPU": "2",
        "MIB": "64",
    }


def test_what_is_missing_is_named_unless_it_is_optional() -> None:
    def with_ref(optional: bool | None) -> EnvVar:
        selector = ConfigMapKeySelector(name="conf", key="z", optional=optional)
        return EnvVar(name="Z", value_from=EnvVarSource(config_map_key_ref=selector))

    with pytest.raises(MissingReference, match="couldn't find key z in Configmap conf"):
        env_of(container(env=(with_ref(None),)))
    with pytest.raises(MissingReference, match='configmap "conf" not found'):
        env_of(container(env=(with_ref(None),)), NOTHING)
    assert env_of(container(env=(with_ref(True),))) == {}


def test_services_of_the_namespace_are_variables() -> None:
    service = Service(
        metadata=ObjectMeta(name="my-db"),
        spec=ServiceSpec(cluster_ip="10.96.0.7", ports=(ServicePort(name="sql", port=5432, protocol="TCP"),)),
    )
    lookups = Lookups(FULL.config_map, FULL.secret, services=(service,))
    # Source: Kubernetes, "Service", environment variables.
    assert env_of(container(), lookups) == {
        "MY_DB_SERVICE_HOST": "10.96.0.7",
        "MY_DB_SERVICE_PORT": "5432",
        "MY_DB_SERVICE_PORT_SQL": "5432",
        "MY_DB_PORT": "tcp://10.96.0.7:5432",
        "MY_DB_PORT_5432_TCP": "tcp://10.96.0.7:5432",
        "MY_DB_PORT_5432_TCP_PROTO": "tcp",
        "MY_DB_PORT_5432_TCP_PORT": "5432",
        "MY_DB_PORT_5432_TCP_ADDR": "10.96.0.7",
    }
