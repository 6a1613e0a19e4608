"""``ibistrain sft`` and ``ibistrain rl``: what they make of their arguments."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import pytest
import yaml

from ibistrain.cli import main

SETTINGS = {
    "sft": {"model": "m", "out": "o", "data": "d", "episodes": "e"},
    "rl": {"model": "m", "out": "o", "data": "d"},
}


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["ibistrain", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


@pytest.mark.parametrize("name", ["sft", "rl"])
def test_settings_reach_the_trainer(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    seen: list[Any] = []
    double = types.SimpleNamespace(**{name: lambda config: seen.append(config) or Path("o/model")})
    monkeypatch.setitem(sys.modules, f"ibistrain.{name}", double)
    file = tmp_path / "settings.yaml"
    file.write_text(yaml.safe_dump(SETTINGS[name]))

    code = call(monkeypatch, name, str(file), "--set", "seed=7", "--set", "out=elsewhere")

    assert code == 0
    assert (seen[0].seed, seen[0].out, seen[0].model) == (7, Path("elsewhere"), "m")


@pytest.mark.parametrize("name", ["sft", "rl"])
def test_a_wrong_setting_is_one_line_and_code_2(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    file = tmp_path / "settings.yaml"
    file.write_text(yaml.safe_dump(SETTINGS[name] | {"sped": 1}))

    assert call(monkeypatch, name, str(file)) == 2
    assert "sped" in capsys.readouterr().err
    assert call(monkeypatch, name, str(tmp_path / "none.yaml")) == 2
