"""Defaults of probes."""

import pytest

from pinnace.api.defaults.probes import default_probe
from pinnace.kube.objects.core_v1 import GRPCAction, Probe


@pytest.mark.parametrize(("given", "service"), [(None, ""), ("", ""), ("health", "health")])
def test_the_service_of_a_grpc_probe_is_always_there(given: str | None, service: str) -> None:
    """`kubectl describe` reads it without looking whether it is there."""
    probe = default_probe(Probe(grpc=GRPCAction(port=5000, service=given)))
    assert probe.grpc == GRPCAction(port=5000, service=service)
