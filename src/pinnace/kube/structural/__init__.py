"""Structural schemas: what a custom kind's openAPIV3Schema says of the form of its objects.

`schema.py` compiles one; the others walk plain JSON values with it: `pruning.py` takes out what it doesn't know,
`defaulting.py` fills in what is missing, `shape.py` and `openapi.py` show it to others. Judging values is `api/custom`'s.
"""

from pinnace.kube.structural.schema import Structural, compile_structural

__all__ = ["Structural", "compile_structural"]
