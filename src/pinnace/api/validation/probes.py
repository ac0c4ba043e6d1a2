"""Checks probes and lifecycle hooks. Pure. Source: Kubernetes v1.36, pkg/apis/core/validation, validateProbe."""

from pinnace.api.validation.names import check_port_name, check_subdomain
from pinnace.api.validation.problems import Problems
from pinnace.kube.objects.core_v1 import (
    ExecAction,
    GRPCAction,
    HTTPGetAction,
    Lifecycle,
    LifecycleHandler,
    Probe,
    TCPSocketAction,
)

_SCHEMES = ("HTTP", "HTTPS")


def validate_port_or_name(port: int | str | None, path: str, problems: Problems) -> None:
    """Check a port that is a number or a port's name."""
    if isinstance(port, str):
        problems.each(path, port, check_port_name(port))
    else:
        problems.port(path, port or 0)


def validate_probe(probe: Probe, path: str, problems: Problems, *, only_success_one: bool) -> None:
    """Check one probe; liveness and start-up probes succeed after exactly one answer."""
    _validate_action(probe.exec, probe.http_get, probe.tcp_socket, probe.grpc, path, problems)
    for name, value in (
        ("initialDelaySeconds", probe.initial_delay_seconds),
        ("timeoutSeconds", probe.timeout_seconds),
        ("periodSeconds", probe.period_seconds),
        ("successThreshold", probe.success_threshold),
        ("failureThreshold", probe.failure_threshold),
    ):
        problems.not_negative(f"{path}.{name}", value)
    grace = probe.termination_grace_period_seconds
    if grace is not None and grace <= 0:
        problems.invalid(f"{path}.terminationGracePeriodSeconds", grace, "must be greater than 0")
    if only_success_one:
        if probe.success_threshold not in (None, 1):
            problems.invalid(f"{path}.successThreshold", probe.success_threshold, "must be 1")
    elif grace is not None:
        problems.invalid(
            f"{path}.terminationGracePeriodSeconds", grace, "must not be set for readinessProbes"
        )


def validate_lifecycle(lifecycle: Lifecycle, path: str, problems: Problems) -> None:
    """Check the two hooks."""
    for name, handler in (("postStart", lifecycle.post_start), ("preStop", lifecycle.pre_stop)):
        if handler is not None:
            _validate_handler(handler, f"{path}.{name}", problems)


def _validate_handler(handler: LifecycleHandler, path: str, problems: Problems) -> None:
    if handler.sleep is not None:
        if handler.exec or handler.http_get or handler.tcp_socket:
            problems.forbidden(f"{path}.sleep", "may not specify more than 1 handler type")
        elif handler.sleep.seconds is None or handler.sleep.seconds < 0:
            problems.invalid(f"{path}.sleep", handler.sleep.seconds, "must be greater than or equal to 0")
        return
    _validate_action(handler.exec, handler.http_get, handler.tcp_socket, None, path, problems)


def _validate_action(
    command: ExecAction | None,
    http: HTTPGetAction | None,
    tcp: TCPSocketAction | None,
    grpc: GRPCAction | None,
    path: str,
    problems: Problems,
) -> None:
    present = [
        name
        for name, action in (("exec", command), ("httpGet", http), ("tcpSocket", tcp), ("grpc", grpc))
        if action
    ]
    if not present:
        problems.required(path, "must specify a handler type")
        return
    for name in present[1:]:
        problems.forbidden(f"{path}.{name}", "may not specify more than 1 handler type")
    first = present[0]
    if first == "exec" and command is not None and not command.command:
        problems.required(f"{path}.exec.command")
    elif first == "httpGet" and http is not None:
        _validate_http(http, f"{path}.httpGet", problems)
    elif first == "tcpSocket" and tcp is not None:
        validate_port_or_name(tcp.port, f"{path}.tcpSocket.port", problems)
    elif first == "grpc" and grpc is not None:
        problems.port(f"{path}.grpc.port", grpc.port or 0)


def _validate_http(http: HTTPGetAction, path: str, problems: Problems) -> None:
    if not http.path:
        problems.required(f"{path}.path")
    validate_port_or_name(http.port, f"{path}.port", problems)
    problems.one_of(f"{path}.scheme", http.scheme, _SCHEMES)
    for index, header in enumerate(http.http_headers):
        if not header.name or any(c.isspace() or c in ':()<>@,;\\"/[]?={}' for c in header.name):
            problems.invalid(
                f"{path}.httpHeaders[{index}].name",
                header.name,
                "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', "
                "regex used for validation is '[-A-Za-z0-9]+')",
            )
    if http.host and not _is_ip(http.host):
        problems.each(f"{path}.host", http.host, check_subdomain(http.host))


def _is_ip(text: str) -> bool:
    return ":" in text or all(c.isdigit() or c == "." for c in text)
