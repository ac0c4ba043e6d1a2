"""The examples are no part of the package: their folders are put where Python looks, as their own commands do."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
for folder in (ROOT, ROOT / "examples" / "inference"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
