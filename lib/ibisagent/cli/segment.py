"""``ibisagent segment``: an image and a prompt in, a mask and the way to it out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ibisagent.cli.console import notes, progress, say
from ibisagent.cli.loading import load
from ibisagent.cli.options import Device, Force, MaxSteps, OutFolder, Policy, Profile, Prompts, Tool

if TYPE_CHECKING:  # these load slowly, and `--help` must not
    import SimpleITK as sitk

    from ibisagent.agent import Agent
    from ibisagent.episode import Step
    from ibisagent.propagation.progress import Progress
    from ibisagent.segment import SegmentRequest, SegmentResult
    from ibisagent.slices import SliceView


def segment(
    image: Annotated[
        Path,
        typer.Argument(
            help="NIfTI, NRRD, MetaImage, DICOM (file or folder of one series), PNG, JPEG, TIFF.",
            show_default=False,
        ),
    ],
    prompt: Annotated[str, typer.Option(help="What to segment, in words.", show_default=False)],
    out: OutFolder,
    plane: Annotated[
        str, typer.Option(help="axial, coronal or sagittal; a 2D image has only itself.")
    ] = "axial",
    slice_: Annotated[
        int | None,
        typer.Option(
            "--slice",
            help="Slice number in that plane, from 0; the middle one if not given. Of a volume: "
            "where to begin.",
        ),
    ] = None,
    scope: Annotated[str, typer.Option(help="'slice' for one, 'volume' for all.")] = "slice",
    method: Annotated[
        str,
        typer.Option(
            help="Of a volume: 'propagate' asks the agent on key slices and lets the tool carry "
            "masks between them, 'every_slice' asks it on all."
        ),
    ] = "propagate",
    clean: Annotated[
        str,
        typer.Option(
            help="On the finished mask: 'largest' keeps the largest part, 'holes' fills what is "
            "enclosed; both as 'largest,holes'.",
            show_default=False,
        ),
    ] = "",
    window: Annotated[
        str,
        typer.Option(help="Grey scale: auto, a CT preset (lung, bone, ...), or 'level,width'."),
    ] = "auto",
    max_steps: MaxSteps = 10,
    file_format: Annotated[
        str,
        typer.Option(
            "--format",
            help="Of the mask: nii.gz, nrrd or mha; png too for a 2D image, where it is the "
            "default.",
            show_default=False,
        ),
    ] = "",
    policy: Policy = "embedded",
    tool: Tool = "embedded",
    device: Device = "auto",
    prompts: Prompts = "",
    profile: Profile = "",
    force: Force = False,
) -> None:
    """Segment what the prompt says, in one slice or in a whole volume.

    **Examples**

    ```
    ibisagent segment ct.nii.gz --prompt "the left kidney" --out kidney
    ibisagent segment ct.nii.gz --prompt "the liver" --slice 62 --out liver
    ibisagent segment ct.nii.gz --prompt "the aorta" --scope volume --out aorta
    ibisagent segment mr.nrrd --prompt "the brain" --plane coronal --out brain
    ibisagent segment cell.png --prompt "the neutrophil" --out cell
    ```

    **Results** in the folder --out: the mask on the image's own grid (mask.nii.gz),
    every turn of the agent (trajectory.json, or one file a slice in trajectories/), the turns as
    a picture (film.png), and the figures (summary.json). Of a volume, what the tool carried from
    slice to slice is in carried/.
    """
    from ibisagent.segment import SegmentRequest

    fields: dict[str, object] = {
        "prompt": prompt,
        "plane": plane,
        "slice": slice_,
        "scope": scope,
        "method": method,
        "clean": clean,
        "window": window,
        "max_steps": max_steps,
    }
    request = SegmentRequest.parse(fields)
    # Whatever can be wrong is found before the models are loaded, and long before they ran.
    volume, view = _open(image, request)
    from ibisagent.result_folder import ResultFolder  # torch, behind it, loads slowly

    folder = ResultFolder(out, volume, file_format, force)
    agent = load(policy, tool, device, prompts, profile)
    result = _run(volume, view, request, agent, image.name)
    _tell(folder.write(result, view, agent), out)


def _open(image: Path, request: SegmentRequest) -> tuple[sitk.Image, SliceView]:
    from ibisagent.slices import SliceView
    from ibisagent.volume import read_image

    with notes.status("Reading the image"):
        volume = read_image(image)
        view = SliceView(volume, request.plane, request.window)
        view.rgb(view.middle if request.slice is None else request.slice)  # is there such a slice?
    return volume, view


def _run(
    volume: sitk.Image, view: SliceView, request: SegmentRequest, agent: Agent, name: str
) -> SegmentResult:
    """Segment, and tell each step as it is taken."""
    from ibisagent.segment import segment

    with progress() as bar:
        task = bar.add_task("Segmenting", total=None)

        def tell(index: int, step: Step) -> None:
            bar.console.print(_line(view, index, step), markup=False, soft_wrap=True)

        def advance(now: Progress) -> None:
            bar.update(task, completed=now.done, total=now.done + now.left)

        return segment(volume, request, agent, name, on_step=tell, on_progress=advance)


def _line(view: SliceView, index: int, step: Step) -> str:
    """A step on one line: where, what, and why."""
    from ibisagent.actions import Reply, format_action

    reply = step.reply
    what = format_action(reply.action) if isinstance(reply, Reply) else reply.reason
    where = f"{view.plane.value} {index}: " if view.count > 1 else ""
    return " ".join(f"{where}{what}  {reply.thought}".split())


def _tell(summary: dict[str, Any], out: Path) -> None:
    say(summary["answer"])
    slices, turns = len(summary["slices"]), summary["turns"]
    say(
        f"{summary['voxels']} voxels; {turns} turns of the agent on {slices} slices, "
        f"{summary['seconds_per_turn']} s each"
    )
    say(f"written to {out}")
