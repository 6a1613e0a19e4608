from __future__ import annotations

import sys
from pathlib import Path

import pytest
from app_client import Client

sys.path.insert(0, str(Path(__file__).resolve().parent))

from run_client import RunClient


@pytest.fixture(scope="session")
def runs(client: Client) -> RunClient:
    return RunClient(client.url)
