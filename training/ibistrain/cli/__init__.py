"""The command line ``ibistrain``: simulate, train, compare, publish."""

from ibistrain.cli.app import app, main

__all__ = ["app", "main"]
