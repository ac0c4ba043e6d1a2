"""Decides a container's environment and expands `$(NAME)` in it, in the command and in the arguments.

Pure: what it needs from the cluster comes as lookups. Called by `containers` before a start.
Source: Kubernetes, "Define Environment Variables" and "Define Dependent Environment Variables"; expansion as in
third_party/forked/golang/expansion: `$(NAME)` is replaced when NAME is known, `$$` is one `$`, the rest stays.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pinnace.base.errors import UserError
from pinnace.kube.objects.core_v1 import (
    ConfigMap,
    Container,
    EnvVar,
    EnvVarSource,
    ObjectFieldSelector,
    Pod,
    ResourceFieldSelector,
    Secret,
    Service,
    ServiceAccountTokenProjection,
)
from pinnace.kube.quantity import cpu_milli, to_bytes

_REFERENCE = re.compile(r"\$\$|\$\(([^)]*)\)")
_SUBSCRIPT = re.compile(r"^metadata\.(labels|annotations)\['(.+)'\]$")


class MissingReference(UserError):
    """A ConfigMap, Secret or key that the pod names isn't there; the container waits with CreateContainerConfigError."""


@dataclass(frozen=True, slots=True)
class Lookups:
    """Where values come from. Each returns None when there is no such object."""

    config_map: Callable[[str], ConfigMap | None]
    secret: Callable[[str], Secret | None]
    services: tuple[Service, ...] = ()
    kubernetes_service: Service | None = None
    token: Callable[[ServiceAccountTokenProjection], bytes] | None = None


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What field and resource references read of the node. Units: cpu in thousandths, memory in bytes."""

    name: str
    host_ip: str
    cpu_milli: int
    memory_bytes: int


def compute_environment(
    pod: Pod, container: Container, *, pod_ip: str, node: NodeFacts, lookups: Lookups
) -> dict[str, str]:
    """Return the variables in order: services, envFrom, env; later ones win.

    Raises: MissingReference when something that is not optional isn't there.
    """
    env: dict[str, str] = {}
    env.update(compute_service_variables(pod, lookups))
    for source in container.env_from:
        values: Mapping[str, str] | None = None
        if source.config_map_ref is not None:
            found = lookups.config_map(source.config_map_ref.name)
            values = None if found is None else found.data
            _require(values, source.config_map_ref.optional, "configmap", source.config_map_ref.name)
        elif source.secret_ref is not None:
            secret = lookups.secret(source.secret_ref.name)
            values = None if secret is None else {k: _decode(secret, k) for k in secret.data}
            _require(values, source.secret_ref.optional, "secret", source.secret_ref.name)
        for key, value in (values or {}).items():
            env[source.prefix + key] = value
    for variable in container.env:
        found_value = _value_of(
            variable, pod, container, pod_ip=pod_ip, node=node, lookups=lookups, known=env
        )
        if found_value is not None:
            env[variable.name] = found_value
    return env


def expand(text: str, known: Mapping[str, str]) -> str:
    """Replace `$(NAME)` by its value. Example: "a$(X)$$(X)$(Y)" with X=1 → "a1$(X)$(Y)"."""

    def replacement(match: re.Match[str]) -> str:
        if match.group(0) == "$$":
            return "$"
        return known.get(match.group(1), match.group(0))

    return _REFERENCE.sub(replacement, text)


def compute_service_variables(pod: Pod, lookups: Lookups) -> dict[str, str]:
    """Return `NAME_SERVICE_HOST` and its kin, for the Services of the namespace, and always for `kubernetes`.

    Source: Kubernetes, "Service", environment variables; pkg/kubelet/envvars.
    """
    services: list[Service] = [] if lookups.kubernetes_service is None else [lookups.kubernetes_service]
    if pod.spec.enable_service_links is not False:
        services += lookups.services
    env: dict[str, str] = {}
    for service in services:
        if service.spec.cluster_ip in ("", "None") or not service.spec.ports:
            continue
        env.update(_variables_of(service))
    return env


def _variables_of(service: Service) -> dict[str, str]:
    prefix = service.metadata.name.upper().replace("-", "_")
    ip = service.spec.cluster_ip
    first = service.spec.ports[0]
    env = {f"{prefix}_SERVICE_HOST": ip, f"{prefix}_SERVICE_PORT": str(first.port)}
    for port in service.spec.ports:
        if port.name:
            env[f"{prefix}_SERVICE_PORT_{port.name.upper().replace('-', '_')}"] = str(port.port)
    protocol = (first.protocol or "TCP").lower()
    env[f"{prefix}_PORT"] = f"{protocol}://{ip}:{first.port}"
    for port in service.spec.ports:
        protocol = (port.protocol or "TCP").lower()
        name = f"{prefix}_PORT_{port.port}_{protocol.upper()}"
        env |= {
            name: f"{protocol}://{ip}:{port.port}",
            f"{name}_PROTO": protocol,
            f"{name}_PORT": str(port.port),
            f"{name}_ADDR": ip,
        }
    return env


def _value_of(
    variable: EnvVar,
    pod: Pod,
    container: Container,
    *,
    pod_ip: str,
    node: NodeFacts,
    lookups: Lookups,
    known: Mapping[str, str],
) -> str | None:
    source = variable.value_from
    if source is None:
        return expand(variable.value, known)
    if source.field_ref is not None:
        return read_field(source.field_ref, pod, pod_ip=pod_ip, node=node)
    if source.resource_field_ref is not None:
        return read_resource(source.resource_field_ref, pod, container.name, node=node)
    return _read_key(source, lookups)


def _read_key(source: EnvVarSource, lookups: Lookups) -> str | None:
    if source.config_map_key_ref is not None:
        reference = source.config_map_key_ref
        found = lookups.config_map(reference.name)
        value = None if found is None else found.data.get(reference.key)
        what, there = "configmap", found is not None
    elif source.secret_key_ref is not None:
        reference_ = source.secret_key_ref
        secret = lookups.secret(reference_.name)
        value = (
            None if secret is None or reference_.key not in secret.data else _decode(secret, reference_.key)
        )
        return _require_key(
            value, secret is not None, reference_.optional, "secret", reference_.name, reference_.key
        )
    else:
        return None
    return _require_key(value, there, reference.optional, what, reference.name, reference.key)


def read_field(reference: ObjectFieldSelector, pod: Pod, *, pod_ip: str, node: NodeFacts) -> str:
    """Return the value of a downward-API field. Raises: MissingReference for a field that can't be read."""
    plain: dict[str, str] = {
        "metadata.name": pod.metadata.name,
        "metadata.namespace": pod.metadata.namespace,
        "metadata.uid": pod.metadata.uid,
        "spec.nodeName": pod.spec.node_name,
        "spec.serviceAccountName": pod.spec.service_account_name,
        "status.podIP": pod_ip,
        "status.podIPs": pod_ip,
        "status.hostIP": node.host_ip,
        "status.hostIPs": node.host_ip,
    }
    path = reference.field_path
    if path in plain:
        return plain[path]
    if path == "metadata.labels":
        return render_map(pod.metadata.labels)
    if path == "metadata.annotations":
        return render_map(pod.metadata.annotations)
    match = _SUBSCRIPT.match(path)
    if match is not None:
        values = pod.metadata.labels if match.group(1) == "labels" else pod.metadata.annotations
        return values.get(match.group(2), "")
    raise MissingReference(f"unsupported fieldPath: {path}")


def read_resource(
    reference: ResourceFieldSelector, pod: Pod, default_container: str, *, node: NodeFacts
) -> str:
    """Return a container's request or limit, divided and rounded up; a missing limit is the node's capacity."""
    name = reference.container_name or default_container
    container = next((c for c in (*pod.spec.init_containers, *pod.spec.containers) if c.name == name), None)
    if container is None:
        raise MissingReference(f"container {name} not found")
    kind, _, resource = reference.resource.partition(".")
    values = container.resources.limits if kind == "limits" else container.resources.requests
    fallback: str | int | float = 0
    if kind == "limits":
        fallback = f"{node.cpu_milli}m" if resource == "cpu" else node.memory_bytes
    value = values.get(resource, fallback)
    divisor = reference.divisor or "1"
    if resource == "cpu":
        amount, unit = cpu_milli(value), cpu_milli(divisor) or 1000
    else:
        amount, unit = to_bytes(value), to_bytes(divisor) or 1
    return str(-(-amount // unit))


def render_map(values: Mapping[str, str]) -> str:
    """Return a map as the downward API writes it: `key="value"` lines, sorted."""
    quoted = (f'{key}="{_escape(value)}"' for key, value in sorted(values.items()))
    return "\n".join(quoted)


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _decode(secret: Secret, key: str) -> str:
    """Return a value of a Secret as text. Raises: UserError for one that no variable can hold."""
    try:
        return base64.b64decode(secret.data[key]).decode()
    except UnicodeDecodeError:
        raise UserError(
            f'key "{key}" of secret "{secret.metadata.name}" is not UTF-8 text, which a variable must be',
            hint="mount the secret as a volume",
        ) from None


def _require(values: Mapping[str, str] | None, optional: bool | None, what: str, name: str) -> None:
    if values is None and not optional:
        raise MissingReference(
            f'{what} "{name}" not found', hint=f"create it: kubectl create {what} {name} …"
        )


def _require_key(
    value: str | None, there: bool, optional: bool | None, what: str, name: str, key: str
) -> str | None:
    if value is not None or optional:
        return value
    if not there:
        raise MissingReference(
            f'{what} "{name}" not found', hint=f"create it: kubectl create {what} {name} …"
        )
    raise MissingReference(f"couldn't find key {key} in {what.capitalize()} {name}")
