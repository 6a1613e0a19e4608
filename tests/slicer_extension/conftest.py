"""Puts the extension's folder on the path, as Slicer does, and the project's beside it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "slicer_extension" / "IBISAgent"
# The packaging test runs some of these tests once more, on the files that were packed.
sys.path[:0] = [os.environ.get("IBISAGENT_MODULE", str(SOURCE)), str(ROOT)]
