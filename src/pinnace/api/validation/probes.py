"""Checks probes and lifecycle hooks. Pure. Source: Kubernetes v1.36, pkg/apis/core/validation, validateProbe."""

from typing import Any

from pinnace.api.validation.names import check_header_name, check_port_name
from pinnace.api.validation.problems import Problems
from pinnace.kube.objects.core_v1 import HTTPGetAction, Lifecycle, LifecycleHandler, PodSpec, Probe

_SCHEMES = ("HTTP", "HTTPS")
_HANDLERS = (("exec", "exec"), ("http_get", "httpGet"), ("tcp_socket", "tcpSocket"), ("grpc", "grpc"))
_MORE = "may not specify more than 1 handler type"


def validate_port_or_name(port: int | str | None, path: str, problems: Problems) -> None:
    """Check a port that is a number or a port's name."""
    if isinstance(port, str):
        problems.each(path, port, check_port_name(port))
    else:
        problems.port(path, port or 0)


def validate_probe(probe: Probe, path: str, problems: Problems, *, only_success_one: bool) -> None:
    """Check one probe; liveness and start-up probes succeed after exactly one answer."""
    _validate_action(probe, path, problems, grace_s=None)
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


def validate_lifecycle(lifecycle: Lifecycle, spec: PodSpec, path: str, problems: Problems) -> None:
    """Check the two hooks, and the signal that ends the container."""
    for name, handler in (("postStart", lifecycle.post_start), ("preStop", lifecycle.pre_stop)):
        if handler is not None:
            _validate_action(
                handler, f"{path}.{name}", problems, grace_s=spec.termination_grace_period_seconds
            )
    signal = lifecycle.stop_signal
    if not signal:
        return
    where, system = f"{path}.stopSignal", spec.os.name if spec.os is not None else ""
    if not system:
        problems.forbidden(where, "may not be set for containers with empty `spec.os.name`")
    elif system == "windows" and signal not in ("SIGKILL", "SIGTERM"):
        problems.not_supported(where, signal, ("SIGKILL", "SIGTERM"))
    elif signal not in STOP_SIGNALS:
        problems.not_supported(where, signal, STOP_SIGNALS)


# Source: Kubernetes v1.36, pkg/apis/core/types.go, the constants of Signal.
STOP_SIGNALS = frozenset(
    f"SIG{name}"
    for name in (
        "ABRT ALRM BUS CHLD CLD CONT FPE HUP ILL INT IO IOT KILL PIPE POLL PROF PWR QUIT SEGV STKFLT STOP SYS TERM "
        "TRAP TSTP TTIN TTOU URG USR1 USR2 VTALRM WINCH XCPU XFSZ RTMIN RTMAX "
        + " ".join(f"RTMIN+{n}" for n in range(1, 16))
        + " "
        + " ".join(f"RTMAX-{n}" for n in range(1, 15))
    ).split()
)


def _validate_action(
    owner: Probe | LifecycleHandler, path: str, problems: Problems, *, grace_s: int | None
) -> None:
    """Check that there is exactly one thing to do, and that it can be done."""
    found = False
    for attribute, wire in _HANDLERS:
        action: Any = getattr(owner, attribute, None)
        if action is None:
            continue
        if found:
            problems.forbidden(f"{path}.{wire}", _MORE)
        else:
            found = True
            _validate_one(wire, action, f"{path}.{wire}", problems)
    sleep = owner.sleep if isinstance(owner, LifecycleHandler) else None
    if sleep is not None:
        if found:
            problems.forbidden(f"{path}.sleep", _MORE)
        elif grace_s is not None and not 0 <= (sleep.seconds or 0) <= grace_s:
            words = f"must be non-negative and less than terminationGracePeriodSeconds ({grace_s})"
            problems.invalid(f"{path}.sleep", sleep.seconds or 0, words)
        found = True
    if not found:
        problems.required(path, "must specify a handler type")


def _validate_one(wire: str, action: Any, path: str, problems: Problems) -> None:
    if wire == "exec":
        if not action.command:
            problems.required(f"{path}.command")
    elif wire == "httpGet":
        _validate_http(action, path, problems)
    elif wire == "tcpSocket":
        validate_port_or_name(action.port, f"{path}.port", problems)
    else:
        problems.port(f"{path}.port", action.port or 0)


def _validate_http(http: HTTPGetAction, path: str, problems: Problems) -> None:
    if not http.path:
        problems.required(f"{path}.path")
    validate_port_or_name(http.port, f"{path}.port", problems)
    if http.scheme not in _SCHEMES:
        problems.not_supported(f"{path}.scheme", http.scheme, _SCHEMES)
    for header in http.http_headers:
        problems.each(f"{path}.httpHeaders", header.name, check_header_name(header.name))
