"""Runs: requests that are worked on while others watch, step in, and take over.

`registry.Runs` keeps them, `run.Run` is one of them, `desk.Desk` is where it works. Nothing in
here knows HTTP; the contract with clients is in ``docs/runs.md``.
"""
