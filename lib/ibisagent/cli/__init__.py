"""The command line: `ibisagent segment`, `evaluate`, `show`, `doctor`, `serve` and `version`."""

from ibisagent.cli.app import app, main

__all__ = ["app", "main"]
