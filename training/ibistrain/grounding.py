"""Auxiliary losses that teach a tiny model to see, thrown away after training.

A model of a few million parameters that starts from nothing does not find out by itself that
the digits it writes are places in the picture. Three measures show it (measured: without them
clicks stay at the position prior): vision tokens must know their row and column, also in the words
that a click is written in, and what covers them; one attention head must look at the target while
coordinates are written; and a coordinate close to the right one is almost right.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ibistrain.batches.gallery import IDS, Gallery
from ibistrain.batches.scripts import IGNORE
from ibistrain.tokenizer import X_LEAD, Y_LEAD, number_ids, token_id

SIGMA = 2.5
"""Spread of the soft labels over neighbouring coarse coordinates, in hundredths."""
COARSE_WEIGHT, FINE_WEIGHT = 4.0, 0.1
"""Weights of the first and second two digits of a coordinate; other tokens weigh 1, and so does it
that the second two are digits at all."""
DECISION_WEIGHT = 8.0
"""Weight of the words that decide: the first of a thought, which begins otherwise when all is done,
and the one after "I see", which may be "no". One word among forty is learnt last of all."""
LOOKING_LAYERS = (1, 2)
"""Text layers whose first head is taught where to look."""
QUARTERS = 2
"""Parts of a token's cell, in each direction, whose coverage is told apart."""
TAUGHT_WIDTH = 256
"""Channels of the teacher's features: those of LiteMedSAM's image encoder."""


class GroundingHeads(nn.Module):
    """Linear read-outs of the vision tokens: place, present mask, every target, a teacher's view.

    Args:
        width: Width of the vision tokens as the text model receives them.
        targets: Names of the targets.
    """

    def __init__(self, width: int, targets: Sequence[str]) -> None:
        super().__init__()
        self.targets = tuple(targets)
        self.place = nn.Linear(width, 2)
        self.cover = nn.Linear(width, QUARTERS**2 * (1 + len(self.targets)))
        self.spoken = nn.Sequential(nn.RMSNorm(width), nn.Linear(width, 2 * width, bias=False))
        self.taught = nn.Linear(width, TAUGHT_WIDTH)
        nn.init.constant_(self.cover.bias, -4.0)  # most targets are nowhere

    def adopt(self, other: GroundingHeads) -> None:
        """Take over other read-outs of the same width; of the targets, those that both know."""
        own = self.state_dict()
        taken = other.state_dict()
        places = {name: place for place, name in enumerate(other.targets, start=1)}
        pairs = [(0, 0)] + [
            (place, places[name])
            for place, name in enumerate(self.targets, start=1)
            if name in places
        ]
        here, there = (torch.tensor(side) for side in zip(*pairs, strict=True))
        for name in ("cover.weight", "cover.bias"):
            split = own[name].unflatten(0, (QUARTERS**2, -1)).clone()
            split[:, here] = taken[name].unflatten(0, (QUARTERS**2, -1))[:, there]
            taken[name] = split.flatten(0, 1)
        self.load_state_dict(taken)

    def forward(
        self, seen: Tensor, grid: tuple[int, int], covered: Tensor, known: Tensor
    ) -> dict[str, Tensor]:
        """Losses ``place`` and ``cover`` of a batch, and ``hit``, which is no loss.

        Args:
            seen: Vision tokens, axes (picture, token, width).
            grid: Token rows and columns.
            covered: From `coverage`, axes (picture, quarter cell, mask and targets).
            known: Of which of them the labels tell, axes (picture, mask and targets).

        Returns:
            ``hit`` is the share of the targets that are there whose surest quarter cell is
            mostly theirs: what a first click could reach.
        """
        centres = cell_centres(grid, seen.device)
        place = functional.mse_loss(self.place(seen).float(), centres.expand(len(seen), -1, -1))
        logits = self.covered(seen, grid)
        return {
            "place": place,
            "cover": _cover_loss(logits, covered, known),
            "hit": _surest_is_right(logits[..., 1:].detach(), covered[..., 1:], known[:, 1:]),
        }

    def covered(self, seen: Tensor, grid: tuple[int, int]) -> Tensor:
        """Logits of coverage by the present mask and each target.

        Args:
            seen: Vision tokens, axes (picture, token, width).
            grid: Token rows and columns.

        Returns:
            Axes (picture, quarter cell, 1 + target), the cells row by row.
        """
        rows, columns = grid
        split: Tensor = self.cover(seen).float()
        split = split.view(len(seen), rows, columns, QUARTERS, QUARTERS, -1)
        return split.transpose(2, 3).flatten(1, 4)

    def taught_loss(self, seen: Tensor, grid: tuple[int, int], teacher: Tensor) -> Tensor:
        """How far the teacher's features cannot be read off the vision tokens: 0 is alike.

        A network that has seen a million pictures knows what hangs together in pictures of which
        nobody here has labels.

        Args:
            seen: Vision tokens, axes (picture, token, width).
            grid: Token rows and columns.
            teacher: Features of the same pictures, axes (picture, channel, row, column).
        """
        wanted = functional.adaptive_avg_pool2d(teacher.float(), grid).flatten(2).transpose(1, 2)
        alike = functional.cosine_similarity(self.taught(seen).float(), wanted, dim=-1)
        return 1 - alike.mean()

    def spoken_place(
        self, hidden: Sequence[Tensor], grid: tuple[int, int], numbers: Tensor
    ) -> Tensor:
        """How badly vision tokens inside the text model know their place as a number to write.

        The vision tower has relative positions only and knows a place to about one token. The
        text model's rotary positions are exact, and what it looks at must say where it is in the
        very words that will be written, or the way from looking to writing is not found.

        Args:
            hidden: The vision tokens as inputs of the taught text layers, axes (picture, token,
                width).
            grid: Token rows and columns.
            numbers: Embeddings of ``00`` to ``99``, axes (number, width).
        """
        centres = cell_centres(grid, numbers.device).expand(len(hidden[0]), -1, -1)
        return torch.stack([self._place_loss(one, centres, numbers) for one in hidden]).mean()

    def found_place(self, hidden: Sequence[Tensor], looks: Tensor, numbers: Tensor) -> Tensor:
        """How badly what has been looked at is known as a number to write, right after looking.

        Args:
            hidden: Outputs of the taught text layers at the positions that looked, axes (look,
                width).
            looks: Where each of them was to look, axes (look, row, column); maps of 0 are passed
                over.
            numbers: Embeddings of ``00`` to ``99``, axes (number, width).
        """
        grid = (looks.shape[1], looks.shape[2])
        weight = looks.sum((1, 2))
        places = looks.flatten(1) @ cell_centres(grid, looks.device)
        losses = [self._place_losses(one, places, numbers) for one in hidden]
        return torch.stack([(weight * one).sum() for one in losses]).mean() / (
            weight.sum().clamp(min=1)
        )

    def _place_loss(self, states: Tensor, places: Tensor, numbers: Tensor) -> Tensor:
        return self._place_losses(states, places, numbers).mean()

    def _place_losses(self, states: Tensor, places: Tensor, numbers: Tensor) -> Tensor:
        """Cross-entropy of (row, column) said as numbers; axes (..., state)."""
        truth = soft_numbers(places.device)[(100 * places).long().clamp(0, 99)]
        spoken: Tensor = self.spoken(states)
        said = spoken.unflatten(-1, (2, -1)) @ numbers.T
        losses: Tensor = -(truth * said.float().log_softmax(-1)).sum(-1).mean(-1)
        return losses


class CoordinateLoss:
    """Cross entropy of the reply, with soft labels for coordinates, and weight on what decides.

    Args:
        tokenizer: One made by `ibistrain.tokenizer`.
        device: Where the logits will be.
    """

    def __init__(self, tokenizer: Any, device: torch.device | str = "cpu") -> None:
        self._numbers = torch.tensor(number_ids(tokenizer)).to(device)
        leads = tokenizer.convert_tokens_to_ids([X_LEAD, Y_LEAD])
        self._leads = torch.tensor(leads).to(device)
        before = [token_id(tokenizer, "<think>"), tokenizer(" see").input_ids[-1]]
        self._before_decisions = torch.tensor(before).to(device)
        self._soft = soft_numbers(device)
        self._value = torch.full((len(tokenizer),), -1, device=device)
        self._value[self._numbers] = torch.arange(100, device=device)

    @property
    def numbers(self) -> Tensor:
        """Token ids of ``00`` to ``99``."""
        return self._numbers

    def __call__(self, logits: Tensor, labels: Tensor, ids: Tensor) -> Tensor:
        """Weighted mean loss.

        Args:
            logits: Axes (position, vocabulary).
            labels: Token to predict at each position; `IGNORE` where none is learnt.
            ids: Token that stands at each position.
        """
        learnt = labels != IGNORE
        wanted = labels.clamp(min=0)
        number = self._value[wanted]
        coarse = learnt & torch.isin(ids, self._leads) & (number >= 0)
        fine = learnt & (number >= 0) & (self._value[ids] >= 0)
        loss = functional.cross_entropy(logits, wanted, reduction="none")
        scores = functional.log_softmax(logits, dim=-1)[:, self._numbers]
        near = -(self._soft[number.clamp(min=0)] * scores).sum(-1)
        loss = torch.where(coarse, near, loss)
        loss = torch.where(fine, FINE_WEIGHT * loss - scores.logsumexp(-1), loss)
        weight = torch.where(coarse, COARSE_WEIGHT, learnt.float())
        deciding = learnt & torch.isin(ids, self._before_decisions)
        weight = torch.where(deciding, DECISION_WEIGHT, weight)
        return (weight * loss).sum() / weight.sum().clamp(min=1)


def coverage(
    gallery: Gallery, drawn: Tensor, labels: Tensor, masks: Tensor | None, grid: tuple[int, int]
) -> Tensor:
    """Share of each quarter of a token's cell that the mask and each target cover, in [0, 1].

    Args:
        gallery: The corpus.
        drawn: Numbers of the pictures.
        labels: Their label ids in their pose, axes (picture, row, column).
        masks: What is marked on them, likewise, bool; None for nothing.
        grid: Token rows and columns.

    Returns:
        Axes (picture, quarter cell, 1 + target).
    """
    rows, columns = QUARTERS * grid[0], QUARTERS * grid[1]

    def cells(layer: Tensor) -> Tensor:
        split = layer.view(len(layer), rows, -1, columns, layer.shape[2] // columns)
        return split.transpose(2, 3).flatten(3).flatten(1, 2)

    ids = cells(labels).long()
    counts = torch.zeros(*ids.shape[:2], IDS, device=labels.device)
    counts.scatter_add_(2, ids, torch.ones_like(ids, dtype=counts.dtype))
    table = gallery.table[gallery.kinds[drawn]].to(counts.dtype)
    organs = (counts @ table.transpose(1, 2)) / ids.shape[2]
    nothing = torch.zeros_like(organs[..., :1])
    marked = nothing if masks is None else cells(masks).to(counts.dtype).mean(2)[..., None]
    return torch.cat([marked, organs], 2)


def missing_loss(scores: Tensor, worths: Tensor) -> Tensor:
    """What clicks are expected to lose by lying beside the target: 0 for its deepest point.

    Cross-entropy makes a small model say honestly how unsure it is, by a distribution so flat
    that its highest point is chance. This rewards the place where a click is worth most on the
    average: the exact gradient of what reinforcement learning would estimate by sampling.

    Args:
        scores: Logits of ``00`` to ``99``, axes (coordinate, number).
        worths: What each of them is worth, likewise; see `ibistrain.batches.answers`.
    """
    if not len(scores):
        return scores.sum()
    return 1 - (scores.float().softmax(-1) * worths).sum(-1).mean()


def looking_loss(seen: Sequence[Tensor], wanted: Tensor) -> Tensor:
    """How far the taught heads look away from the target while coordinates are written.

    Where there is nothing to click on, how far they look at the picture at all.

    Args:
        seen: One tensor a taught layer: attention to the picture, axes (look, token).
        wanted: Where to look, axes (look, token); each map sums to 1, or to 0.
    """
    losses = []
    for weights in seen:
        beside = (1 - weights.sum(-1)).clamp(min=0) + 1e-3
        missed = (1 - wanted.sum(-1)) * beside.log()
        losses.append(-((wanted * (weights + 1e-6).log()).sum(-1) + missed).mean())
    return torch.stack(losses).mean()


def soft_numbers(device: torch.device | str = "cpu") -> Tensor:
    """What to say instead of each number: mostly it, and its neighbours. Axes (number, said)."""
    steps = torch.arange(100, device=device)
    return torch.softmax(-((steps[:, None] - steps) ** 2) / (2 * SIGMA**2), dim=1)


def cell_centres(grid: tuple[int, int], device: torch.device | str = "cpu") -> Tensor:
    """Middle of each token's cell, down and across, axes (token, 2)."""
    rows, columns = ((torch.arange(n, device=device) + 0.5) / n for n in grid)
    return torch.cartesian_prod(rows, columns)


def _cover_loss(logits: Tensor, truth: Tensor, known: Tensor) -> Tensor:
    """Cross-entropy over all known targets, and soft Dice over those that are there.

    Targets cover few cells; without weight and Dice the answer "nowhere" is nearly right.
    """
    weight = (1.0 + 4.0 * truth) * known[:, None]
    entropy = functional.binary_cross_entropy_with_logits(logits, truth, weight, reduction="sum")
    entropy = entropy / (known.sum() * truth.shape[1])
    there = ((truth.amax(1) > 0.1) & known).float()
    sure = logits.sigmoid()
    both, all_of_it = (sure * truth).sum(1), (sure**2).sum(1) + (truth**2).sum(1)
    dice_loss = 1 - (2 * both + 0.1) / (all_of_it + 0.1)
    return entropy + (there * dice_loss).sum() / there.sum().clamp(min=1)


def _surest_is_right(logits: Tensor, truth: Tensor, known: Tensor) -> Tensor:
    """Share of the targets that fill half a cell somewhere whose surest cell is such a one."""
    there = ((truth.amax(1) >= 0.5) & known).float()
    right = truth.gather(1, logits.argmax(1, keepdim=True))[:, 0] >= 0.5
    return (there * right).sum() / there.sum().clamp(min=1)
