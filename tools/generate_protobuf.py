"""Writes src/pinnace/kubeapi/protobuf_fields.json: the protobuf field numbers of the objects that we serve.

Run: python tools/generate_protobuf.py API_REPOSITORY APIMACHINERY_REPOSITORY
(git repositories of k8s.io/api and k8s.io/apimachinery; read at HEAD.)

Only facts of interoperation are kept: for each Go struct, field number → JSON name and marks. The numbers stand in the
`protobuf` tags of the Go types; what a value looks like follows from our own structs, so no type is kept, only marks for
what JSON and protobuf write differently:
    *  a pointer: a zero is said on purpose (Go writes the zeros of all other fields, and they mean nothing)
    t  a time, u one with microseconds: a message of seconds and nanoseconds
    b  bytes: base64 in JSON                            r  raw JSON inside a message
    >STRUCT  an embedded struct: a message here, inlined in JSON
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from pinnace.kube.objects import __path__ as objects_path

OUTPUT = Path(__file__).parent.parent / "src/pinnace/kubeapi/protobuf_fields.json"
FIELD = re.compile(r'^\t(?:(\w+)\s+)?([\w.*\[\]]+(?:\{\})?)\s+`json:"([^"]*)"(?: .*?)? ?protobuf:"([^"]*)"')
STRUCT = re.compile(r"^type (\w+) struct \{")
ALIAS = re.compile(r"^type (\w+) (\[\]byte|map\[\w+\]\[\]byte)$")


def show(repository: str, path: str) -> str:
    return subprocess.run(
        ["git", "-C", repository, "show", f"HEAD:{path}"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def parse(text: str, module: str) -> dict[str, dict[str, str]]:
    structs: dict[str, dict[str, str]] = {}
    current: dict[str, str] | None = None
    for line in text.splitlines():
        if found := STRUCT.match(line):
            current = structs.setdefault(f"{module}.{found[1]}", {})
        elif line == "}":
            current = None
        elif current is not None and (field := FIELD.match(line)):
            _, go_type, json_tag, tag = field.groups()
            if tag == "-":
                continue
            current[tag.split(",")[1]] = render(go_type, json_tag, module)
    return {name: fields for name, fields in structs.items() if fields}


def render(go_type: str, json_tag: str, module: str) -> str:
    name, *options = json_tag.split(",")
    if "inline" in options or not name:
        package, dot, struct = go_type.lstrip("*").rpartition(".")
        return f">{_MODULES.get(package, package) if dot else module}.{struct}"
    return name + marks(go_type)


_MODULES = {"metav1": "meta_v1", "v1": "core_v1", "corev1": "core_v1"}


def marks(go_type: str) -> str:
    plain = go_type.lstrip("*").removeprefix("metav1.")
    found = "*" if go_type.startswith("*") else ""
    if plain in ("Time", "MicroTime"):
        found += "t" if plain == "Time" else "u"
    if plain in ("[]byte", "map[string][]byte"):
        found += "b"
    if plain in ("runtime.RawExtension", "FieldsV1"):
        found += "r"
    return f" {found}" if found else ""


def main() -> None:
    api, machinery = sys.argv[1:]
    modules = sorted(path.stem for folder in objects_path for path in Path(folder).glob("*_v*.py"))
    structs: dict[str, dict[str, str]] = parse(show(machinery, "pkg/apis/meta/v1/types.go"), "meta_v1")
    for module in modules:
        group, version = module.split("_")
        try:
            structs |= parse(show(api, f"{group}/{version}/types.go"), module)
        except subprocess.CalledProcessError:
            print(f"{module}: not there, left out", file=sys.stderr)
    OUTPUT.write_text(json.dumps(structs, sort_keys=True, separators=(",", ":")) + "\n")
    print(f"{len(structs)} structs, {OUTPUT.stat().st_size} bytes")


if __name__ == "__main__":
    main()
