"""Go templates. The expected texts are what `docker inspect --format` printed of the same document (28.2), or Go's rules."""

from __future__ import annotations

import pytest

from pinnace.base.errors import UserError
from pinnace.cli.formats import print_rows
from pinnace.cli.templates import parse_template

DOCUMENT = {
    "Id": "sha256:1",
    "Size": 6,
    "Half": 0.5,
    "Running": True,
    "Config": {
        "Env": ["A=1", "B=2 3"],
        "OnBuild": None,
        "Labels": {"b": "2", "a": "1"},
        "Cmd": ["<a>", "&"],
    },
    "Ports": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}], "53/udp": []},
}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("{{.Id}}", "sha256:1"),
        ("{{ .Id }}-{{.Size}}", "sha256:1-6"),
        ("{{.Config.Env}} {{.Running}} {{.Half}}", "[A=1 B=2 3] true 0.5"),
        ("{{.Config.Labels}}", "map[a:1 b:2]"),
        ("{{.Config.OnBuild}}", "<no value>"),
        ("{{json .Config.Cmd}}", '["\\u003ca\\u003e","\\u0026"]'),
        ("{{.Config.Env | json}}", '["A=1","B=2 3"]'),
        ('{{index .Config.Labels "a"}}{{index .Config.Env 1}}', "1B=2 3"),
        ('{{(index (index .Ports "80/tcp") 0).HostPort}}', "8080"),
        ('{{join .Config.Env ", "}}', "A=1, B=2 3"),
        ("{{range .Config.Env}}<{{.}}>{{end}}", "<A=1><B=2 3>"),
        ("{{range $i, $e := .Config.Env}}{{if $i}}, {{end}}{{$e}}{{end}}", "A=1, B=2 3"),
        ("{{range $p, $c := .Ports}}{{$p}}={{len $c}} {{end}}", "53/udp=0 80/tcp=1 "),
        ("{{range .Config.OnBuild}}x{{else}}none{{end}}", "none"),
        ('{{if eq .Id "x" "sha256:1"}}yes{{else}}no{{end}}', "yes"),
        ("{{if .Config.OnBuild}}a{{else if gt .Size 5}}b{{else}}c{{end}}", "b"),
        ("{{with .Config}}{{len .Env}}{{end}}", "2"),
        ("{{$x := .Id}}{{$x | upper}}", "SHA256:1"),
        ("a {{- .Size -}} b", "a6b"),
        ('{{printf "%s-%d" .Id .Size}}{{println}}', "sha256:1-6\n"),
        ("{{/* said to nobody */}}{{not .Running}}", "false"),
        ("{{and .Running .Size}} {{or .Config.OnBuild `x`}}", "6 x"),
        ('{{"}}"}}', "}}"),
    ],
)
def test_templates_give_what_go_gives(text: str, shown: str) -> None:
    assert parse_template(text).render(DOCUMENT) == shown


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{{.Foo}}", 'executing "" at <.Foo>: map has no entry for key "Foo"'),
        ("{{.Config.Foo}}", 'at <.Config.Foo>: map has no entry for key "Foo"'),
        ("{{.Size.Foo}}", "can't evaluate field Foo"),
        ("{{.Id", "unclosed action"),
        ("{{}}", "missing value for command"),
        ("{{nothing .}}", "function 'nothing' not defined"),
        ("{{if .Id}}x", "unexpected EOF"),
        ("{{end}}", "unexpected {{end}}"),
        ("{{.Id .Size}}", "can't give argument to non-function .Id"),
        ("{{$x}}", "undefined variable '$x'"),
        ("{{(.Id}}", "unclosed left paren"),
        ("{{.Id)}}", "unexpected right paren"),
        ('{{"abc}}', "unterminated quoted string"),
        ("{{index .Config.Env 2}}", "index out of range: 2"),
        ("{{range .Size}}{{end}}", "range can't iterate over 6"),
        ("{{len .Size}}", "error calling len"),
        ("{{lt .Id 5}}", "incompatible types"),
        ("{{.Id | }}", "missing value for command"),
        ("{{%}}", "unexpected '%' in command"),
    ],
)
def test_what_a_template_cannot_do_is_said_in_gos_words(text: str, says: str) -> None:
    with pytest.raises(UserError) as refused:
        parse_template(text).render(DOCUMENT)
    assert says in refused.value.message
    assert refused.value.message.startswith("template parsing error: template: :1")


ROWS = [{"ID": "1", "Size": "6B"}, {"ID": "22", "Size": "1kB"}]
COLUMNS = {"ID": "IMAGE ID", "Size": "SIZE"}


@pytest.mark.parametrize(
    ("form", "shown"),
    [
        ("table", "IMAGE ID\n1\n22\n"),
        ("json", '{"ID":"1","Size":"6B"}\n{"ID":"22","Size":"1kB"}\n'),
        ("{{.ID}}: {{.Size}}", "1: 6B\n22: 1kB\n"),
        (r"table {{.Size}}\t{{.ID}}", "SIZE   IMAGE ID\n6B     1\n1kB    22\n"),
    ],
)
def test_rows_have_dockers_forms(capsys: pytest.CaptureFixture[str], form: str, shown: str) -> None:
    print_rows(ROWS, COLUMNS, ["ID"], form)
    assert capsys.readouterr().out == shown


def test_a_form_that_is_none_is_refused() -> None:
    with pytest.raises(UserError, match="--format 'yaml' is unknown"):
        print_rows(ROWS, COLUMNS, ["ID"], "yaml")
