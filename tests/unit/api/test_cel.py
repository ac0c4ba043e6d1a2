"""CEL's functions as Kubernetes has them, by the examples of its documentation and of cel-go."""

from typing import Any

import pytest

from pinnace.api.cel.engine import CelError, check_pattern, environment


def evaluate(text: str, **values: Any) -> Any:
    env = environment(**dict.fromkeys(values, "dyn"))
    return env.compile(text).evaluate(env.activate(values)).value


# Source: kubernetes.io, "Common Expression Language in Kubernetes"; cel-go ext/strings.go.
TRUE = [
    # strings
    "'hello'.charAt(4) == 'o'",
    "'hello mellow'.indexOf('ello', 2) == 7",
    "'hello mellow'.lastIndexOf('ello') == 7",
    "'TacoCat'.lowerAscii() == 'tacocat'",
    "'hello hello'.replace('he', 'we', 1) == 'wello hello'",
    "'a,b,c'.split(',') == ['a', 'b', 'c']",
    "'a,b,c'.split(',', 2) == ['a', 'b,c']",
    "'tacocat'.substring(0, 4) == 'taco'",
    "'  trim '.trim() == 'trim'",
    "['a', 'b'].join('-') == 'a-b'",
    "'%s has %d and %.2f'.format(['x', 3, 1.5]) == 'x has 3 and 1.50'",
    "'abc 123'.find('[0-9]+') == '123'",
    "'1 2 3'.findAll('[0-9]', 2) == ['1', '2']",
    # lists and sets
    "['a', 'b', 'c'].isSorted()",
    "![2, 1].isSorted()",
    "[1, 3].sum() == 4",
    "[1.5, 2.5].max() == 2.5",
    "['a', 'b', 'b'].indexOf('b') == 1",
    "[1, 2, 2].lastIndexOf(2) == 2",
    "sets.contains([1, 2, 3], [2])",
    "sets.equivalent([1, 1, 2], [2, 1])",
    "!sets.intersects([1], [2])",
    # URLs
    "url('https://user:pass@example.com:80/path?k1=a&k2=b').getHost() == 'example.com:80'",
    "url('https://example.com:80/').getHostname() == 'example.com'",
    "url('https://example.com:80/').getPort() == '80'",
    "url('https://example.com/a b%20c'.replace(' ', '+')).getScheme() == 'https'",
    "url('https://example.com/?k=a&k=b').getQuery()['k'] == ['a', 'b']",
    "isURL('https://example.com') && !isURL('../relative') && isURL('/absolute')",
    # addresses
    "ip('192.168.0.1').family() == 4 && ip('::1').isLoopback()",
    "isIP('127.0.0.1') && !isIP('127.0.0.256')",
    "ip.isCanonical('2001:db8::abcd') && !ip.isCanonical('2001:DB8::ABCD')",
    "cidr('192.168.0.0/24').containsIP('192.168.0.9') && cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16')",
    "cidr('192.168.1.5/24').masked() == cidr('192.168.1.0/24') && cidr('::1/128').prefixLength() == 128",
    "cidr('192.168.1.5/24').ip() == ip('192.168.1.5')",
    # quantities and versions
    "quantity('50M').isInteger() && quantity('50k').asInteger() == 50000",
    "quantity('200M').compareTo(quantity('0.2G')) == 0",
    "quantity('1Gi').isGreaterThan(quantity('1G'))",
    "quantity('50k').add('20k' == '' ? quantity('1') : quantity('20k')) == quantity('70k')",
    "quantity('50k').sub(20000) == quantity('30k')",
    "isQuantity('1.3Gi') && !isQuantity('200K200')",
    "semver('1.2.3').isLessThan(semver('1.10.0')) && semver('1.2.3-rc.1').isLessThan(semver('1.2.3'))",
    "semver('v1.0', true).major() == 1 && !isSemver('1.0')",
    # formats
    "format.dns1123Label().validate('a-b') == null",
    "format.dns1123Label().validate('A').size() == 1",
    "format.named('nothing') == null",
    # optional values, math
    "x.?missing.orValue(3) == 3 && x.?a.hasValue()",
    "math.greatest([1, 5, 3]) == 5",
    "has(x.a) && !has(x.missing) && 'a' in x && type(x.a) == int",
    "timestamp('2026-01-02T03:04:05Z').getFullYear() == 2026 && duration('90m') == duration('1h30m')",
]


@pytest.mark.parametrize("text", TRUE)
def test_it_is_true(text: str) -> None:
    assert evaluate(text, x={"a": 1}) is True


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("x.missing", "no such key: missing"),
        ("1 / (x.a - 1)", "division by zero"),
        ("[1][5]", "index out of bounds"),
        ("x.a + 'b'", "no such overload"),
        ("quantity('x')", "quantities must match the regular expression"),
        ("ip('nope')", "parse error during conversion from string"),
        ("'a'.charAt(9)", "index out of range: 9"),
        ("'%d'.format(['a'])", "error during formatting"),
        ("[].min()", "min called on empty list"),
    ],
)
def test_it_fails_in_words(text: str, why: str) -> None:
    with pytest.raises(CelError, match=why):
        evaluate(text, x={"a": 1})


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("x +", "Syntax error"),
        ("y", "undeclared reference to 'y'"),
        ("((" * 200 + "1" + "))" * 200, "recursion"),
        ("x" * 70_000, "more than 65536 characters"),
    ],
)
def test_it_cannot_be_compiled(text: str, why: str) -> None:
    with pytest.raises(CelError, match=why):
        environment(x="dyn").compile(text)


def test_results_are_bounded() -> None:
    with pytest.raises(CelError, match="cost limit exceeded"):
        evaluate("x.replace('', x).replace('', x)", x="a" * 2000)


def test_values_that_cel_has_not_are_refused() -> None:
    with pytest.raises(CelError):
        evaluate("x > 1", x=2**70)


def test_patterns_are_checked() -> None:
    assert check_pattern("^a+$") == ""
    assert "missing ]" in check_pattern("[")
