"""Runs over HTTP: the addresses of ``docs/runs.md`` over `ibisagent.runs`."""
