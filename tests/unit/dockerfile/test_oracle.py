"""Our reader beside BuildKit's own parser (the wheel `dockerfile`): same instructions, values, flags, here-documents, lines."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pinnace.base.errors import UserError
from pinnace.dockerfile.parse import parse_dockerfile
from tests.unit.dockerfile.oracle import LATER, compare, oracle

CORPUS = {
    "python service": """\
# syntax=docker/dockerfile:1

ARG PYTHON_VERSION=3.12
FROM python:${PYTHON_VERSION}-slim AS base

# Prevents Python from writing pyc files.
ENV PYTHONDONTWRITEBYTECODE=1 \\
    PYTHONUNBUFFERED=1

WORKDIR /app
ARG UID=10001
RUN adduser \\
    --disabled-password \\
    --gecos "" \\
    --uid "${UID}" \\
    appuser

RUN --mount=type=cache,target=/root/.cache/pip \\
    --mount=type=bind,source=requirements.txt,target=requirements.txt \\
    python -m pip install -r requirements.txt
USER appuser
COPY . .
EXPOSE 8000
CMD ["uvicorn", "app:app", "--host=0.0.0.0", "--port=8000"]
""",
    "comments and empty lines in a continuation": """\
FROM debian:bookworm
RUN set -eux; \\
# the tools
	apt-get update; \\

	apt-get install -y --no-install-recommends \\
		ca-certificates \\
	# and more
		curl \\
	; \\
	rm -rf /var/lib/apt/lists/*
LABEL one=1
""",
    "old forms": """\
FROM busybox
MAINTAINER Some One <some@one.example>
ENV PATH /usr/local/bin:$PATH
ENV abc hello  world=x
LABEL version 1.0
EXPOSE 80 443/tcp  53/udp
VOLUME /var/log /data
ADD foo.tar.gz /x
STOPSIGNAL SIGKILL
""",
    "labels": """\
FROM busybox
LABEL "com.example.vendor"="ACME Incorporated" com.example.label-with-value="foo" \\
      version="1.0" description="This text illustrates \\
that label-values can span multiple lines."
LABEL multi.label1="value1" multi.label2='value 2' other=value\\ 3
""",
    "exec forms": """\
FROM busybox
RUN ["/bin/sh", "-c", "echo \\"hi\\" \\u00e9"]
RUN [ "a" ,"b" ]
RUN ["a", 'b']
RUN [ -e /x ] || true
CMD []
ENTRYPOINT ["a",
ENTRYPOINT [ "x", \\
  "y" ]
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
VOLUME ["/a", "/b c"]
COPY ["a b", "c", "/d e/"]
""",
    "onbuild": """\
FROM node AS Builder
ONBUILD ADD package.json /app/
ONBUILD RUN ["npm", "install"]
ONBUILD COPY --chown=node:node . /app
ONBUILD ENV A=1 B=2
ONBUILD RUN <<EOF
echo hi
EOF
RUN after
""",
    "windows": """\
# escape=`
FROM mcr.example.com/windows/servercore:ltsc2022
SHELL ["powershell", "-Command"]
RUN New-Item -ItemType Directory C:\\Example `
    ; echo done
COPY testfile.txt c:\\
ENV A="a`"b" C=D
RUN dir c:\\
""",
    "heredocs": """\
FROM busybox
RUN <<EOF
#!/usr/bin/env python
print("hello") # not a comment \\
EOF
RUN cat <<A <<-'B' > /x
1 $x
A
	2
	B
COPY <<robots.txt <<humans.txt /usr/share/nginx/html/
(robots content)
robots.txt
(humans content)
humans.txt
COPY --chmod=755 <<-"EOT" /script.sh
	FROM nothing
	EOT
RUN python3 3<<EOF
x
EOF
RUN echo "<<EOF" '<<X' $((1<<2)) <<< y
""",
    "flags": """\
FROM --platform=$BUILDPLATFORM golang:1.22 AS build
COPY --from=build --chown="a:b" --chmod=0644 --link x y
RUN --network=none --security=insecure make
HEALTHCHECK --interval=5m --timeout=3s --retries=3 CMD curl -f http://localhost/ || exit 1
HEALTHCHECK --interval=5s CMD ["true"]
HEALTHCHECK NONE
ADD --keep-git-dir=true --checksum=sha256:abc https://example.com/x.git /x
RUN -- --x
""",
    "odd blanks and cases": "\n\n  FrOm   busybox:latest   as\tB  \n\t run   a\t b  \nEnv\ta=1\t b=2\n\nworkdir  /a b \n",
    "windows line ends": "FROM a\r\nRUN b \\\r\n  && c\r\nRUN <<EOF\r\nx\r\nEOF\r\nENV d=e\r\n",
    "args": 'ARG A\nARG B=1 C="2 3" D\nFROM ${A:-x}:$B\nARG A\nARG E=${B:+z}\n',
    "nearly directives": "#escape=`\n# syntax = x\nFROM a\nRUN b `\n c\n",
    "no directive after a comment": "# hi\n# escape=`\nFROM a\nRUN b \\\n c\n",
    "last line without an end": "FROM a\nRUN b",
    "escape before the end of the file": "FROM a\nRUN b \\\n",
    "letters of other alphabets": "FROM a\nENV ñ=é\nRUN echo 안녕 \\\n 세계\nCOPY ю /x\n",
    "quotes that never end": "FROM a\nRUN echo it's\nCOPY it's /x\nEXPOSE \"80\n",
}


@pytest.mark.parametrize("name", CORPUS)
def test_dockerfile_of_the_corpus_is_read_as_buildkit_reads_it(name: str) -> None:
    compare(CORPUS[name])


KEYWORDS = (
    "RUN",
    "COPY",
    "ENV",
    "LABEL",
    "ARG",
    "CMD",
    "EXPOSE",
    "VOLUME",
    "USER",
    "WORKDIR",
    "ADD",
    "ONBUILD RUN",
)
PIECES = (
    *(
        "a",
        "b=c",
        "A=1",
        "$x",
        "${y:-z}",
        '"q r"',
        "'s t'",
        '"',
        "'",
        "\\",
        "\\\\x",
        " ",
        "  ",
        "\t",
        "=",
        "#",
    ),
    *("--flag=x", "--", "-", "<<<", "\\\n", " \\\n  ", " \\\n# comment\n ", "\\ \n", "`\n", "`x"),
)
# Whole, since the BuildKit of the wheel ignored what follows a list; today's takes `["a"] b` as a shell command.
LISTS = (
    '["a"]',
    '["a", "b c"]',
    ' [ "a" ,"b"  ] ',
    '["a", 1]',
    "[]",
    "['a']",
    '["a",',
    "[ -f x ] && y",
    '["\\u00e9\\nx"]',
)


def instructions() -> st.SearchStrategy[str]:
    rest = st.lists(st.sampled_from(PIECES), min_size=1, max_size=8).map("".join) | st.sampled_from(LISTS)
    plain = st.tuples(st.sampled_from(KEYWORDS), rest).map(" ".join)
    body = st.lists(st.sampled_from(("x", "  y", "\tz", "# c", "RUN w \\", "", "EOF ")), max_size=4)
    heredoc = st.tuples(
        st.sampled_from(("RUN", "COPY", "ONBUILD RUN", "RUN cat")),
        st.sampled_from(("<<EOF", "<<-EOF", "<<'EOF'", '2<<"EOF"')),
        st.sampled_from(("", " /x", " > y")),
        body,
    ).map(
        lambda parts: f"{parts[0]} {parts[1]}{parts[2]}\n" + "".join(f"{line}\n" for line in parts[3]) + "EOF"
    )
    return plain | heredoc


@settings(max_examples=300, deadline=None)
@given(st.lists(instructions(), min_size=1, max_size=5), st.sampled_from(("", "# escape=`\n", "# hi\n")))
def test_generated_dockerfile_is_read_as_buildkit_reads_it(rows: list[str], top: str) -> None:
    text = top + "FROM a\n" + "\n".join(rows) + "\n"
    assume("escape" not in top or "--" not in text)  # the wheel's BuildKit took "\\" for the escape in flags
    try:
        oracle.parse_string(text)
    except oracle.GoParseError:
        with pytest.raises(UserError):
            parse_dockerfile(text)
        return
    refusal = ""
    try:
        compare(text)
    except UserError as error:
        refusal = error.message
    assert not refusal or any(words in refusal for words in LATER), refusal
