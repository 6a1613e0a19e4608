"""Masks to correct: what a policy finds on a picture after its first click.

They come from the tool itself, which is asked to follow the policy's own clicks and those of
others while the policy learns (after DAgger, Ross et al., arXiv 1011.0686), or from episodes that
were simulated before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from ibisagent.tools.litemedsam_net import SIDE
from ibisagent.tools.square_frame import SquareFrame
from ibistrain.batches.answers import STOP_IOU, iou_of
from ibistrain.batches.depth import deep_points, depths
from ibistrain.batches.gallery import Gallery
from ibistrain.batches.pose import posed_layers
from ibistrain.batches.questions import Questions, draw_questions, one_a_picture
from ibistrain.batches.views import View
from ibistrain.labelled_picture import MAX_SIDE
from ibistrain.state import GAIN, State

OWN, GUESSED = 0.5, 0.15
"""Shares of first clicks that are the policy's own, and that lie anywhere; the others lie in the
target."""
CLICKS = (0.55, 0.3, 0.15)
"""How often one, two or three clicks have been made."""
NEAR_CENTRE = 0.5
"""Share of the greatest depth from which clicks are drawn."""
OTHERS = 0.08
"""Share of masks that are of something else, as people give them to start from."""
SETTLED = 0.45
"""IoU from which stopping is right if the next click would not help."""


@dataclass(frozen=True, eq=False)
class Marked:
    """Questions about pictures that carry a mask, at most one a picture, ordered by picture.

    Attributes:
        rows: Picture of each question, axis (question).
        targets: Number of the target that is asked for, axis (question).
        masks: What is marked, bool, axes (question, row, column).
        settled: Whether stopping is right, however good the mask is, axis (question).
        features: Embeddings of all pictures of the view, without padding, axes (picture, channel,
            row, column), if the tool has looked at them.
    """

    rows: Tensor
    targets: Tensor
    masks: Tensor
    settled: Tensor
    features: Tensor | None = None


class Marker(Protocol):
    """Where masks to correct come from."""

    def mark(self, view: View, questions: Questions, own: Tensor) -> Marked:
        """Mark pictures.

        Args:
            view: The pictures.
            questions: What was asked about them.
            own: Where the policy would click for each question, down and across as shares of the
                picture, axes (question, 2); NaN where it does not click.
        """
        ...


class FollowingTool(Protocol):
    """A tool that follows clicks in many pictures at once; its masks are square."""

    def embed(self, pictures: Tensor) -> Tensor:
        """Embeddings of pictures of one size, axes (picture, channel, row, column)."""
        ...

    def follow(
        self,
        embeddings: Tensor,
        logits: Tensor,
        points: Tensor,
        signs: Tensor,
        inner: tuple[int, int],
    ) -> Tensor:
        """Logits after the newest click, axes (prompt, row, column).

        Args:
            embeddings: One a prompt.
            logits: Before it.
            points: (row, column) of all clicks so far, axes (prompt, click, 2).
            signs: Which of them are positive, axes (prompt, click).
            inner: (height, width) of the picture in the square.
        """
        ...

    def blank(self, count: int) -> Tensor:
        """Logits before the first click, axes (prompt, row, column)."""
        ...


class ToolMarks:
    """Masks that the tool makes of clicks.

    Args:
        gallery: The corpus.
        tool: The tool that the policy will have.
    """

    def __init__(self, gallery: Gallery, tool: FollowingTool) -> None:
        self._gallery = gallery
        self._tool = tool

    def look(self, view: View) -> Tensor:
        """What the tool's encoder sees; see `Marked.features`."""
        embeddings, inner = self._embed(view)
        return without_padding(embeddings, inner)

    @torch.no_grad()
    def mark(self, view: View, questions: Questions, own: Tensor) -> Marked:
        """See `Marker.mark`."""
        embeddings, inner = self._embed(view)
        chosen = one_a_picture(questions, len(view.drawn), view.generator)
        rows, targets = questions.rows[chosen], questions.targets[chosen]
        drawn, labels = view.drawn[rows], view.labels[rows]
        truths = self._gallery.masks(drawn, labels, targets[:, None])[:, 0]
        places = _first_clicks(truths, own[chosen], view.generator)
        signs = torch.ones(len(rows), 1, dtype=torch.bool, device=truths.device)
        points = _in_square(places, inner)[:, None]
        logits = self._tool.blank(len(rows))
        count = view.words.choices((1, 2, 3), CLICKS)[0]
        embedded = embeddings[rows]
        for _ in range(count - 1):
            logits = self._tool.follow(embedded, logits, points, signs, inner)
            points, signs = self._corrected(truths, logits, points, signs, inner, view.generator)
        logits = self._tool.follow(embedded, logits, points, signs, inner)
        masks = _on_picture(logits, inner, truths)
        following, signs = self._corrected(truths, logits, points, signs, inner, None)
        after = self._tool.follow(embedded, logits, following, signs, inner)
        before, next_one = iou_of(masks, truths), iou_of(_on_picture(after, inner, truths), truths)
        settled = (before >= SETTLED) & (next_one < before + GAIN)
        given = self._some_of_others(view, rows, masks)
        settled &= (given == masks).flatten(1).all(1)  # which is known of the tool's own mask
        keep = given.flatten(1).any(1)
        features = without_padding(embeddings, inner)
        return Marked(rows[keep], targets[keep], given[keep], settled[keep], features)

    def _embed(self, view: View) -> tuple[Tensor, tuple[int, int]]:
        """Embeddings of a view, and (height, width) of its pictures in the square."""
        inner = SquareFrame((view.pictures.shape[2], view.pictures.shape[3]), SIDE).inner
        return self._tool.embed(view.pictures), inner

    def _corrected(
        self,
        truths: Tensor,
        logits: Tensor,
        points: Tensor,
        signs: Tensor,
        inner: tuple[int, int],
        generator: torch.Generator | None,
    ) -> tuple[Tensor, Tensor]:
        """Clicks and signs with the annotator's next one; without a generator the deepest."""
        masks = _on_picture(logits, inner, truths)
        small = [_smaller(part) for part in (truths & ~masks, masks & ~truths)]
        missed, spilled = (depths(part) for part in small)
        positive = missed.amax((1, 2)) >= spilled.amax((1, 2))
        depth = torch.where(positive[:, None, None], missed, spilled)
        share = None if generator is None else torch.full((len(depth),), NEAR_CENTRE).to(depth)
        deep = deep_points(depth, share, generator or torch.Generator(depth.device))
        size = torch.tensor(depth.shape[1:], device=depth.device)
        newest = _in_square((deep + 0.5) / size, inner)
        # Where nothing is wrong any more, the last click is said once more.
        right = (depth.amax((1, 2)) == 0)[:, None]
        newest = torch.where(right, points[:, -1], newest)
        sign = torch.where(right[:, 0], signs[:, -1], positive)
        return torch.cat([points, newest[:, None]], 1), torch.cat([signs, sign[:, None]], 1)

    def _some_of_others(self, view: View, rows: Tensor, masks: Tensor) -> Tensor:
        """A few of the masks replaced by those of something else that is there."""
        gallery, drawn = self._gallery, view.drawn[rows]
        labels = view.labels[rows]
        areas = gallery.areas(drawn, labels)
        others = draw_questions(gallery, drawn, areas, 1, 0, 0, view.generator)
        where = others.rows
        found = gallery.masks(drawn[where], labels[where], others.targets[:, None])[:, 0]
        even = torch.rand(len(where), generator=view.generator, device=masks.device)
        given = masks.clone()
        given[where] = torch.where((even < OTHERS)[:, None, None], found, masks[where])
        return given


class KeptMarks:
    """Masks of simulated episodes, on the pictures that were drawn and have any.

    Args:
        gallery: The corpus.
        numbers: Number of each picture of the gallery, by name.
        states: Moments of episodes.
    """

    def __init__(
        self, gallery: Gallery, numbers: Mapping[str, int], states: Sequence[State]
    ) -> None:
        self._owners = torch.tensor([numbers[state.picture] for state in states])
        self._owners = self._owners.to(gallery.device)
        targets = [gallery.names.index(state.target) for state in states]
        self._targets = torch.tensor(targets).to(gallery.device)
        self._settled = torch.tensor([state.settled for state in states]).to(gallery.device)
        masks = torch.zeros(len(states), MAX_SIDE, MAX_SIDE, dtype=torch.uint8)
        for place, state in enumerate(states):
            height, width = state.mask.shape
            masks[place, :height, :width] = torch.from_numpy(state.mask)
        self._masks = masks.to(gallery.device)
        ious = torch.cat([self._iou(gallery, number) for number in range(len(states))])
        good = self._settled | (ious >= STOP_IOU)
        # Stopping is one moment of an episode but half of what a turn must decide.
        counts = [max(1, int(part.sum())) for part in (good, ~good)]
        self._chances = torch.where(good, 1 / counts[0], 1 / counts[1])

    def _iou(self, gallery: Gallery, number: int) -> Tensor:
        """Of one state's mask with its truth, axis (1,)."""
        owner, target = self._owners[number, None], self._targets[number, None, None]
        truth = gallery.masks(owner, gallery.labels[owner], target)[:, 0]
        return iou_of(self._masks[number, None].bool(), truth)

    def mark(self, view: View, questions: Questions, own: Tensor) -> Marked:
        """See `Marker.mark`."""
        fits = self._chances * (self._owners == view.drawn[:, None])
        rows = fits.any(1).nonzero().flatten()
        if not len(rows):
            return Marked(rows, rows, view.labels[:0].bool(), rows.bool())
        chosen = torch.multinomial(fits[rows], 1, generator=view.generator)[:, 0]
        masks = posed_layers(self._masks[chosen], view.places[rows]).bool()
        keep = masks.flatten(1).any(1)
        chosen = chosen[keep]
        return Marked(rows[keep], self._targets[chosen], masks[keep], self._settled[chosen])


def without_padding(embeddings: Tensor, inner: tuple[int, int]) -> Tensor:
    """The part of embeddings of a square that shows the picture."""
    rows, columns = (
        max(1, round(embeddings.shape[2 + axis] * inner[axis] / SIDE)) for axis in range(2)
    )
    return embeddings[:, :, :rows, :columns]


def _first_clicks(truths: Tensor, own: Tensor, generator: torch.Generator) -> Tensor:
    """The policy's own, somewhere, or in the target; down and across, axes (question, 2)."""
    depth = depths(_smaller(truths))
    share = torch.full((len(depth),), NEAR_CENTRE, device=depth.device)
    deep = deep_points(depth, share, generator)
    size = torch.tensor(depth.shape[1:], device=depth.device)
    lots = torch.rand(len(depth), 3, generator=generator, device=depth.device)
    there = truths.flatten(1).any(1)
    guessed = (lots[:, 0] < GUESSED) | ~there
    place = torch.where(guessed[:, None], lots[:, 1:], (deep + 0.5) / size)
    by_policy = (lots[:, 0] > 1 - OWN) & ~own.isnan().any(1)
    return torch.where(by_policy[:, None], own, place)


def _in_square(places: Tensor, inner: tuple[int, int]) -> Tensor:
    """(row, column) in the square of places given as shares of the picture."""
    size = torch.tensor(inner, device=places.device)
    return torch.minimum((places * size).long(), size - 1)


def _on_picture(logits: Tensor, inner: tuple[int, int], like: Tensor) -> Tensor:
    """Masks in the picture's pixels, bool, axes (question, row, column)."""
    part = logits[:, None, : inner[0], : inner[1]]
    size = (like.shape[1], like.shape[2])
    return functional.interpolate(part, size=size, mode="bilinear", align_corners=False)[:, 0] > 0


def _smaller(masks: Tensor) -> Tensor:
    """Masks on pixels of twice the size; what a pixel holds any of is kept."""
    return functional.max_pool2d(masks[:, None].float(), 2)[:, 0] > 0
