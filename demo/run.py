"""The whole chain once: a study and a prompt in, clicks and a mask out, through a real server.

``make demo`` runs this. It starts MONAI Label with our app on a free loopback port, asks for a
mask as any MONAI Label client would, and leaves in the output folder::

    mask.nii.gz       the mask, on the image's own grid
    trajectory.json   every thought, click and mask
    film.png          the same as a picture
    summary.json      figures
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from rich.console import Console

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "monailabel_app")]  # neither is an installed package

from demo.outcome import Outcome, summarise, write  # noqa: E402
from demo.request import RequestFailed, RequestRefused, ask  # noqa: E402
from demo.server import APP, Server, ServerFailed  # noqa: E402
from demo.study import DEFAULT_PROMPT, Study, own_image, template  # noqa: E402
from ibisagent.errors import IBISAgentError  # noqa: E402
from ibisagent.output import make_folder  # noqa: E402
from ibisagent_app.configuration import load_profile_of, read_configuration  # noqa: E402

BAD_INPUT = 2
FAILED = 1
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None, app: Path = APP) -> int:
    """Run the demo.

    Args:
        arguments: Of the command line.
        app: Folder of the MONAI Label app.

    Returns:
        The exit code: 0, 1 for a failure, 2 for bad input.
    """
    options = _parse(arguments)
    console = Console(highlight=False)
    errors = Console(stderr=True, highlight=False)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        study = own_image(options.image) if options.image else template()
        conf = dict(options.conf)
        profile = load_profile_of(read_configuration(conf))
        make_folder(options.out)
        with tempfile.TemporaryDirectory(prefix="ibisagent-demo-") as folder:
            outcome = _play(study, options.prompt, Path(folder), app, conf, console)
            summary = summarise(study, outcome)
            write(options.out, study, outcome, summary, profile)
    except (IBISAgentError, RequestRefused) as error:
        errors.print(f"demo: {error}", style="red", soft_wrap=True, markup=False)
        return BAD_INPUT
    except ServerFailed as error:
        errors.print(error.log_tail, style="dim", soft_wrap=True, markup=False)
        errors.print(f"demo: {error}", style="red", soft_wrap=True, markup=False)
        return FAILED
    except KeyboardInterrupt:
        errors.print("demo: stopped, and the server with it")
        return INTERRUPTED
    _tell(console, study, summary, options.out)
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="demo/run.py", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("demo_out"), help="folder for results")
    parser.add_argument("--image", type=Path, help="an image of your own, 3D or 2D")
    parser.add_argument("--prompt", default=DEFAULT_PROMPT, help="what to segment")
    parser.add_argument(
        "--conf",
        nargs=2,
        action="append",
        default=[],
        metavar=("KEY", "VALUE"),
        help="setting of the server: policy, tool, device, max_steps or prompts",
    )
    return parser.parse_args(arguments)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _play(
    study: Study, prompt: str, folder: Path, app: Path, conf: dict[str, str], console: Console
) -> Outcome:
    studies = folder / "studies"
    studies.mkdir()
    study.copy_to(studies)
    params: dict[str, Any] = {"prompt": prompt, "result_extension": ".nii.gz"}
    if study.slice is not None:
        params["slice"] = study.slice
    with console.status("Starting the MONAI Label server") as status:

        def on_wait(seconds: float) -> None:
            status.update(f"Starting the MONAI Label server, {seconds:.0f} s")

        with Server(studies, folder / "server.log", app, conf, on_wait=on_wait) as server:
            status.update(f"The agent is looking for: {prompt}")
            began = time.perf_counter()
            try:
                answer = ask(server.url, study.name, params, folder)
            except RequestFailed as error:
                raise ServerFailed(str(error), server.log_tail()) from error
            seconds = time.perf_counter() - began
            status.update("Stopping the server")
    return Outcome(answer, server.start_seconds, seconds)


def _tell(console: Console, study: Study, summary: dict[str, Any], out: Path) -> None:
    place = (
        "" if summary["plane"] == "picture" else f", {summary['plane']} slice {summary['slice']}"
    )
    score = summary["dice"]
    against = "no reference" if score is None else f"Dice {score:.2f} against the reference"
    lines = {
        "study": f"{study.title}{place}; prompt: {summary['prompt']}",
        "agent": f"{summary['policy']} with {summary['tool']}",
        "turns": f"{summary['turns']}, {summary['seconds_per_turn']:.1f} s each; "
        f"server ready after {summary['seconds_server_start']:.0f} s",
        "result": f"{against}; {summary['answer']}",
        "files": f"{out}: mask.nii.gz, trajectory.json, film.png, summary.json",
    }
    for name, text in lines.items():
        console.print(f"{name:>7}  {text}", soft_wrap=True, markup=False)


if __name__ == "__main__":
    sys.exit(main())
