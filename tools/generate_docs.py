"""Writes what follows from tables in the code: docs/settings.md, kinds.md, verbs.md, and a part of docs/compatibility.md.

Run: python tools/generate_docs.py (writes), python tools/generate_docs.py --check (says which are out of date). A test
checks the same. What stands beside a row here, in the code's own words, belongs to the code: change it there.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from pinnace.base.settings import ROWS, Settings
from pinnace.cli.main import VERBS, Verb
from pinnace.kube.kinds import SERVED, STORED, Kind

sys.path.insert(0, str(Path(__file__).resolve().parent))
from generate_unacted import render_unacted, replace_unacted

DOCS = Path(__file__).resolve().parent.parent / "docs"
NOTE = "<!-- Written by tools/generate_docs.py; change the table that it names, then run it again. -->\n"

# What becomes of an object of each kind, by the store's resource. A kind that is missing here is kept, and that is all.
ACTS = {
    "bindings": "Puts a pod on a node, as the scheduler does.",
    "apiextensions.k8s.io/customresourcedefinitions": "In force at once: its kind is served, stored, checked ([custom resources](custom-resources.md)).",
    "admissionregistration.k8s.io/validatingadmissionpolicies": "Asked about every write that it matches, once a binding names it.",
    "admissionregistration.k8s.io/validatingadmissionpolicybindings": "Puts a policy in force: deny, warn or audit.",
    "configmaps": "Read by the node: environment and volumes of pods. Each namespace gets `kube-root-ca.crt`.",
    "endpoints": "Written by the endpoints controller for older clients; nobody here reads it.",
    "events": "Written by everybody; gone after an hour.",
    "namespaces": "Ended by the namespace controller, which empties it first. Its labels set the Pod Security level ([admission](admission.md)).",
    "nodes": "This machine registers itself; cordon, labels and taints are honoured by the scheduler.",
    "pods": "Scheduled, then run by the node: containers, probes, volumes, restarts, graceful end.",
    "secrets": "Read by the node: environment and volumes of pods. Those for a service account are filled with a token ([access](access.md)).",
    "serviceaccounts": "`default` is made in each namespace. Tokens are issued, mounted into pods and renewed ([access](access.md)).",
    "services": "Addresses and ports are given out; ClusterIP, NodePort and LoadBalancer become nftables rules ([network](network.md)).",
    "podtemplates": "Kept for clients that make pods of it; no controller does.",
    "replicationcontrollers": "Filled in, checked and kept; no pods are made of it yet: use a Deployment.",
    "limitranges": "Fills in and bounds what pods and claims ask for ([admission](admission.md)).",
    "resourcequotas": "Held to the last write; its status shows what is used ([admission](admission.md)).",
    "persistentvolumes": "Filled in, checked and kept; goes when it is bound to nothing. No claim is bound to it yet.",
    "persistentvolumeclaims": "Filled in, checked, counted by quotas; goes when no pod uses it. No volume is bound to it yet.",
    "networking.k8s.io/ingressclasses": "Filled in, checked; the default one is written into Ingresses.",
    "networking.k8s.io/ingresses": "Filled in, checked and kept; nothing is routed by it yet.",
    "networking.k8s.io/networkpolicies": "Filled in, checked and kept; nothing enforces it yet.",
    "node.k8s.io/runtimeclasses": "Gives pods its overhead, node labels and tolerations; the handler is not chosen by it.",
    "policy/poddisruptionbudgets": "Honoured by evictions and `kubectl drain`; the disruption controller keeps its status.",
    "scheduling.k8s.io/priorityclasses": "Gives pods their priority. The two of the system are there from the start.",
    "storage.k8s.io/storageclasses": "Filled in, checked; the default one is written into claims. Nothing is provisioned yet.",
    "apps/controllerrevisions": "Filled in, checked and kept, for controllers that keep states in it.",
    "apps/daemonsets": "Filled in, checked and kept; no pods are made of it yet.",
    "apps/statefulsets": "Filled in, checked and kept; no pods or claims are made of it yet.",
    "batch/cronjobs": "Filled in, checked (schedule and time zone too) and kept; no Jobs are made of it yet.",
    "batch/jobs": "Filled in, checked and kept, its selector and labels made; no pods are made of it yet.",
    "apps/deployments": "Rolled out by the deployment controller.",
    "apps/replicasets": "Kept at their number of pods by the ReplicaSet controller.",
    "autoscaling/horizontalpodautoscalers": "Scales its target on cpu and memory. Other metrics are read and reported as not available.",
    "coordination.k8s.io/leases": "The node renews its own; others are kept for whoever elects leaders.",
    "discovery.k8s.io/endpointslices": "Written by the endpoints controller, read by the Service rules.",
    "rbac.authorization.k8s.io/clusterroles": "Say what may be done ([access](access.md)); aggregated ones are put together by a controller.",
    "rbac.authorization.k8s.io/clusterrolebindings": "Say who may do it.",
    "rbac.authorization.k8s.io/roles": "Say what may be done in a namespace.",
    "rbac.authorization.k8s.io/rolebindings": "Say who may do it there.",
    "authentication.k8s.io/tokenreviews": "Answered with whose token it is; not stored.",
    "authentication.k8s.io/selfsubjectreviews": "Answered with who asks; not stored.",
    "authorization.k8s.io/subjectaccessreviews": "Answered with whether somebody may do something; not stored.",
    "authorization.k8s.io/localsubjectaccessreviews": "The same for one namespace; not stored.",
    "authorization.k8s.io/selfsubjectaccessreviews": "Answered with whether the caller may do something; not stored.",
    "authorization.k8s.io/selfsubjectrulesreviews": "Answered with all that the caller may do; not stored.",
    "metrics.k8s.io/nodes": "Computed from cgroups when asked; not stored.",
    "metrics.k8s.io/pods": "Computed from cgroups when asked; not stored.",
    "pinnace.dev/containers": "One for each container of `pinnace run`; the engine writes them.",
    "pinnace.dev/volumes": "One for each named volume; the engine writes them.",
    "pinnace.dev/images": "One for each name of an image; the image store writes them.",
}  # fmt: skip


def render_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; empty without rows."""
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    if not lines:
        return ""
    return "\n".join(["| " + " | ".join(header) + " |", "|" + "---|" * len(header), *lines]) + "\n"


def render_settings_page() -> str:
    """Return docs/settings.md. Source: base/settings.py, ROWS."""
    defaults = Settings()
    rows = [
        (
            f"`{row.flag}`",
            f"`{row.env}`",
            row.metavar,
            _render_default(getattr(defaults, row.field)),
            row.help,
        )
        for row in ROWS
    ]
    return f"""# Settings
{NOTE}
Each setting is a flag of `pinnace up` and an environment variable; the flag wins. Variables count for every verb, because
the command finds the instance by them: `PINNACE_NAME`, `PINNACE_HOME` and `PINNACE_RUN`. Under `sudo`, put them after it:
`sudo PINNACE_NAME=other pinnace up`.

{render_table(("flag", "variable", "value", "default", "what it is"), rows)}
The folders are `/var/lib/pinnace` and `/run/pinnace` when they are not set, with `-NAME` at the end for an instance of
another name. A flag that is a BOOL has an opposite: `--no-kubeconfig`. The table is `ROWS` in `src/pinnace/base/settings.py`.

What a running instance was started with, and what it chose by itself, is in `pinnace status`.
"""


def _render_default(value: Any) -> str:
    if value in ("", ()):
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def render_kinds_page() -> str:
    """Return docs/kinds.md. Source: kube/kinds.py, SERVED."""
    rows = [_kind_row(kind) for kind in SERVED]
    return f"""# Kinds
{NOTE}
What the Kubernetes API serves, and what acts on it. A kind that is not here is not known: `kubectl apply` of one says
`no matches for kind`; a CustomResourceDefinition adds one ([custom resources](custom-resources.md)).

{render_table(("kind", "apiVersion", "names", "namespaced", "what acts on it"), rows)}
Verbs are get, list, watch, create, update, patch, delete and deletecollection, but for these:

{render_table(("kind", "verbs"), ((kind.kind, ", ".join(kind.verbs)) for kind in SERVED if len(kind.verbs) < 8))}
Parts with an address of their own:

{render_table(("kind", "subresources"), ((f"{kind.kind} ({kind.api_version})", ", ".join(part.name for part in kind.subresources)) for kind in SERVED if kind.subresources))}
A listed subresource may still refuse a method with 405. The table is `SERVED` in `src/pinnace/kube/kinds.py`; defaults and
rules of a kind are in `src/pinnace/api/kinds/`.
"""


def _kind_row(kind: Kind[Any]) -> tuple[str, ...]:
    names = ", ".join(f"`{name}`" for name in (kind.plural, *kind.short_names))
    stored = kind in STORED or not any(other.resource == kind.resource for other in STORED)
    what = ACTS.get(kind.resource, "Kept; nothing acts on it yet.")
    other = next((other for other in STORED if other.resource == kind.resource), kind)
    if not stored:
        what = f"The same objects as {other.api_version}."
    return kind.kind, f"`{kind.api_version}`", names, "yes" if kind.namespaced else "no", what


def render_verbs_page() -> str:
    """Return docs/verbs.md. Source: cli/main.py, VERBS, and the commands themselves."""
    parts = [
        f"""# Verbs
{NOTE}
All of them speak to the daemon over its socket and need neither `docker` nor `kubectl`. Docker's verbs take Docker's words,
Kubernetes' verbs take Kubernetes' and print what `kubectl` prints. Exit codes: 0 done, 1 what was asked for can't be, 2
something unexpected; `run` and `exec` end with the container's own code. `pinnace --debug VERB` shows a traceback.
"""
    ]
    for group in dict.fromkeys(verb.group for verb in VERBS):
        parts.append(f"\n## {group}\n")
        parts += [_render_verb(verb) for verb in VERBS if verb.group == group]
    return "".join(parts)


def _render_verb(verb: Verb) -> str:
    module = importlib.import_module(f"pinnace.cli.verbs.{verb.file}")
    return _render_command(
        getattr(module, f"{verb.name.replace('-', '_')}_command"), f"pinnace {verb.name}", "###"
    )


def _render_command(command: click.Command, name: str, mark: str) -> str:
    text = f"\n{mark} {name}\n\n{_render_help(command)}\n"
    if isinstance(command, click.Group):
        seen: set[int] = set()
        for word, part in command.commands.items():
            if id(part) not in seen:
                seen.add(id(part))
                text += _render_command(part, f"{name} {word}", mark + "#")
        return text
    arguments = [_render_argument(part) for part in command.params if isinstance(part, click.Argument)]
    text += f"\n`{' '.join([name, '[OPTIONS]' if len(arguments) < len(command.params) else '', *arguments])}`\n".replace(
        "  ", " "
    )
    options = [part for part in command.params if isinstance(part, click.Option) and not part.hidden]
    table = render_table(
        ("option", "what it does"), ((_render_option(part), part.help or "") for part in options)
    )
    return text + (f"\n{table}" if table else "")


def _render_help(command: click.Command) -> str:
    paragraphs = (command.help or "").replace("\b", "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs).strip()


def _render_argument(argument: click.Argument) -> str:
    word = (argument.metavar or argument.name or "").upper().replace("_", "-")
    word += "..." if argument.nargs == -1 and not word.endswith("...") else ""
    return word if argument.required else f"[{word}]"


def _render_option(option: click.Option) -> str:
    value = ""
    if not option.is_flag and not option.count:
        choices = getattr(option.type, "choices", None)
        value = " " + (
            option.metavar or ("|".join(map(str, choices)) if choices else option.type.name.upper())
        )
    return f"`{', '.join([*option.opts, *option.secondary_opts])}{value}`"


def render_compatibility_page() -> str:
    """Return docs/compatibility.md, written by hand but for what stands between its marks."""
    return replace_unacted((DOCS / "compatibility.md").read_text(), render_unacted(render_table))


PAGES = {
    "settings.md": render_settings_page,
    "kinds.md": render_kinds_page,
    "verbs.md": render_verbs_page,
    "compatibility.md": render_compatibility_page,
}


def find_outdated() -> list[str]:
    """Return the pages that are not what the code's tables say."""
    return [
        name
        for name, render in PAGES.items()
        if not (DOCS / name).exists() or (DOCS / name).read_text() != render()
    ]


def main() -> int:
    """Write the pages, or say which are out of date."""
    outdated = find_outdated()
    if "--check" not in sys.argv[1:]:
        for name in outdated:
            (DOCS / name).write_text(PAGES[name]())
        return 0
    for name in outdated:
        print(f"docs/{name} is out of date\nhint: python tools/generate_docs.py", file=sys.stderr)
    return 1 if outdated else 0


if __name__ == "__main__":
    sys.exit(main())
