"""The real app with the agent of `obedient`, for tests over HTTP."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

REAL_APP = Path(__file__).resolve().parents[3] / "monailabel_app"
sys.path.insert(0, str(REAL_APP))

from obedient import obedient_agent  # noqa: E402

from ibisagent_app import shared_agent  # noqa: E402

shared_agent.load_agent = obedient_agent

spec = importlib.util.spec_from_file_location("real_main", REAL_APP / "main.py")
real_main = importlib.util.module_from_spec(spec)
spec.loader.exec_module(real_main)

IBISAgentApp = real_main.IBISAgentApp
