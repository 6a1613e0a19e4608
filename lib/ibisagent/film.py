"""The film strip: an episode as one picture that a person can read.

One frame a turn, each with the picture exactly as the agent saw it (that is, with the mask
*before* the turn's action), the click, the thought and the action; then the result.
"""

from __future__ import annotations

from collections.abc import Iterator

from PIL import Image

from ibisagent.actions import Click, Terminate, format_action
from ibisagent.episode import Author
from ibisagent.errors import InvalidTrajectory
from ibisagent.film_sheet import BLACK, BLUE, GREEN, GREY, RED, TITLE, Frame, Text, draw_sheet
from ibisagent.metrics import dice
from ibisagent.overlay import overlay
from ibisagent.prompts import PromptProfile
from ibisagent.tools.base import RGB, Mask
from ibisagent.trajectory import ActionRecord, StepRecord, Trajectory


def film_strip(
    trajectory: Trajectory, picture: RGB, profile: PromptProfile, reference: Mask | None = None
) -> Image.Image:
    """Draw a trajectory. Steps that were taken back are not shown.

    Args:
        trajectory: What happened.
        picture: The plain slice, axes (row, column, channel), uint8.
        profile: The prompt profile of the episode; its overlay is drawn.
        reference: The true mask, axes (row, column): outlined in the last frame, with the Dice.

    Returns:
        An RGB image that is readable at its own size.

    Raises:
        InvalidTrajectory: The picture, or the reference, has another size than the trajectory's
            slice, so it is another image.
    """
    return draw_sheet(_title(trajectory), frames(trajectory, picture, profile, reference))


def frames(
    trajectory: Trajectory, picture: RGB, profile: PromptProfile, reference: Mask | None = None
) -> list[Frame]:
    """What the strip shows: one frame a turn, and the result. Arguments as for `film_strip`."""
    _check_sizes(trajectory, picture, reference)
    colour, alpha = profile.overlay_colour, profile.overlay_alpha
    turns = []
    mask = trajectory.start.decode()
    for number, step in enumerate(trajectory.steps, start=1):
        turns.append(_turn(number, step, overlay(picture, mask, colour, alpha)))
        mask = step.mask.decode()
    seen = overlay(picture, mask, colour, alpha)
    return [*turns, _result(trajectory, seen, mask, reference)]


def _check_sizes(trajectory: Trajectory, picture: RGB, reference: Mask | None) -> None:
    size = trajectory.slice.height, trajectory.slice.width
    masks = [trajectory.start, *(step.mask for step in trajectory.steps)]
    for name, shape in [
        ("the picture", picture.shape[:2]),
        ("the reference", size if reference is None else reference.shape),
        *(("a mask", mask.size) for mask in masks),
    ]:
        if tuple(shape) != size:
            raise InvalidTrajectory(
                f"The trajectory is of a slice of {size[0]} x {size[1]} pixels, {name} has "
                f"{shape[0]} x {shape[1]}.",
                "Give the image that the trajectory was made on.",
            )


def _title(trajectory: Trajectory) -> list[Text]:
    where = trajectory.slice
    place = "" if where.plane == "picture" else f", {where.plane} slice {where.index}"
    return [
        Text(trajectory.prompt, size=TITLE, bold=True),
        Text(f"{where.image}{place} · {trajectory.policy} · {trajectory.tool}", GREY),
    ]


def _turn(number: int, step: StepRecord, picture: RGB) -> Frame:
    colour = BLUE if step.author is Author.HUMAN else BLACK
    return Frame(
        picture,
        heading=Text(f"Turn {number} · {step.author.value}", colour),
        note=f"{step.policy_seconds + step.tool_seconds:.1f} s",
        caption=tuple(_words(step)),
        click=_click(step.action),
    )


def _words(step: StepRecord) -> Iterator[Text]:
    if step.action.kind == "malformed":
        yield Text(step.raw, GREY)
        yield Text(f"Not understood: {step.reason}", RED, bold=True)
        return
    if step.thought:
        yield Text(step.thought)
    click = _click(step.action)
    colour = GREY if click is None else GREEN if click.positive else RED
    yield Text(format_action(click or Terminate()), colour, bold=True)
    if click is not None and not step.carried_out:
        yield Text("Not carried out: the same click again.", GREY)


def _click(action: ActionRecord) -> Click | None:
    if action.x is None or action.y is None:
        return None
    return Click(action.x, action.y, action.kind == "positive")


def _result(trajectory: Trajectory, picture: RGB, mask: Mask, reference: Mask | None) -> Frame:
    caption = [Text(trajectory.answer)] if trajectory.answer else []
    if not mask.any():
        caption.append(Text("Nothing is marked.", GREY))
    note = ""
    if reference is not None:
        note = f"Dice {dice(mask, reference):.2f}"
        seen = "Yellow line: reference." if reference.any() else "Reference: not in this image."
        caption.append(Text(seen, GREY))
    stop = trajectory.stop.value.replace("_", " ") if trajectory.stop else "not finished"
    return Frame(picture, Text(f"Result · {stop}"), note, tuple(caption), outline=reference)
