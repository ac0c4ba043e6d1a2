"""What Dockerfiles in the wild look like, class by class, in minimal cases of our own.

Some 2,500 Dockerfiles of public repositories were read beside BuildKit's own parser; each class in which they differ from
textbook ones has a case here. It is read as BuildKit reads it (if the wheel is there), planned, and the plan is looked at.
"""

from __future__ import annotations

from typing import Any

import pytest

from pinnace.build.plan import BuildOptions, plan_build
from pinnace.build.steps import Copy, Run
from pinnace.dockerfile.parse import parse_dockerfile
from pinnace.oci.config import ContainerConfig, ImageConfig, RootFs

WILD: dict[str, tuple[str, dict[str, Any]]] = {
    "keywords in any case, blanks and tabs at both ends": (
        "From  img:1   As Build  \n\t Run\techo  a  \nwOrKdIr /a \ncopy . . \nCmd [ \"x\" ]  \n",
        {"argv": ["echo  a"], "cwd": "/a", "cmd": ("x",)},
    ),
    "a mark of byte order, and Windows line ends": (
        "\ufeff# note\r\nFROM img\r\nRUN a \\\r\n  && b\r\nENV C=d\r\n",
        {"argv": ["a   && b"], "env": "C=d"},
    ),
    "comments of any depth and empty lines inside a long command": (
        "FROM img\nRUN a \\\n# one\n    # two\n\n  b; \\\n\t\n\t# three\n  c\n",
        {"argv": ["a   b;   c"]},
    ),
    "a command that ends with the mark of continuation, at the end of the file": (
        "FROM img\nRUN a && \\\n    b \\\n",
        {"argv": ["a &&     b"]},
    ),
    "blanks after the mark of continuation": ("FROM img\nRUN a \\  \n  b\n", {"argv": ["a   b"]}),
    "an escaped mark of continuation goes on nevertheless not": (
        "FROM img\nRUN echo a\\\\\nRUN b\n",
        {"argv": ["echo a\\\\", "b"]},
    ),
    "a hash that is no comment": ("FROM img\nRUN echo \"# a\" # b\nENV A=#1\n", {"argv": ['echo "# a" # b'], "env": "A=#1"}),
    "old forms of ENV and LABEL, with = in the value": (
        "FROM img\nENV OPTS -Da=b -Dc=\"d e\"\nLABEL maintainer me <me@x.example>\nMAINTAINER me\n",
        {"env": 'OPTS=-Da=b -Dc=d e', "labels": {"maintainer": "me <me@x.example>"}},
    ),
    "many variables in one line, with escaped blanks and quotes": (
        "FROM img\nENV A=b\\ c \\\n    D='e f' \\\n    G=\"h \\\"i\\\" $A\" \\\n    J=$A\n",
        {"env": "J="},
    ),
    "a path that is put before or behind": (
        "FROM img\nENV PATH /opt/bin:$PATH\nENV PATH=\"${PATH}:/x\"\n",
        {"env": "PATH=/opt/bin:/base/bin:/x"},
    ),
    "JSON in a label's single quotes": (
        "FROM img\nLABEL spec='{\"a\": [1, \"b c\"]}' \\\n      io.x/y=\"1\"\n",
        {"labels": {"spec": '{"a": [1, "b c"]}', "io.x/y": "1"}},
    ),
    "a list for the shell": ("FROM img\nRUN [ -f /x ] || true\nRUN [[ \"$A\" == b* ]]\n", {"argv": ["[ -f /x ] || true", '[[ "$A" == b* ]]']}),
    "a list with single quotes is a shell command": (
        "FROM img\nCMD ['python', 'x.py']\n",
        {"cmd": ("/bin/sh", "-c", "['python', 'x.py']")},
    ),
    "a list over several lines, with blanks in it": (
        "FROM img\nENTRYPOINT [ \"a\", \\\n  \"--b\" , \\\n  \"c d\" ]\n",
        {"entrypoint": ("a", "--b", "c d")},
    ),
    "other escapes, for PowerShell": (
        "# escape=`\nFROM img\nSHELL [\"pwsh\", \"-Command\", \"$x = 1;\"]\nRUN a -B C:\\d\\ ; `\n    e `\n    # f\n    ; g\n",
        {"argv": ["a -B C:\\d\\ ;     e     ; g"]},
    ),
    "directives with blanks, and one that comes too late": (
        "#syntax = docker/dockerfile:1.4-labs\n# escape = \\\n\n# escape=`\nFROM img\nRUN a \\\n b\n",
        {"argv": ["a  b"]},
    ),
    "arguments before FROM in image and stage": (
        "ARG BASE=img\nARG TAG=1\nFROM ${BASE}:${TAG:-2}\nARG TAG\nARG X=${TAG}-x\nRUN a\n",
        {"argv": ["a"], "step_env": "X=1-x"},
    ),
    "stages by number, name and expression": (
        "FROM img AS Builder.x_1-2\nFROM img\nFROM builder.x_1-2\nCOPY --from=0 /a /b\nCOPY --from=Builder.X_1-2 /a /c\n",
        {"copies": [("/a",), ("/a",)]},
    ),
    "files that may be there or not": (
        "FROM img\nWORKDIR /w\nCOPY package.json yarn.lock* ./\nCOPY [\"a b\", \"c/\", \"/d e/\"]\n",
        {"copies": [("package.json", "yarn.lock*"), ("a b", "c/")]},
    ),
    "flags in quotes, and variables in flags": (
        "FROM img\nARG U=1000\nCOPY --chown=$U:\"${U}\" --chmod=0755 a /b\nADD --chown=\"a:b\" c /d\n",
        {"copies": [("a",), ("c",)]},
    ),
    "ports with variables, ranges and protocols": (
        "FROM img\nENV P=80\nEXPOSE $P 8000-8002/tcp ${P}/udp   443\n",
        {"ports": ["443/tcp", "80/tcp", "80/udp", "8000/tcp", "8001/tcp", "8002/tcp"]},
    ),
    "a check over several lines": (
        "FROM img\nHEALTHCHECK --interval=5m --timeout=3s \\\n  CMD curl -f http://localhost/ || exit 1\n",
        {},
    ),
    "a script in a here-document behind flags": (
        "FROM img\nRUN --mount=type=cache,target=/root/.cache <<EOF\n#!/bin/bash\nset -e\n\n# kept\npip x \\\n  y\nEOF\n",
        {"script": "#!/bin/bash\nset -e\n\n# kept\npip x \\\n  y\n"},
    ),
    "here-documents that keep or lose their variables and tabs": (
        "FROM img\nARG V=1\nCOPY <<-EOT /a\n\techo ${V} \\$V\n  b\nEOT\nCOPY <<'EOT' /b\n$V\nEOT\n",
        {"inline": ["echo 1 $V\n  b\n", "$V\n"]},
    ),
    "a here-document with a program": (
        "FROM img\nRUN python3 <<PY > /x && true\nprint('FROM')\nPY\nRUN b\n",
        {"argv": ["python3 <<PY > /x && true\nprint('FROM')\nPY", "b"]},
    ),
    "shifts and here-strings are no here-documents": (
        "FROM img\nRUN echo $((1<<2)); cat <<< a; b\nRUN c\n",
        {"argv": ["echo $((1<<2)); cat <<< a; b", "c"]},
    ),
    "quotes that the shell reads": ("FROM img\nRUN echo it\\'s && echo \"a\n", {"argv": ["echo it\\'s && echo \"a"]}),
    "placeholders of templates": ("FROM img\nENV V=%%VERSION%% W=@W@\nRUN a %%X%%\n", {"argv": ["a %%X%%"], "env": "W=@W@"}),
    "triggers for who builds on it": ("FROM img\nONBUILD COPY . /a\nONBUILD RUN [\"b\", \"c\"]\nonbuild env A=b\n", {}),
    "volumes, users and signals": (
        "FROM img\nVOLUME /a /b\nVOLUME [\"/c d\"]\nUSER 1000:1000\nSTOPSIGNAL SIGQUIT\n",
        {"volumes": ["/a", "/b", "/c d"]},
    ),
    "one command after the other, the last one counts": ("FROM img\nCMD a\nENTRYPOINT [\"b\"]\nCMD [\"c\"]\n", {"entrypoint": ("b",), "cmd": ("c",)}),
    "no line end at the end": ("FROM img\nRUN a", {"argv": ["a"]}),
    "letters of all alphabets": ("FROM img\nENV Ü=ß\nLABEL 名=値\nRUN echo “a” — ✓\n", {"argv": ["echo “a” — ✓"], "env": "Ü=ß"}),
}  # fmt: skip

BASE = ImageConfig(
    architecture="amd64", os="linux", config=ContainerConfig(env=("PATH=/base/bin",)), rootfs=RootFs()
)


@pytest.mark.parametrize("name", WILD)
def test_wild_dockerfile_is_read_as_buildkit_reads_it(name: str) -> None:
    from tests.unit.dockerfile.oracle import compare

    compare(WILD[name][0].removeprefix("\ufeff"))  # BuildKit takes the mark away before it parses


@pytest.mark.parametrize("name", WILD)
def test_wild_dockerfile_means_this(name: str) -> None:
    text, expected = WILD[name]
    plan = plan_build(parse_dockerfile(text), BuildOptions(), lambda image, platform: BASE)
    stage = plan.stage(plan.target)
    steps = [planned.step for planned in stage.steps]
    runs = [step for step in steps if isinstance(step, Run)]
    copies = [step for step in steps if isinstance(step, Copy)]
    config = stage.config
    seen = {
        "argv": [step.argv[-1] for step in runs],
        "cwd": config.working_dir,
        "cmd": config.cmd,
        "entrypoint": config.entrypoint,
        "env": (config.env or ("",))[-1],
        "labels": config.labels,
        "step_env": next((one for one in runs[0].env if one.startswith("X=")), "") if runs else "",
        "copies": [step.sources for step in copies],
        "inline": [one.data for step in copies for one in step.inline],
        "script": runs[0].script if runs else "",
        "ports": sorted(config.exposed_ports or {}),
        "volumes": list(config.volumes or {}),
    }
    assert {key: seen[key] for key in expected} == expected
