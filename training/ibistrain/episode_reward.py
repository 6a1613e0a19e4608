"""The reward function that GRPO calls: it plays the actions and values them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from statistics import fmean
from typing import Any

from ibisagent.episode import BY_ITSELF, Episode
from ibisagent.tools.base import Mask
from ibistrain.judging import moves_of
from ibistrain.rewards import Move, RewardWeights, Scores, action_value, score
from ibistrain.state_buffer import StateBuffer

LogMetric = Callable[[str, float], None]

SCORES = tuple(Scores.__dataclass_fields__)


class EpisodeReward:
    """Values of actions on states of a buffer, in the form that TRL's trainer asks for.

    Args:
        buffer: Where the states come from.
        weights: Of the rewards.
    """

    __name__ = "episode_reward"

    def __init__(self, buffer: StateBuffer, weights: RewardWeights) -> None:
        self._buffer = buffer
        self._weights = weights
        self.seconds = 0.0
        """Time spent in tool and environment so far."""

    def __call__(
        self,
        completions: Sequence[Any],
        state: Sequence[int],
        log_metric: LogMetric | None = None,
        **_: Any,
    ) -> list[float | None]:
        """Play and value.

        Args:
            completions: One a sample: a chat of one message, or text.
            state: Number of the state each sample acts on; samples of one state are neighbours.
            log_metric: Called with the name and the mean of each monitored figure.
            **_: Whatever else the trainer passes.

        Returns:
            The value of each action (`rewards.action_value`).
        """
        began = time.perf_counter()
        values: list[float | None] = []
        monitors: list[dict[str, float]] = []
        texts = [_text(completion) for completion in completions]
        for number, group in groupby(range(len(texts)), key=lambda index: state[index]):
            task, episodes = self._buffer.play(number, [texts[index] for index in group])
            for episode in episodes:
                move = _last_move(episode, task.truth)
                values.append(action_value(move, task.truth, self._weights))
                monitors.append(self._monitor(episode, move, task.truth))
        self.seconds += time.perf_counter() - began
        if log_metric is not None:
            for name, mean in _means(monitors):
                log_metric(name, mean)
        return values

    def _monitor(self, episode: Episode, move: Move, truth: Mask) -> dict[str, float]:
        scores = score(move, truth, self._weights)
        figures = {f"reward/{name}": getattr(scores, name) for name in SCORES}
        if move.clicks == 1 and truth.any() and not move.mask.any():
            figures["episode/first_click_hit"] = float(move.after > 0)
        if move.ended:
            stopped = episode.stop in BY_ITSELF
            good = stopped and move.after >= self._weights.good
            figures["episode/turns"] = float(move.clicks)
            figures["episode/iou"] = move.after
            figures["episode/stopped"] = float(stopped)
            figures["episode/good_stop"] = float(good)
        return figures


def _last_move(episode: Episode, truth: Mask) -> Move:
    *_, move = moves_of(episode, truth)
    return move


def _text(completion: Any) -> str:
    content = completion if isinstance(completion, str) else completion[-1]["content"]
    if isinstance(content, str):
        return content
    return "".join(str(part.get("text", "")) for part in content)


def _means(rows: Sequence[Mapping[str, float]]) -> Iterator[tuple[str, float]]:
    for name in sorted({name for row in rows for name in row}):
        yield name, fmean(row[name] for row in rows if name in row)
