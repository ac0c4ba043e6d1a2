"""Compiles CEL expressions and evaluates them, in bounded time, whatever they say.

Called by the rules of custom kinds and by admission policies. The only place that knows the library; it is loaded when the
first expression is compiled, since most instances never have one. Evaluation is bounded by the library: an iteration
budget, a recursion limit, regular expressions in linear time.
Source: Kubernetes v1.37, apiserver/pkg/cel/environment/base.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from pinnace.api.cel.tree import Tree, read_tree
from pinnace.base.errors import PinnaceError

_MAX_LENGTH = 64 * 1024  # of an expression's text; Kubernetes bounds it by the object's size
_REMEMBERED = 4096

# The library's words -> Kubernetes' (those of cel-go).
_WORDS = (
    ("NOT_FOUND: Key not found in map : ", "no such key: "),
    ("INVALID_ARGUMENT: divide by zero", "division by zero"),
    ("INVALID_ARGUMENT: modulus by zero", "modulus by zero"),
    ("UNKNOWN: No matching overloads found : ", "no such overload: "),
    ("UNKNOWN: Index error: ", "index out of bounds: "),
    ("INVALID_ARGUMENT: Applying SELECT to non-message type", "no such key"),
    ("INTERNAL: Iteration budget exceeded", "operation cancelled: actual cost limit exceeded"),
)


class CelError(PinnaceError):
    """An expression that can't be compiled, or whose evaluation failed. The message is for its author."""


@dataclass(frozen=True, slots=True)
class Value:
    """What an expression came to. `type` is the library's name of it: "BOOL", "STRING", "NULL"."""

    type: str
    value: Any


class Program:
    """One compiled expression."""

    __slots__ = ("_expression", "returns", "text")

    def __init__(self, text: str, expression: Any) -> None:
        self.text = text
        self._expression = expression
        self.returns = _type_name(expression.return_type())

    def tree(self) -> Tree:
        """Return what the expression is made of."""
        return read_tree(self._expression.serialize())

    def evaluate(self, activation: Any) -> Value:
        """Return the value. Raises: CelError."""
        try:
            result = self._expression.eval(activation)
            type_ = _type_name(result.type())
            if type_ in _PLAIN:
                return Value(type_, result.plain_value())
            if type_ == "ERROR":
                raise CelError(_translate(str(result.value())))
            return Value(type_, _plain(result))
        except (RuntimeError, TypeError, ValueError, OverflowError) as error:
            raise CelError(_translate(str(error))) from None


_PLAIN = frozenset({"BOOL", "STRING", "INT", "DOUBLE", "UINT", "NULL"})


def _plain(result: Any) -> Any:
    try:
        return result.plain_value()
    except (RuntimeError, TypeError):
        return None


def _type_name(type_: Any) -> str:
    """Return a type's name without its parameters. Example: "LIST<INT>" → "LIST"."""
    return str(type_.name() if callable(getattr(type_, "name", None)) else type_).partition("<")[0]


def _translate(text: str) -> str:
    for theirs, ours in _WORDS:
        if text.startswith(theirs):
            return ours + text.removeprefix(theirs).removesuffix(" [INTERNAL]").replace('"', "")
    head, _, rest = text.partition(": ")
    return rest if head.isupper() and head.replace("_", "").isalpha() and rest else text


class Environment:
    """A set of variables that expressions may use. Made by `environment`."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        from cel_expr_python import cel
        from cel_expr_python.ext import ext_encoders, ext_math, ext_optional

        from pinnace.api.cel.functions import declare_functions

        types = {"bool": cel.Type.BOOL, "dyn": cel.Type.DYN, "string": cel.Type.STRING}
        types["list"] = cel.Type.List(cel.Type.DYN)
        self._env = cel.NewEnv(
            variables={name: types[type_] for name, type_ in variables.items()},
            extensions=[ext_optional.ExtOptional(), ext_math.ExtMath(), ext_encoders.ExtEncoders()],
            functions=declare_functions(cel),
        )

    def compile(self, text: str) -> Program:
        """Return the program of an expression. Raises: CelError with the place in the text."""
        if len(text) > _MAX_LENGTH:
            raise CelError(f"the expression has more than {_MAX_LENGTH} characters")
        try:
            return Program(text, self._env.compile(text))
        except (RuntimeError, TypeError, ValueError) as error:
            raise CelError(_translate_compile(str(error))) from None

    def activate(self, values: Mapping[str, Any]) -> Any:
        """Return values for the variables, converted once for any number of programs. Raises: CelError."""
        try:
            return self._env.Activation(dict(values))
        except (RuntimeError, TypeError, ValueError, OverflowError) as error:
            raise CelError(_translate(str(error))) from None


def _translate_compile(text: str) -> str:
    """Return a compiler's complaint as Kubernetes gives it: with the line and a mark below the place."""
    head, _, tail = text.rpartition(" [")
    if tail.endswith("]"):
        text = head
    kind, _, rest = text.partition(": ")
    return rest if kind.isupper() and kind.replace("_", "").isalpha() else text


@lru_cache(maxsize=64)
def _environment(variables: tuple[tuple[str, str], ...]) -> Environment:
    return Environment(dict(variables))


def environment(**variables: str) -> Environment:
    """Return the environment with these variables; types are "dyn", "bool", "string", "list"."""
    return _environment(tuple(sorted(variables.items())))


@cache
def _matcher() -> Any:
    env = environment(text="string", pattern="string")
    return env, env.compile("text.matches(pattern)")


@lru_cache(maxsize=_REMEMBERED)
def check_pattern(pattern: str) -> str:
    """Return why a regular expression (RE2 syntax) can't be used, "" if it can."""
    try:
        matches(pattern, "")
    except CelError as error:
        return str(error)
    return ""


def matches(pattern: str, text: str) -> bool:
    """Say whether a regular expression (RE2 syntax) is found in a text, in linear time. Raises: CelError."""
    env, program = _matcher()
    return bool(program.evaluate(env.activate({"text": text, "pattern": pattern})).value)
