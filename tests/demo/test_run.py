"""The demo as a command: exit codes, lines on the terminal, files."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from demo.run import main
from ibisagent.policies import embedded_checkpoint
from ibisagent.trajectory import Trajectory

OBEDIENT_APP = Path(__file__).resolve().parents[1] / "monailabel_app" / "obedient_app"
FILES = {"mask.nii.gz", "trajectory.json", "film.png", "summary.json"}


@pytest.fixture(autouse=True)
def _handlers_stay():
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    """A checkpoint that passes the first look, and a folder for results."""
    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    (checkpoint / "config.json").write_text("{}")
    return ["--out", str(tmp_path / "out"), "--conf", "policy", str(checkpoint)]


@pytest.fixture
def image(tmp_path: Path) -> Path:
    array = np.zeros((6, 30, 40), np.int16)
    array[2:5, 10:20, 10:30] = 100
    path = tmp_path / "mine.nii.gz"
    sitk.WriteImage(sitk.GetImageFromArray(array), str(path))
    return path


def one_line(text: str) -> str:
    lines = text.strip().splitlines()
    assert len(lines) == 1, text
    return lines[0]


def test_missing_image(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*arguments, "--image", "no-such-file.nii.gz"]) == 2
    assert "no-such-file.nii.gz" in one_line(capsys.readouterr().err)


def test_wrong_setting(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("nilearn", reason="the extra 'demo' brings the template")
    assert main([*arguments, "--conf", "max_steps", "many"]) == 2
    assert "max_steps" in one_line(capsys.readouterr().err)


def test_output_that_is_a_file(
    arguments: list[str], image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").write_text("a file")
    assert main([*arguments, "--image", str(image)]) == 2
    assert "out" in one_line(capsys.readouterr().err)


def test_server_that_does_not_start(
    arguments: list[str], image: Path, stand_in, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in("sys.exit('the last words')")
    assert main([*arguments, "--image", str(image)]) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines == ["the last words", "demo: The server ended with code 1."]


def test_server_that_fails_at_the_request(
    arguments: list[str], image: Path, stand_in, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in(post="print('oh dear', flush=True); self.answer(500, {'detail': 'Internal'})")
    assert main([*arguments, "--image", str(image)]) == 1
    text = capsys.readouterr().err
    assert "oh dear" in text
    assert "Status: 500" in text.splitlines()[-1]


def test_request_that_is_refused(
    arguments: list[str], image: Path, stand_in, capsys: pytest.CaptureFixture[str]
) -> None:
    detail = {"code": "unknown_prompt", "message": "I know no unicorn.", "fix": "Ask for a liver."}
    stand_in(post=f"self.answer(422, {{'detail': {detail}}})")
    assert main([*arguments, "--image", str(image), "--prompt", "unicorn"]) == 2
    error = one_line(capsys.readouterr().err)
    assert error == "demo: I know no unicorn. Ask for a liver."


def test_server_that_dies_at_the_request(
    arguments: list[str], image: Path, stand_in, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in(post="os._exit(9)")
    assert main([*arguments, "--image", str(image)]) == 1
    assert "went away" in capsys.readouterr().err.splitlines()[-1]


def test_termination_stops_the_server(
    arguments: list[str], image: Path, stand_in, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in(post="os.kill(os.getppid(), signal.SIGTERM); time.sleep(60)")
    assert main([*arguments, "--image", str(image)]) == 130
    assert "stopped" in one_line(capsys.readouterr().err)


@pytest.mark.slow  # a real server
def test_own_image_through_a_real_server(
    arguments: list[str], image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [*arguments, "--image", str(image), "--prompt", "click 0.5 0.5"]
    assert main(options, OBEDIENT_APP) == 0
    out = tmp_path / "out"
    assert {path.name for path in out.iterdir()} == FILES
    mask = sitk.ReadImage(str(out / "mask.nii.gz"))
    assert sitk.GetArrayFromImage(mask).sum() == 200
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["dice"], summary["turns"]) == (None, 2)
    assert Trajectory.load(out / "trajectory.json").slice.image == "mine"
    lines = capsys.readouterr().out.strip().splitlines()
    assert len(lines) == 5
    assert "no reference" in lines[3]


@pytest.mark.slow  # a real server and the embedded models
def test_default_demo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("nilearn", reason="the extra 'demo' brings the template")
    embedded_checkpoint()
    assert main(["--out", str(tmp_path)]) == 0
    assert {path.name for path in tmp_path.iterdir()} == FILES
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert 0 <= summary["dice"] <= 1
    assert "local:embedded" in summary["policy"]
    assert "Dice" in capsys.readouterr().out
