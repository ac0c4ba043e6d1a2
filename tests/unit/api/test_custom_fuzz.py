"""Whatever a schema or an object says, it is judged, never an error of ours."""

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pinnace.api.custom.lists import judge_lists
from pinnace.api.custom.rules import build_rules
from pinnace.api.custom.schema_rules import SchemaJudge, clean_schema
from pinnace.api.custom.values import UNKNOWN, Judge
from pinnace.api.validation.problems import Problems
from pinnace.kube.structural import compile_structural
from pinnace.kube.structural.defaulting import default
from pinnace.kube.structural.keywords import KEYWORDS
from pinnace.kube.structural.pruning import prune
from pinnace.kube.structural.shape import shape_of_structural

SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=5))
NAMES = st.sampled_from(["a", "b", "spec", "metadata", "", "x-y", "$ref"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=8,
)
RULES = st.lists(
    st.fixed_dictionaries(
        {"rule": st.sampled_from(["self == oldSelf", "self.a > 1", "true", "has(self.a)", "1/0 == 1", "("])}
    ),
    max_size=2,
)


def _schemas(inner: Any) -> Any:
    return st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(
                ["object", "array", "string", "integer", "number", "boolean", "null", "x"]
            ),
            "properties": st.dictionaries(NAMES, inner, max_size=3),
            "items": inner,
            "additionalProperties": st.one_of(st.booleans(), inner),
            "default": VALUES,
            "enum": st.lists(VALUES, max_size=2),
            "required": st.lists(NAMES, max_size=2),
            "nullable": st.booleans(),
            "maximum": st.one_of(st.integers(), st.floats(allow_nan=False)),
            "multipleOf": st.integers(-1, 3),
            "maxLength": st.integers(-1, 3),
            "pattern": st.sampled_from(["^a", "[", "(a+)+$"]),
            "format": st.sampled_from(["date-time", "ipv4", "uri", "duration", "nope"]),
            "anyOf": st.lists(inner, max_size=2),
            "oneOf": st.lists(inner, max_size=2),
            "not": inner,
            "x-kubernetes-list-type": st.sampled_from(["set", "map", "atomic", "x"]),
            "x-kubernetes-list-map-keys": st.lists(NAMES, max_size=2),
            "x-kubernetes-preserve-unknown-fields": st.booleans(),
            "x-kubernetes-int-or-string": st.booleans(),
            "x-kubernetes-embedded-resource": st.booleans(),
            "x-kubernetes-validations": RULES,
        },
    )


SCHEMAS = st.recursive(_schemas(st.just({"type": "string"})), _schemas, max_leaves=6)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(sorted(KEYWORDS)), inner, max_size=4)
    ),
    max_leaves=8,
)
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@QUICK
@given(st.one_of(SCHEMAS, st.dictionaries(st.sampled_from(sorted(KEYWORDS)), ANYTHING, max_size=5)))
def test_any_schema_is_judged(schema: Any) -> None:
    problems = Problems()
    SchemaJudge(clean_schema(schema), "s", problems).judge(has_status=True)


@QUICK
@given(SCHEMAS, VALUES, VALUES)
def test_any_value_is_judged_by_any_schema_that_is_accepted(schema: Any, value: Any, old: Any) -> None:
    problems = Problems()
    SchemaJudge(schema, "s", problems).judge(has_status=False)
    found = Problems()
    compiled = compile_structural(schema)
    pruned = default(prune(value, compiled), compiled)
    assert default(prune(pruned, compiled), compiled) == pruned or problems
    Judge(schema).judge(pruned, "f", found, old)
    judge_lists(pruned, compiled, "f", found)
    shape_of_structural(compiled, "F")
    if problems:
        return
    node = build_rules(compiled)
    if node is not None:
        node.judge(pruned, old, "f", found, known=True)
        node.judge(pruned, UNKNOWN, "f", found, known=False)
    json.dumps([cause.message for cause in found.found])
