"""Says what is wrong with a name: labels, subdomains, qualified names, ports, environment variables.

Pure: text in, sentences out; an empty tuple means that all is well. Answers for names are remembered, since the same
ones come again and again.
Source: Kubernetes v1.36, apimachinery/pkg/util/validation/validation.go (rules and words).
"""

import re
from collections.abc import Callable
from functools import lru_cache

NameRule = Callable[[str], tuple[str, ...]]

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_LABEL_1035 = "[a-z]([-a-z0-9]*[a-z0-9])?"
_QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_LABEL_VALUE = f"({_QUALIFIED})?"
_CONFIG_KEY = "[-._a-zA-Z0-9]+"

_REMEMBERED = 8192


def _explain(sentence: str, pattern: str, *examples: str) -> str:
    shown = " or ".join(f"'{example}', " for example in examples)
    return f"{sentence} (e.g. {shown}regex used for validation is '{pattern}')"


def _too_long(limit: int, unit: str = "characters") -> str:
    return f"must be no more than {limit} {unit}"


def _check(
    text: str, pattern: re.Pattern[str], limit: int, sentence: str, unit: str = "characters"
) -> tuple[str, ...]:
    problems: tuple[str, ...] = ()
    if len(text) > limit:
        problems += (_too_long(limit, unit),)
    if not pattern.fullmatch(text):
        problems += (sentence,)
    return problems


_LABEL_RE = re.compile(_LABEL)
_LABEL_SENTENCE = _explain(
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end"
    " with an alphanumeric character",
    _LABEL,
    "my-name",
    "123-abc",
)
_SUBDOMAIN_RE = re.compile(_SUBDOMAIN)
_SUBDOMAIN_SENTENCE = _explain(
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start"
    " and end with an alphanumeric character",
    _SUBDOMAIN,
    "example.com",
)
_LABEL_1035_RE = re.compile(_LABEL_1035)
_LABEL_1035_SENTENCE = _explain(
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character,"
    " and end with an alphanumeric character",
    _LABEL_1035,
    "my-name",
    "abc-123",
)
_QUALIFIED_RE = re.compile(_QUALIFIED)
_QUALIFIED_SENTENCE = _explain(
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
    _QUALIFIED,
    "MyName",
    "my.name",
    "123-abc",
)
_LABEL_VALUE_RE = re.compile(_LABEL_VALUE)
_LABEL_VALUE_SENTENCE = _explain(
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start"
    " and end with an alphanumeric character",
    _LABEL_VALUE,
    "MyValue",
    "my_value",
    "12345",
)
_CONFIG_KEY_RE = re.compile(_CONFIG_KEY)
_CONFIG_KEY_SENTENCE = _explain(
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
    _CONFIG_KEY,
    "key.name",
    "KEY_NAME",
    "key-name",
)
_ENV_NAME_SENTENCE = (
    "a valid environment variable name must consist only of printable ASCII characters other than '='"
)


@lru_cache(_REMEMBERED)
def check_label_name(text: str) -> tuple[str, ...]:
    """RFC 1123 label: containers, volumes, namespaces."""
    sentence = "must not contain dots" if "." in text and _SUBDOMAIN_RE.fullmatch(text) else _LABEL_SENTENCE
    return _check(text, _LABEL_RE, 63, sentence)


@lru_cache(_REMEMBERED)
def check_subdomain(text: str) -> tuple[str, ...]:
    """RFC 1123 subdomain: most objects' names."""
    return _check(text, _SUBDOMAIN_RE, 253, _SUBDOMAIN_SENTENCE)


@lru_cache(_REMEMBERED)
def check_label_1035(text: str) -> tuple[str, ...]:
    """RFC 1035 label: Services' names."""
    return _check(text, _LABEL_1035_RE, 63, _LABEL_1035_SENTENCE)


@lru_cache(_REMEMBERED)
def check_qualified_name(text: str) -> tuple[str, ...]:
    """`[prefix/]name`: keys of labels and annotations, resources, finalizers."""
    prefix, slash, name = text.rpartition("/")
    if "/" in prefix:
        return (
            f"a valid label key {_QUALIFIED_SENTENCE} with an optional DNS subdomain prefix and '/' "
            "(e.g. 'example.com/MyName')",
        )
    problems: tuple[str, ...] = ()
    if slash:
        problems = (
            ("prefix part must be non-empty",)
            if not prefix
            else tuple(
                f"prefix part {p}"
                for p in _check(prefix, _SUBDOMAIN_RE, 253, _SUBDOMAIN_SENTENCE, unit="bytes")
            )
        )
    if not name:
        problems += ("name part must be non-empty",)
    elif len(name) > 63:
        problems += (f"name part {_too_long(63, 'bytes')}",)
    if not _QUALIFIED_RE.fullmatch(name):
        problems += (f"name part {_QUALIFIED_SENTENCE}",)
    return problems


@lru_cache(_REMEMBERED)
def check_label_value(text: str) -> tuple[str, ...]:
    """A label's value; may be empty."""
    return _check(text, _LABEL_VALUE_RE, 63, _LABEL_VALUE_SENTENCE, unit="bytes")


@lru_cache(_REMEMBERED)
def check_config_key(text: str) -> tuple[str, ...]:
    """A key of a ConfigMap or Secret."""
    problems = _check(text, _CONFIG_KEY_RE, 253, _CONFIG_KEY_SENTENCE)
    if text == ".":
        problems += ("must not be '.'",)
    elif text == "..":
        problems += ("must not be '..'",)
    elif text.startswith(".."):
        problems += ("must not start with '..'",)
    return problems


@lru_cache(_REMEMBERED)
def check_port_name(text: str) -> tuple[str, ...]:
    """A port's name (IANA service name)."""
    problems: list[str] = []
    if len(text) > 15:
        problems.append("must be no more than 15 characters")
    if not re.fullmatch("[-a-z0-9]+", text):
        problems.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not re.search("[a-z]", text):
        problems.append("must contain at least one letter (a-z)")
    if "--" in text:
        problems.append("must not contain consecutive hyphens")
    if text.startswith("-") or text.endswith("-"):
        problems.append("must not begin or end with a hyphen")
    return tuple(problems)


@lru_cache(_REMEMBERED)
def check_env_name(text: str) -> tuple[str, ...]:
    """An environment variable's name."""
    if not text:
        return ("environment variable name must be non-empty",)
    return () if text and all(" " <= c <= "~" and c != "=" for c in text) else (_ENV_NAME_SENTENCE,)


def check_path_segment(text: str) -> tuple[str, ...]:
    """A name that is only ever part of a URL's path (RBAC and such)."""
    if text in (".", ".."):
        return (f"may not be '{text}'",)
    return tuple(f"may not contain '{c}'" for c in ("/", "%") if c in text)


_HEADER = "[-A-Za-z0-9]+"
_HEADER_SENTENCE = _explain(
    "a valid HTTP header must consist of alphanumeric characters or '-'", _HEADER, "X-Header-Name"
)


def check_header_name(text: str) -> tuple[str, ...]:
    """The name of an HTTP header."""
    return () if re.fullmatch(_HEADER, text) else (_HEADER_SENTENCE,)


_HTTP_PATH = r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+"


def check_domain_path(text: str) -> tuple[tuple[str, str], ...]:
    """A name with a domain before it, like acme.io/foo: the parts that are wrong, each with a sentence."""
    host, _, path = text.partition("/")
    if not host or not path:
        return ((text, 'must be a domain-prefixed path (such as "acme.io/foo")'),)
    wrong = tuple((host, sentence) for sentence in check_subdomain(host))
    if not re.fullmatch(_HTTP_PATH, path):
        wrong += ((path, f"Invalid path (regex used for validation is '{_HTTP_PATH}')"),)
    return wrong


def as_prefix(rule: NameRule) -> NameRule:
    """Return the rule for `generateName`: what follows is still to come, so a trailing dash is fine."""
    return lambda text: rule(f"{text[:-1]}a" if text.endswith("-") else text)
