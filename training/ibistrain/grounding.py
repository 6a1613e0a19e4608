"""Auxiliary losses that teach a tiny model to see, thrown away after training.

A model of a few million parameters that starts from nothing does not find out by itself that
the digits it writes are places in the picture. Three measures show it (measured: without them
clicks stay at the position prior): vision tokens must know their row and column, also in the words
that a click is written in, and what covers them; one attention head must look at the target while
coordinates are written; and a coordinate close to the right one is almost right.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from ibistrain.packing import IGNORE, QUARTERS
from ibistrain.tokenizer import X_LEAD, Y_LEAD, number_ids

SIGMA = 2.5
"""Spread of the soft labels over neighbouring coarse coordinates, in hundredths."""
COARSE_WEIGHT, FINE_WEIGHT = 4.0, 0.1
"""Weights of the first and second two digits of a coordinate; other tokens weigh 1."""
LOOKING_LAYERS = (1, 2)
"""Text layers whose first head is taught where to look."""


class GroundingHeads(nn.Module):
    """Linear read-outs of the vision tokens: place, present mask, and every target.

    Args:
        width: Width of the vision tokens as the text model receives them.
        targets: Names of the targets.
    """

    def __init__(self, width: int, targets: Sequence[str]) -> None:
        super().__init__()
        self.targets = {name: index for index, name in enumerate(targets)}
        self.place = nn.Linear(width, 2)
        self.cover = nn.Linear(width, QUARTERS**2 * (1 + len(self.targets)))
        self.spoken = nn.Sequential(nn.RMSNorm(width), nn.Linear(width, 2 * width, bias=False))
        nn.init.constant_(self.cover.bias, -4.0)  # most targets are nowhere

    def forward(
        self,
        features: Sequence[torch.Tensor],
        grids: Sequence[tuple[int, int]],
        masks: Sequence[torch.Tensor],
        organs: Sequence[dict[str, torch.Tensor]],
    ) -> dict[str, torch.Tensor]:
        """Losses ``place`` and ``cover`` of a batch, and ``hit``, which is no loss.

        Args:
            features: Vision tokens of each picture, axes (token, width).
            grids: Token rows and columns of each picture.
            masks: Coverage of the present mask, axes (row, column) of quarter cells.
            organs: Coverage of each annotated target, axes (row, column) of quarter cells.

        Returns:
            ``hit`` is the share of the targets that are there whose surest quarter cell is
            mostly theirs: what a first click could reach. It is absent where no target is there.
        """
        place, cover, hits = [], [], []
        for tokens, grid, mask, organ in zip(features, grids, masks, organs, strict=True):
            place.append(functional.mse_loss(self.place(tokens).float(), _cell_centres(grid)))
            known = [0, *(1 + self.targets[name] for name in organ)]
            truth = torch.stack([mask, *organ.values()], -1).flatten(0, 1)
            logits = self.covered(tokens, grid)[..., known].flatten(0, 1)
            cover.append(_cover_loss(logits, truth))
            hits.append(_surest_is_right(logits[:, 1:].detach(), truth[:, 1:]))
        found = torch.cat(hits)
        parts = {"place": torch.stack(place).mean(), "cover": torch.stack(cover).mean()}
        return {**parts, "hit": found.mean()} if len(found) else parts

    def spoken_place(
        self,
        hidden: Sequence[torch.Tensor],
        is_image: torch.Tensor,
        grids: Sequence[tuple[int, int]],
        numbers: torch.Tensor,
    ) -> torch.Tensor:
        """How badly vision tokens inside the text model know their place as a number to write.

        The vision tower has relative positions only and knows a place to about one token. The
        text model's rotary positions are exact, and what it looks at must say where it is in the
        very words that will be written, or the way from looking to writing is not found.

        Args:
            hidden: Inputs of the taught text layers, axes (batch, position, width).
            is_image: Which positions are vision tokens, axes (batch, position).
            grids: Token rows and columns of each picture.
            numbers: Embeddings of ``00`` to ``99``, axes (number, width).
        """
        centres = torch.cat([_cell_centres(grid) for grid in grids])
        said = [states[is_image] for states in hidden]
        return torch.stack([self._place_loss(states, centres, numbers) for states in said]).mean()

    def found_place(
        self,
        hidden: Sequence[torch.Tensor],
        queries: torch.Tensor,
        blocks: torch.Tensor,
        regions: Sequence[Sequence[torch.Tensor]],
        numbers: torch.Tensor,
    ) -> torch.Tensor:
        """How badly what has been looked at is known as a number to write, right after looking.

        Args:
            hidden: Outputs of the taught text layers, axes (batch, position, width).
            queries: Positions at which was looked, axes (batch, position).
            blocks: Block of each position, axes (batch, position).
            regions: See `looking_loss`.
            numbers: Embeddings of ``00`` to ``99``, axes (number, width).
        """
        rows, columns, places = [], [], []
        for row, block, region in _asked(regions):
            if not region.any():
                continue
            here = (queries[row] & (blocks[row] == block)).nonzero().flatten()
            centres = _cell_centres((region.shape[1], region.shape[2]))
            rows.append(torch.full_like(here, row))
            columns.append(here)
            places.append(_looks_in_turn(region, len(here)) @ centres)
        if not sum(map(len, places)):
            return torch.zeros(())
        where, truth = (torch.cat(rows), torch.cat(columns)), torch.cat(places)
        return torch.stack([self._place_loss(h[where], truth, numbers) for h in hidden]).mean()

    def _place_loss(
        self, states: torch.Tensor, places: torch.Tensor, numbers: torch.Tensor
    ) -> torch.Tensor:
        """Cross-entropy of (row, column) said as numbers; axes (position, ...)."""
        truth = soft_numbers()[(100 * places).long().clamp(0, 99)]
        said = self.spoken(states).unflatten(-1, (2, -1)) @ numbers.T
        loss: torch.Tensor = -(truth * said.float().log_softmax(-1)).sum(-1).mean()
        return loss

    def covered(self, tokens: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
        """Logits of coverage by the present mask and each target.

        Args:
            tokens: Vision tokens, axes (token, width).
            grid: Token rows and columns.

        Returns:
            Axes (row, column, 1 + target), `QUARTERS` times as many rows and columns as `grid`.
        """
        rows, columns = grid
        split: torch.Tensor = self.cover(tokens).float()
        split = split.view(rows, columns, QUARTERS, QUARTERS, -1)
        return split.transpose(1, 2).reshape(QUARTERS * rows, QUARTERS * columns, -1)


class CoordinateLoss:
    """Cross entropy of the reply, with soft labels for coordinates.

    Args:
        tokenizer: One made by `ibistrain.tokenizer`.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._numbers = torch.tensor(number_ids(tokenizer))
        self._leads = torch.tensor(tokenizer.convert_tokens_to_ids([X_LEAD, Y_LEAD]))
        self._soft = soft_numbers()
        self._value = torch.full((len(tokenizer),), -1)
        self._value[self._numbers] = torch.arange(100)

    @property
    def numbers(self) -> torch.Tensor:
        """Token ids of ``00`` to ``99``."""
        return self._numbers

    def coarse(self, labels: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        """Positions that predict the first two digits of a coordinate, axes as `labels`.

        Args:
            labels: Token to predict at each position, `IGNORE` where there is none.
            ids: Token that stands at each position.
        """
        return torch.isin(ids, self._leads) & self._is_number(labels)

    def __call__(
        self, logits: torch.Tensor, labels: torch.Tensor, ids: torch.Tensor
    ) -> torch.Tensor:
        """Weighted mean loss.

        Args:
            logits: Axes (position, vocabulary).
            labels: Token to predict at each position.
            ids: Token that stands at each position.
        """
        learn = labels != IGNORE
        logits, labels, ids = logits[learn], labels[learn], ids[learn]
        loss = functional.cross_entropy(logits, labels, reduction="none")
        coarse = self.coarse(labels, ids)
        fine = self._is_number(labels) & self._is_number(ids)
        soft = self._soft[self._value[labels[coarse]]]
        scores = functional.log_softmax(logits[coarse], dim=-1)[:, self._numbers]
        loss = loss.masked_scatter(coarse, -(soft * scores).sum(-1))
        weight = torch.ones_like(loss)
        weight[coarse], weight[fine] = COARSE_WEIGHT, FINE_WEIGHT
        return (weight * loss).sum() / weight.sum()

    def _is_number(self, tokens: torch.Tensor) -> torch.Tensor:
        return self._value[tokens.clamp(min=0)] >= 0


def missing_loss(
    scores: torch.Tensor,
    coarse: torch.Tensor,
    blocks: torch.Tensor,
    worths: Sequence[Sequence[torch.Tensor | None]],
) -> torch.Tensor:
    """What clicks are expected to lose by lying beside the target: 0 for its deepest point.

    Cross-entropy makes a small model say honestly how unsure it is, by a distribution so flat
    that its highest point is chance. This rewards the place where a click is worth most on the
    average: the exact gradient of what reinforcement learning would estimate by sampling.

    Args:
        scores: Logits of ``00`` to ``99``, axes (batch, position, number).
        coarse: Positions that predict the first two digits, axes (batch, position); in each
            question first that of x, then that of y.
        blocks: Block of each position, axes (batch, position).
        worths: For each picture and question, what each value is worth; see `packing.worth`.
    """
    losses = []
    for row, block, value in _asked(worths):
        here = coarse[row] & (blocks[row] == block)
        if here.any():
            losses.append(1 - (scores[row, here].float().softmax(-1) * value).sum(-1).mean())
    return torch.stack(losses).mean() if losses else torch.zeros(())


def soft_numbers() -> torch.Tensor:
    """What to say instead of each number: mostly it, and its neighbours. Axes (number, said)."""
    steps = torch.arange(100)
    return torch.softmax(-((steps[:, None] - steps) ** 2) / (2 * SIGMA**2), dim=1)


def looking_loss(
    attentions: Sequence[torch.Tensor],
    queries: torch.Tensor,
    blocks: torch.Tensor,
    is_image: torch.Tensor,
    regions: Sequence[Sequence[torch.Tensor]],
) -> torch.Tensor:
    """How far the taught heads look away from the target while coordinates are written.

    Where there is nothing to click on, how far they look at the picture at all.

    Args:
        attentions: One tensor a taught layer, axes (batch, head, query, key).
        queries: Positions at which to look, axes (batch, position).
        blocks: Block of each position, axes (batch, position).
        is_image: Which positions are vision tokens, axes (batch, position).
        regions: Where to look, for each picture and question; see `packing.looks`.
    """
    losses = []
    for row, block, region in _asked(regions):
        here = queries[row] & (blocks[row] == block)
        if here.any():
            wanted = _looks_in_turn(region, int(here.sum()))
            for attention in attentions:
                weights = attention[row, 0, here][:, is_image[row]]
                beside = (1 - weights.sum(-1)).clamp(min=0) + 1e-3
                missed = (1 - wanted.sum(-1)) * beside.log()
                losses.append(-((wanted * (weights + 1e-6).log()).sum(-1) + missed).mean())
    return torch.stack(losses).mean() if losses else torch.zeros(())


def _looks_in_turn(looks: torch.Tensor, count: int) -> torch.Tensor:
    """The map of each of a question's looks, of which the last is for y; axes (look, cell)."""
    return looks.flatten(1)[[0] * (count - 1) + [1]]


def _asked(
    answers: Sequence[Sequence[torch.Tensor | None]],
) -> Iterator[tuple[int, int, torch.Tensor]]:
    """Row of the batch, block of the question, and what belongs to it, where there is anything."""
    for row, maps in enumerate(answers):
        for block, answer in enumerate(maps, start=1):
            if answer is not None:
                yield row, block, answer


def _cover_loss(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Cross-entropy over all known targets, and soft Dice over those that are there.

    Targets cover few cells; without weight and Dice the answer "nowhere" is nearly right.
    """
    weight = 1.0 + 4.0 * truth
    entropy = functional.binary_cross_entropy_with_logits(logits, truth, weight)
    there = truth.amax(0) > 0.1
    if not there.any():
        return entropy
    sure, true = logits[:, there].sigmoid(), truth[:, there]
    both, all_of_it = (sure * true).sum(0), (sure**2).sum(0) + (true**2).sum(0)
    return entropy + (1 - (2 * both + 0.1) / (all_of_it + 0.1)).mean()


def _surest_is_right(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """For each target that fills half a cell somewhere: whether its surest cell is such a one."""
    there = truth.amax(0) >= 0.5
    surest = logits.argmax(0, keepdim=True)
    return (truth.gather(0, surest)[0] >= 0.5)[there].float()


def _cell_centres(grid: tuple[int, int]) -> torch.Tensor:
    rows, columns = ((torch.arange(n) + 0.5) / n for n in grid)
    return torch.cartesian_prod(rows, columns)
