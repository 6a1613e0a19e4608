"""One real server for the whole folder."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
# MONAI Label puts the app's folder on the path itself; the others are no installed packages.
sys.path[:0] = [str(HERE), str(ROOT / "monailabel_app"), str(ROOT)]

from app_client import Client  # noqa: E402
from app_studies import write_studies  # noqa: E402

from demo.server import Server  # noqa: E402
from ibisagent.agent import Agent  # noqa: E402


@pytest.fixture(scope="session")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("server")
    studies = folder / "studies"
    studies.mkdir()
    write_studies(studies)
    checkpoint = folder / "checkpoint"
    checkpoint.mkdir()
    (checkpoint / "config.json").write_text("{}")
    (folder / "head").mkdir()  # bears a study's name and lies in the server's working folder
    conf = {"policy": str(checkpoint), "max_steps": "7", "colour": "green"}
    conf["runs"] = str(folder / "runs")
    with Server(studies, folder / "log.txt", HERE / "obedient_app", conf) as server:
        yield Client(server, studies)


@pytest.fixture
def obedient_agent() -> Agent:
    """The agent that does as its prompt says, in this process."""
    sys.path.insert(0, str(HERE / "obedient_app"))
    try:
        from obedient import obedient_agent
    finally:
        sys.path.pop(0)
    return obedient_agent("", "", "", "")
