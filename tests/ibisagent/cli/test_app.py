"""What all commands have in common: help, exit codes, errors on one line."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ibisagent import __version__

COMMANDS = ("segment", "show", "evaluate", "doctor", "serve", "version")


def run_process(*arguments: object) -> subprocess.CompletedProcess[str]:
    """The real thing, in a process of its own."""
    code = "from ibisagent.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        encoding="utf-8",
        timeout=240,
        check=False,
    )


def test_users_mistake_is_exit_code_2_and_one_line_in_a_real_process(tmp_path):
    done = run_process("segment", tmp_path / "no.nii.gz", "--prompt", "x", "--out", tmp_path / "o")

    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("error: no.nii.gz does not exist")


def test_help_loads_no_models():
    code = (
        "import sys; from ibisagent.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'monai', 'transformers', 'SimpleITK'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "--help"], capture_output=True, encoding="utf-8", check=True
    )

    assert "Segment medical images" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


def test_version(ibisagent):
    assert ibisagent("version").out == f"ibisagent {__version__}\n"


@pytest.mark.parametrize("command", [c for c in COMMANDS if c != "version"])
def test_help_has_examples(ibisagent, command):
    done = ibisagent(command, "--help")

    assert done.code == 0
    assert f"ibisagent {command} " in done.out


@pytest.mark.parametrize(
    "arguments",
    [
        ("segment",),
        ("segment", "a.nii.gz", "--prompt", "x"),
        ("segment", "a.nii.gz", "--prompt", "x", "--out", "o", "--slice", "one"),
        ("evaluate", "m.json", "--out", "o", "--limit", "0"),
        ("evaluate", "m.json", "--out", "o", "--max-steps", "51"),
        ("serve", "--studies", ".", "--port", "99999"),
        ("unheard-of",),
        ("--unheard-of",),
    ],
)
def test_wrong_usage_is_exit_code_2(ibisagent, arguments):
    done = ibisagent(*arguments)

    assert done.code == 2
    assert "Traceback" not in done.err


def test_interrupt_is_exit_code_130(ibisagent, monkeypatch):
    def interrupt(path):
        raise KeyboardInterrupt

    monkeypatch.setattr("ibisagent.volume.read_image", interrupt)

    done = ibisagent("segment", "a.nii.gz", "--prompt", "x", "--out", "o")

    assert (done.code, done.err.strip()) == (130, "")


def test_brackets_and_line_breaks_in_a_name_do_no_harm(ibisagent, tmp_path):
    name = "[bold]a[31]\n\x1b[31mb.nii.gz"

    line = ibisagent("segment", tmp_path / name, "--prompt", "x", "--out", tmp_path).error()

    assert "[bold]a[31] [31mb.nii.gz" in line
    assert "\x1b" not in line
