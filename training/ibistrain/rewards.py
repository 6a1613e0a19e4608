"""Rewards of reinforcement learning: five pure functions, and the return that they make up.

The five are those of the paper (arXiv 2601.03054, section 3.3): format, answer, click placement,
progress, length. What differs is their sign and how they add up. The published script gives a
positive score to nearly every step, so that one more click, even a wrong one, is worth as much as
stopping at a good mask. Here an action earns only what it changes: each click costs, the gain in
IoU telescopes over an episode, and the prize is paid once, on stopping. So a longer episode is
worth more only if its mask is better by more than its clicks cost.

All masks are boolean, axes (row, column); IoU values lie in [0, 1].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from ibisagent.actions import Click, Malformed, Reply, Terminate
from ibisagent.tools.base import Mask

MIN_GAIN = 0.01
"""Rise of the IoU below which a click was useless: less than a reader would see."""
USELESS = 0.25
"""What a useless click loses in progress, beyond its cost."""
FREE_CLICKS = 5
"""Clicks that cost the same; each further one costs more (the paper's limit)."""
SURCHARGE = 0.2
"""By how much each click beyond `FREE_CLICKS` costs more than the one before (the paper's)."""


class RewardWeights(BaseModel):
    """Weight of each reward, and what counts as a good mask.

    With the defaults, stopping at a good mask beats every further click; `stopping_pays` says
    whether other weights keep this.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: float = Field(default=2.5, ge=0, description="Of replies that can be understood.")
    answer: float = Field(default=1.0, ge=0, description="Of the mask at which it stops.")
    click: float = Field(default=0.3, ge=0, description="Of clicks on the wrong side.")
    progress: float = Field(default=0.2, ge=0, description="Of the IoU gained by a click.")
    length: float = Field(default=0.05, ge=0, description="Cost of a click.")
    good: float = Field(default=0.85, gt=0, le=1, description="IoU from which a mask is good.")
    patience: float = Field(
        default=-0.25,
        ge=-1,
        le=0,
        description="Least value of going on, in units of `answer`: what a click that missed is "
        "worth, as it can be put right, while a stop at nothing cannot.",
    )

    @property
    def stopping_pays(self) -> bool:
        """Whether no click at a good mask is worth more than stopping there."""
        return self.answer > 0 and self.progress * (1 - self.good) <= self.length


def format_reward(reply: Reply | Malformed) -> float:
    """Whether the reply can be carried out: 0 if so, -1 if not.

    The paper pays 1 for every well-formed reply, which summed over an episode pays for length.
    The grammar is that of inference (`ibisagent.actions`), so both spellings of the stop count.
    """
    return -1.0 if isinstance(reply, Malformed) else 0.0


def answer_reward(iou: float, good: float = 0.85) -> float:
    """How good the mask is at which the agent stops.

    The paper pays 3, 2, 1, 0 above IoU 0.8, 0.7, 0.5 and below. Here it rises in a straight line
    from -1 (no overlap) to 1 at `good`, and no further, so that a good mask need not be polished
    and a hopeless one may still be left when clicks no longer help.

    Args:
        iou: IoU of that mask with the truth; 1 where both are empty.
        good: IoU from which a mask is good.

    Returns:
        A value in [-1, 1].
    """
    return min(1.0, 2.0 * iou / good - 1.0)


def click_reward(click: Click, mask: Mask, truth: Mask) -> float:
    """Whether a click lies in the error that it is to put right: 0 if so, -1 if not.

    A positive click belongs into what the mask misses, a negative one into what it spills over.
    The paper pays +1 and -1; a right click is paid by its progress here.

    Args:
        click: The click.
        mask: The mask before the click.
        truth: The target, of the same shape; may be empty.
    """
    at = click.to_pixel(*truth.shape)
    right = truth[at] and not mask[at] if click.positive else mask[at] and not truth[at]
    return 0.0 if right else -1.0


def progress_reward(before: float, after: float) -> float:
    """IoU that a click gained or lost; a click that did not help loses `USELESS` more.

    The paper pays 1 for any rise. A gain in IoU telescopes: no detour pays.

    Args:
        before: IoU before the click.
        after: IoU after it.

    Returns:
        A value in [-1 - USELESS, 1].
    """
    gain = after - before
    return gain if gain >= MIN_GAIN else min(gain, 0.0) - USELESS


def length_reward(clicks: int) -> float:
    """Cost of the n-th click: -1 up to `FREE_CLICKS`, then ever more.

    The paper pays 1 for each of the first five steps and takes 0.2 more for each beyond.

    Args:
        clicks: Number of this click, counted from 1.
    """
    return -1.0 - SURCHARGE * max(0, clicks - FREE_CLICKS)


@dataclass(frozen=True)
class Scores:
    """The five rewards of one action, before weighting.

    Attributes:
        format: See `format_reward`.
        answer: See `answer_reward`; 0 unless the action ended the episode.
        click: See `click_reward`; 0 unless it was a click.
        progress: See `progress_reward`; likewise.
        length: See `length_reward`; likewise, and for malformed replies, which take a turn too.
    """

    format: float = 0.0
    answer: float = 0.0
    click: float = 0.0
    progress: float = 0.0
    length: float = 0.0

    def total(self, weights: RewardWeights) -> float:
        """Weighted sum."""
        return (
            weights.format * self.format
            + weights.answer * self.answer
            + weights.click * self.click
            + weights.progress * self.progress
            + weights.length * self.length
        )


@dataclass(frozen=True, eq=False)
class Move:
    """One action as the rewards see it.

    Attributes:
        reply: What the agent wrote, as understood.
        mask: The mask before it.
        before: IoU of that mask with the truth.
        after: IoU after the action.
        clicks: Actions of the agent so far, this one included.
        ended: Whether the episode ended with it, by itself or by a limit.
    """

    reply: Reply | Malformed
    mask: Mask
    before: float
    after: float
    clicks: int
    ended: bool


def score(move: Move, truth: Mask, weights: RewardWeights) -> Scores:
    """The five rewards of an action.

    An episode that a limit ended, and not the agent, gets the worst answer there is.
    """
    action = move.reply.action if isinstance(move.reply, Reply) else None
    if isinstance(action, Terminate):
        return Scores(answer=answer_reward(move.before, weights.good))
    answer = -1.0 if move.ended else 0.0
    length = length_reward(move.clicks)
    if not isinstance(action, Click):
        return Scores(format_reward(move.reply), answer, length=length)
    return Scores(
        answer=answer,
        click=click_reward(action, move.mask, truth),
        progress=progress_reward(move.before, move.after),
        length=length,
    )


def action_value(move: Move, truth: Mask, weights: RewardWeights) -> float:
    """What an action is worth in its state: its rewards, and what stopping next would bring.

    Actions of one state are compared by it (a group of GRPO). It is the return of the episode
    if the next action were to stop, but never less than `RewardWeights.patience`, since the agent
    may go on: a miss is better than giving up, and worse than a hit.
    """
    value = score(move, truth, weights).total(weights)
    if move.ended:
        return value
    stopping_next = answer_reward(move.after, weights.good)
    return value + weights.answer * max(stopping_next, weights.patience)


def trajectory_return(moves: Sequence[Move], truth: Mask, weights: RewardWeights) -> float:
    """Sum of the rewards of a whole episode, oldest action first."""
    return sum(score(move, truth, weights).total(weights) for move in moves)
