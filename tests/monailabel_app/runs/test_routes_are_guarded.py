from __future__ import annotations

from pathlib import Path

import pytest
from fastapi.routing import APIRoute
from harness.run_studies import ClickOnce, Place
from monailabel.endpoints.user.auth import RBAC

from ibisagent_app.configuration import Configuration
from ibisagent_app.runs.image_routes import image_routes
from ibisagent_app.runs.info import info_routes
from ibisagent_app.runs.routes import run_routes
from ibisagent_app.runs.service import RunService, runs_folder
from ibisagent_app.shared_agent import SharedAgent


@pytest.fixture
def service(tmp_path: Path) -> RunService:
    studies = Place(tmp_path / "place", ClickOnce()).studies
    configuration = Configuration()
    return RunService(tmp_path / "runs", studies, SharedAgent(configuration), configuration)


def all_routes(service: RunService, prefix: str = "") -> list[APIRoute]:
    def store() -> None:
        return None

    return [
        *info_routes(prefix, service),
        *image_routes(prefix, service, store),
        *run_routes(prefix, service, store),
    ]


def test_every_route_asks_who_it_is(service: RunService) -> None:
    routes = all_routes(service)
    assert len(routes) >= 15
    for route in routes:
        guards = [each.call for each in route.dependant.dependencies]
        assert any(isinstance(guard, RBAC) for guard in guards), route.path


def test_every_address_is_in_the_documentation(service: RunService) -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "runs.md").read_text(encoding="utf-8")
    for route in all_routes(service):
        for method in route.methods:
            assert f"`{method} {route.path}" in page


def test_every_setting_of_runs_is_in_the_documentation() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "runs.md").read_text(encoding="utf-8")
    for name in ("runs", *(n for n in Configuration.model_fields if n.startswith("runs_"))):
        default = Configuration.model_fields[name].default
        assert f"| `{name}` | {default or '`model'}" in page
    for name in ("client_minutes", "idle_minutes", "images_mib"):
        assert f"| `{name}` | {Configuration.model_fields[name].default} |" in page


def test_prefix_is_in_front(service: RunService) -> None:
    assert all(route.path.startswith("/api/ibisagent/") for route in all_routes(service, "/api"))


def test_two_servers_do_not_share_a_folder(
    service: RunService, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    configuration = Configuration()
    studies = Place(tmp_path / "other", ClickOnce()).studies
    second = RunService(tmp_path / "runs", studies, SharedAgent(configuration), configuration)
    assert (tmp_path / "runs-2" / "lock").is_file()
    assert "another server" in caplog.text
    assert second.runs.all() == []


def test_studies_have_folders_of_their_own() -> None:
    folders = {runs_folder(Configuration(), "app", studies) for studies in ("/a", "/b")}
    assert len(folders) == 2
    assert all(folder.is_relative_to("app/model/runs") for folder in folders)
    assert runs_folder(Configuration(runs="mine"), "app", "/a") == Path("mine")
