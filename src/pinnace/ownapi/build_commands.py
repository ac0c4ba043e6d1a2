"""Reads what a build's request says of its commands: networks, limits, secrets, agents. Pure."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from pinnace.base.errors import UserError
from pinnace.build.run_options import CommandRules, RunOptions, check_secrets, read_rules
from pinnace.container.cgroup import CPU_PERIOD_US, Limits
from pinnace.engine.amounts import parse_memory, parse_memory_swap, parse_size, parse_ulimit


def read_command_rules(body: dict[str, Any]) -> CommandRules:
    """Return what the plan needs. Raises: UserError."""
    commands = body.get("commands", {})
    return read_rules(
        commands.get("network", ""), tuple(commands.get("allow", ())), tuple(commands.get("add_host", ()))
    )


def read_run_options(body: dict[str, Any]) -> RunOptions:
    """Return what running them needs. Raises: UserError."""
    commands = body.get("commands", {})
    try:
        secrets = {
            name: base64.b64decode(text, validate=True) for name, text in body.get("secrets", {}).items()
        }
    except (binascii.Error, AttributeError):
        raise UserError("secrets are base64 texts by id") from None
    check_secrets(secrets)
    return RunOptions(
        limits=read_limits(commands),
        rlimits=tuple(parse_ulimit(text) for text in commands.get("ulimit", ())),
        shm_bytes=parse_size(commands["shm_size"], "--shm-size") if commands.get("shm_size") else 0,
        secrets=secrets,
        ssh=dict(body.get("ssh", {})),
    )


def read_limits(commands: dict[str, Any]) -> Limits:
    """Return the limits of a command. Raises: UserError. Example: quota 50000 in periods of 100000 is half a core."""
    memory = parse_memory(commands["memory"]) if commands.get("memory") else 0
    swap = parse_memory_swap(commands["memory_swap"], memory) if commands.get("memory_swap") else 0
    shares, period, quota = (_number(commands, name) for name in ("cpu_shares", "cpu_period", "cpu_quota"))
    return Limits(
        cpu_shares=shares or None,
        cpu_limit_milli=quota * 1000 // (period or CPU_PERIOD_US) if quota > 0 else None,
        cpuset_cpus=commands.get("cpuset_cpus", ""),
        cpuset_mems=commands.get("cpuset_mems", ""),
        memory_bytes=memory or None,
        memory_swap_bytes=swap or None,
    )


def _number(commands: dict[str, Any], name: str) -> int:
    text = str(commands.get(name, "") or "0")
    if not text.isdecimal() and text != "-1":
        raise UserError(f"--{name.replace('_', '-')}: {text!r} is not a number", "a number of 0 or more")
    return int(text)
