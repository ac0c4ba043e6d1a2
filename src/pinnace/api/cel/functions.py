"""The table of the functions that Kubernetes adds to CEL: names, parameters, and who implements them.

Read once for each environment. The library picks an overload by the exact types at run time, so a parameter that takes
anything is spelled out for each type. What Kubernetes makes opaque (a quantity, an URL, an address) is a map with a tag
here (`tagged.py`), since the library has no opaque values.
Source: Kubernetes v1.37, apiserver/pkg/cel/library; cel-go v0.26, ext/strings.go, ext/sets.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pinnace.api.cel import authorizing, formats, lists, nets, quantities, strings

ANY = ("int", "double", "string", "bool", "list", "map", "null", "bytes", "timestamp", "duration")


@dataclass(frozen=True, slots=True)
class Function:
    """One overload. `parameters` name types; "any" stands for each of ANY. `member` is x.f(y), else f(x, y)."""

    name: str
    parameters: tuple[str, ...]
    returns: str
    run: Callable[..., Any]
    member: bool = True


def _rows() -> Iterator[Function]:
    s, i, b, li, m = "string", "int", "bool", "list", "map"
    # Strings. Source: ext/strings.go
    yield Function("charAt", (s, i), s, strings.char_at)
    yield Function("indexOf", (s, s), i, strings.index_of)
    yield Function("indexOf", (s, s, i), i, strings.index_of)
    yield Function("lastIndexOf", (s, s), i, strings.last_index_of)
    yield Function("lastIndexOf", (s, s, i), i, strings.last_index_of)
    yield Function("lowerAscii", (s,), s, strings.lower_ascii)
    yield Function("upperAscii", (s,), s, strings.upper_ascii)
    yield Function("replace", (s, s, s), s, strings.replace)
    yield Function("replace", (s, s, s, i), s, strings.replace)
    yield Function("split", (s, s), "strings", strings.split)
    yield Function("split", (s, s, i), "strings", strings.split)
    yield Function("substring", (s, i), s, strings.substring)
    yield Function("substring", (s, i, i), s, strings.substring)
    yield Function("trim", (s,), s, strings.trim)
    yield Function("reverse", (s,), s, strings.reverse)
    yield Function("join", (li,), s, strings.join)
    yield Function("join", (li, s), s, strings.join)
    yield Function("format", (s, li), s, strings.format_text)
    yield Function("strings.quote", (s,), s, strings.quote, member=False)
    # Regular expressions. Source: library/regex.go
    yield Function("find", (s, s), s, strings.find)
    yield Function("findAll", (s, s), "strings", strings.find_all)
    yield Function("findAll", (s, s, i), "strings", strings.find_all)
    # Lists. Source: library/lists.go
    yield Function("isSorted", (li,), b, lists.is_sorted)
    yield Function("sum", (li,), "dyn", lists.sum_of)
    yield Function("min", (li,), "dyn", lists.min_of)
    yield Function("max", (li,), "dyn", lists.max_of)
    yield Function("indexOf", (li, "any"), i, lists.index_of)
    yield Function("lastIndexOf", (li, "any"), i, lists.last_index_of)
    # Sets. Source: ext/sets.go
    yield Function("sets.contains", (li, li), b, lists.contains, member=False)
    yield Function("sets.equivalent", (li, li), b, lists.equivalent, member=False)
    yield Function("sets.intersects", (li, li), b, lists.intersects, member=False)
    # URLs. Source: library/urls.go
    yield Function("url", (s,), m, nets.url, member=False)
    yield Function("isURL", (s,), b, nets.is_url, member=False)
    for name, run in nets.URL_PARTS.items():
        yield Function(name, (m,), m if name == "getQuery" else s, run)
    # Addresses. Source: library/ip.go, library/cidr.go
    yield Function("ip", (s,), m, nets.ip, member=False)
    yield Function("ip", (m,), m, nets.ip_of_cidr)
    yield Function("isIP", (s,), b, nets.is_ip, member=False)
    yield Function("ip.isCanonical", (s,), b, nets.is_canonical, member=False)
    yield Function("family", (m,), i, nets.family)
    for name, run in nets.IP_TESTS.items():
        yield Function(name, (m,), b, run)
    yield Function("cidr", (s,), m, nets.cidr, member=False)
    yield Function("isCIDR", (s,), b, nets.is_cidr, member=False)
    yield Function("containsIP", (m, m), b, nets.contains_ip)
    yield Function("containsIP", (m, s), b, nets.contains_ip)
    yield Function("containsCIDR", (m, m), b, nets.contains_cidr)
    yield Function("containsCIDR", (m, s), b, nets.contains_cidr)
    yield Function("masked", (m,), m, nets.masked)
    yield Function("prefixLength", (m,), i, nets.prefix_length)
    # Quantities and versions. Source: library/quantity.go, library/semverlib.go
    yield Function("quantity", (s,), m, quantities.quantity, member=False)
    yield Function("isQuantity", (s,), b, quantities.is_quantity, member=False)
    for name, run in quantities.TESTS.items():
        yield Function(name, (m,), quantities.RETURNS[name], run)
    for name in ("isLessThan", "isGreaterThan"):
        yield Function(name, (m, m), b, quantities.COMPARISONS[name])
    yield Function("compareTo", (m, m), i, quantities.compare_to)
    for name in ("add", "sub"):
        yield Function(name, (m, m), m, quantities.SUMS[name])
        yield Function(name, (m, i), m, quantities.SUMS[name])
    yield Function("semver", (s,), m, quantities.semver, member=False)
    yield Function("semver", (s, b), m, quantities.semver, member=False)
    yield Function("isSemver", (s,), b, quantities.is_semver, member=False)
    yield Function("isSemver", (s, b), b, quantities.is_semver, member=False)
    for name in ("major", "minor", "patch"):
        yield Function(name, (m,), i, quantities.VERSION_PARTS[name])
    # Rights. Source: library/authz.go
    for name in ("path", "group", "resource", "subresource", "namespace", "name", "check"):
        yield Function(name, (m, s), m, getattr(authorizing, name))
    yield Function("serviceAccount", (m, s, s), m, authorizing.service_account)
    for name, returns in (("allowed", b), ("reason", s), ("errored", b), ("error", s)):
        yield Function(name, (m,), returns, getattr(authorizing, name))
    # Named formats. Source: library/format.go
    for name in formats.NAMES:
        yield Function(f"format.{name}", (), m, formats.maker(name), member=False)
    yield Function("format.named", (s,), "dyn", formats.named, member=False)
    yield Function("validate", (m, s), "dyn", formats.validate)


def declare_functions(cel: Any) -> list[Any]:
    """Return the table as the library's declarations."""
    kinds = {
        "string": cel.Type.STRING,
        "int": cel.Type.INT,
        "bool": cel.Type.BOOL,
        "double": cel.Type.DOUBLE,
        "bytes": cel.Type.BYTES,
        "null": cel.Type.NULL,
        "timestamp": cel.Type.TIMESTAMP,
        "duration": cel.Type.DURATION,
        "dyn": cel.Type.DYN,
        "list": cel.Type.List(cel.Type.DYN),
        "strings": cel.Type.List(cel.Type.STRING),
        "map": cel.Type.Map(cel.Type.STRING, cel.Type.DYN),
    }
    overloads: dict[str, list[Any]] = {}
    for row in _rows():
        for parameters in _spelled_out(row.parameters):
            name = f"k8s_{row.name}_{'_'.join(parameters)}_{'m' if row.member and parameters else 'f'}"
            overload = cel.Overload(
                name.replace(".", "_"),
                return_type=kinds[row.returns],
                parameters=[kinds[one] for one in parameters],
                is_member=row.member,
                impl=row.run,
            )
            overloads.setdefault(row.name, []).append(overload)
    return [cel.FunctionDecl(name, found) for name, found in overloads.items()]


def _spelled_out(parameters: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if "any" not in parameters:
        yield parameters
        return
    at = parameters.index("any")
    for one in ANY:
        yield (*parameters[:at], one, *parameters[at + 1 :])
