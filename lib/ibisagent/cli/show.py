"""``ibisagent show``: a trajectory as text and as a film strip."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from ibisagent.cli.console import output, say
from ibisagent.cli.options import Force
from ibisagent.errors import InvalidRequest, OutputNotWritable

if TYPE_CHECKING:  # these load slowly, and `--help` must not
    from ibisagent.tools.base import RGB
    from ibisagent.trajectory import Trajectory


def show(
    trajectory: Annotated[
        Path, typer.Argument(help="trajectory.json of a result.", show_default=False)
    ],
    image: Annotated[
        Path | None,
        typer.Option(
            help="The image it was made on; looked for beside the trajectory if not given.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="PNG file for the film strip; beside the trajectory if not given.",
            show_default=False,
        ),
    ] = None,
    prompts: Annotated[
        str,
        typer.Option(
            help="Prompt profile with the overlay's colour: a name or a YAML file; by default "
            "that of the trajectory.",
            show_default=False,
        ),
    ] = "",
    force: Force = False,
) -> None:
    """Show what the agent saw, thought and did, turn by turn.

    **Examples**

    ```
    ibisagent show result/trajectory.json --image ct.nii.gz
    ibisagent show result/trajectories/slice_0062.json --image ct.nii.gz
    ibisagent show result/trajectory.json --image ct.nii.gz --out film.png
    ```
    """
    from ibisagent.film import film_strip
    from ibisagent.output import write_whole
    from ibisagent.prompts import load_profile, shipped_profiles
    from ibisagent.result_folder import png
    from ibisagent.trajectory import Trajectory

    record = Trajectory.load(trajectory)
    target = out or trajectory.with_suffix(".png")
    if target.exists() and not force:
        raise OutputNotWritable(
            f"{target} is there already.", "Give another --out, or --force to write over it."
        )
    known = record.profile if record.profile in shipped_profiles() else "default"
    profile = load_profile(prompts or known)
    picture = _slice(record, image or _image_beside(trajectory, record))
    strip = film_strip(record, picture, profile)
    write_whole(target, png(strip))
    _tell(record)
    say(f"film strip: {target}")


def _image_beside(trajectory: Path, record: Trajectory) -> Path:
    name = Path(record.slice.image).name  # a trajectory from elsewhere must not choose the folder
    for folder in (trajectory.parent, trajectory.parent.parent):
        if name and (folder / name).exists():
            return folder / name
    raise InvalidRequest(
        f"The image {name!r} is not beside {trajectory.name}.", "Give it with --image."
    )


def _slice(record: Trajectory, image: Path) -> RGB:
    from ibisagent.slices import SliceView
    from ibisagent.volume import read_image

    view = SliceView(read_image(image), record.slice.plane, record.slice.window)
    return view.rgb(record.slice.index)


def _tell(record: Trajectory) -> None:
    rows = Table("turn", "author", "thought", "action", show_lines=True)
    for number, step in enumerate(record.steps, start=1):
        action = step.action
        where = "" if action.x is None else f" ({action.x:.4f}, {action.y:.4f})"
        cells = (str(number), step.author.value, step.thought, action.kind + where)
        rows.add_row(*map(Text, cells))
    output.print(rows)
    stop = record.stop.value.replace("_", " ") if record.stop else "not finished"
    say(f"{stop}: {record.answer}" if record.answer else stop)
