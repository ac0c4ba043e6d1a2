"""The stand-ins are made by the examples' code, which is no part of the package: it is put where Python looks."""

import sys
from pathlib import Path

ROOT = str(Path(__file__).resolve().parents[2])
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)
