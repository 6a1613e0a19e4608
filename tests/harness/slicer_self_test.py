"""Runs a scripted module's self-test, as `slicer.testing.runUnitTest` does in Slicer.

IBISAGENT_MODULE=FOLDER python -m harness.slicer_self_test IBISAgent
"""

from __future__ import annotations

import importlib
import sys
import tempfile
import unittest
from pathlib import Path

from harness.slicer_panel import open_module


def main(name: str) -> int:
    with tempfile.TemporaryDirectory() as folder, open_module(Path(folder)):
        test = getattr(importlib.import_module(name), f"{name}Test")
        result = unittest.TextTestRunner().run(test("runTest"))
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
