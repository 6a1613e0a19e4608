"""The trainer of transformers, on lessons that are made where the model learns.

Checkpoints, resuming, logs and schedules are the trainer's. Ours are the pictures and questions,
made on the device from the number of a batch, and the loss.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR
from transformers import Trainer
from transformers.utils import SAFE_WEIGHTS_NAME

from ibisagent.prompts import PromptProfile
from ibistrain.batches.answers import Answers, answer
from ibistrain.batches.marks import Marked, Marker, ToolMarks
from ibistrain.batches.questions import Questions, draw_questions
from ibistrain.batches.scripts import IGNORE, Scripts, ScriptWriter, Told
from ibistrain.batches.views import View, Views
from ibistrain.embedded_config import EmbeddedConfig
from ibistrain.grounding import (
    LOOKING_LAYERS,
    CoordinateLoss,
    GroundingHeads,
    coverage,
    looking_loss,
    missing_loss,
)
from ibistrain.pace import Pace
from ibistrain.reading import Watch, read, see

WEIGHTS = {
    "place": 2.0,
    "cover": 1.0,
    "taught": 1.0,
    "reply": 1.0,
    "looking": 0.5,
    "spoken": 0.3,
    "found": 0.3,
    "missing": 2.0,
}
"""Weights of the loss's parts."""


@dataclass(frozen=True, eq=False)
class Lesson:
    """What a batch teaches.

    Attributes:
        views: Draws pictures.
        writer: Writes questions and replies.
        marker: Marks pictures.
        teacher: The tool's encoder, which explains pictures; None for none.
        config: The run's settings.
        profile: The checkpoint's words and overlay.
    """

    views: Views
    writer: ScriptWriter
    marker: Marker
    teacher: ToolMarks | None
    config: EmbeddedConfig
    profile: PromptProfile


class EmbeddedTrainer(Trainer):
    """Makes each batch from its number, and adds the auxiliary losses to the reply's.

    Args:
        heads: Read-outs that are trained along and thrown away.
        lesson: What is taught.
        tokenizer: The checkpoint's tokenizer.
        **kwargs: As for `transformers.Trainer`.
    """

    def __init__(
        self, heads: GroundingHeads, lesson: Lesson, tokenizer: Any, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self._heads = heads
        self._lesson = lesson
        config = lesson.config
        warmup = min(config.warmup, config.steps // 10)
        self._pace = Pace(config.steps, warmup, config.minutes)
        self.add_callback(self._pace)
        self._coordinates = CoordinateLoss(tokenizer, lesson.views.gallery.device)
        self._parts: dict[str, list[Tensor]] = {}

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> LambdaLR:
        """See `ibistrain.pace`."""
        del num_training_steps
        self.lr_scheduler = self._pace.schedule(optimizer or self.optimizer)
        return self.lr_scheduler

    def compute_loss(  # type: ignore[override]
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, **_: Any
    ) -> Any:
        """The losses of `ibistrain.grounding`, and that of the replies if there are any."""
        view = self._lesson.views.draw(inputs["number"])
        parts = self._taught(self.accelerator.unwrap_model(model), view)
        self._note(parts)
        weighed = {name: WEIGHTS.get(name.removeprefix("again_"), 0) for name in parts}
        loss = sum(weight * parts[name] for name, weight in weighed.items() if weight)
        return (loss, None) if return_outputs else loss

    def _taught(self, model: Any, view: View) -> dict[str, Tensor]:
        """All that a view teaches, and how well it is known."""
        lesson, config = self._lesson, self._lesson.config
        asked = self._asked(view) if config.questions else None
        seen, parts = self._seeing(model, view, view.pictures, None)
        features = None
        if asked is not None and len(asked[0]):  # all may have been moved out of the picture
            questions = asked[0]
            said, own = self._speaking(model, view, seen, *asked)
            parts = {**parts, **said}
            if view.words.random() < config.refinement:
                marked = lesson.marker.mark(view, questions, own)
                features = marked.features
                if len(marked.rows):
                    again = self._refining(model, view, marked)
                    parts = {**parts, **{f"again_{name}": v for name, v in again.items()}}
        if features is None:
            features = self._features(view)
        if features is not None:
            parts["taught"] = self._heads.taught_loss(seen, view.grid, features)
        return parts

    def _seeing(
        self, model: Any, view: View, pictures: Tensor, masks: Tensor | None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Vision tokens, and the losses of their read-outs."""
        gallery = self._lesson.views.gallery
        seen = see(model, pictures)
        known = gallery.known[gallery.kinds[view.drawn]]
        known = torch.cat([torch.ones_like(known[:, :1]), known], 1)
        covered = coverage(gallery, view.drawn, view.labels, masks, view.grid)
        return seen, self._heads(seen, view.grid, covered, known)

    def _asked(self, view: View) -> tuple[Questions, Answers, Told]:
        """Questions about untouched pictures."""
        gallery, config = self._lesson.views.gallery, self._lesson.config
        areas = gallery.areas(view.drawn, view.labels)
        questions = draw_questions(
            gallery,
            view.drawn,
            areas,
            config.questions,
            config.absent,
            config.strange,
            view.generator,
        )
        truths = self._truths(view, questions.rows, questions.targets)
        answers = answer(truths, None, None, view.grid)
        return questions, answers, Told(questions.rows, questions.targets, answers)

    def _speaking(
        self,
        model: Any,
        view: View,
        seen: Tensor,
        questions: Questions,
        answers: Answers,
        told: Told,
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Losses of first replies, and where the policy would click."""
        scripts = self._lesson.writer.write(
            told, len(seen), view.grid, True, view.words, seen.device
        )
        parts, scores = self._replies(model, scripts, seen, answers, view.grid)
        own = torch.full((len(questions), 2), torch.nan, device=seen.device)
        own[scripts.clicking] = _clicks_of(scores.detach(), view.generator)
        return parts, own

    def _refining(self, model: Any, view: View, marked: Marked) -> dict[str, Tensor]:
        """Losses of replies to pictures that carry masks."""
        truths = self._truths(view, marked.rows, marked.targets)
        answers = answer(truths, marked.masks, marked.settled, view.grid)
        rows = torch.arange(len(marked.rows), device=truths.device)
        told = Told(rows, marked.targets, answers)
        part = View(
            view.drawn[marked.rows],
            view.places[marked.rows],
            self._overlaid(view.pictures[marked.rows], marked.masks),
            view.labels[marked.rows],
            view.grid,
            view.generator,
            view.words,
        )
        seen, parts = self._seeing(model, part, part.pictures, marked.masks)
        scripts = self._lesson.writer.write(
            told, len(rows), view.grid, False, view.words, seen.device
        )
        said, _ = self._replies(model, scripts, seen, answers, view.grid)
        return {**parts, **said}

    def _replies(
        self, model: Any, scripts: Scripts, seen: Tensor, answers: Answers, grid: tuple[int, int]
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Losses of replies; and the scores of coordinates, axes (click, x or y, number)."""
        queries = torch.cat([scripts.thinks, scripts.xs, scripts.ys])
        watch = Watch(LOOKING_LAYERS, queries, scripts.image)
        hidden, states = read(model, scripts, seen, watch)
        embedding = model.get_input_embeddings().weight
        numbers = embedding[self._coordinates.numbers]
        learn = scripts.labels[:, 1:] != IGNORE
        reply = self._coordinates(
            model.lm_head(hidden[:, :-1][learn]).float(),
            scripts.labels[:, 1:][learn],
            scripts.ids[:, :-1][learn],
        )
        for_x, for_y = answers.looks.unbind(1)
        clicking = scripts.clicking
        looks = torch.cat([for_x, for_x[clicking], for_y[clicking]])
        rows, columns = queries.unbind(1)
        after = [states[layer + 1][rows, columns] for layer in LOOKING_LAYERS]
        inside = [states[layer][:, slice(*scripts.image)] for layer in LOOKING_LAYERS]
        at = [hidden[where[:, 0], where[:, 1]] @ numbers.T for where in (scripts.xs, scripts.ys)]
        scores = torch.stack(at, 1)
        parts = {
            "reply": reply,
            "looking": looking_loss(watch.looks, looks.flatten(1)),
            "spoken": self._heads.spoken_place(inside, grid, numbers),
            "found": self._heads.found_place(after, looks, numbers),
            "missing": missing_loss(scores.flatten(0, 1), answers.worths[clicking].flatten(0, 1)),
            "clicked": _worth_of(scores.detach(), answers.worths[clicking]),
        }
        return parts, scores

    def _features(self, view: View) -> Tensor | None:
        """What the tool's encoder sees, where it is asked to look."""
        teacher = self._lesson.teacher
        if teacher is None or view.words.random() >= self._lesson.config.taught:
            return None
        with torch.no_grad():
            return teacher.look(view)

    def _truths(self, view: View, rows: Tensor, targets: Tensor) -> Tensor:
        gallery = self._lesson.views.gallery
        return gallery.masks(view.drawn[rows], view.labels[rows], targets[:, None])[:, 0]

    def _overlaid(self, pictures: Tensor, masks: Tensor) -> Tensor:
        """As `ibisagent.overlay.overlay`, to which a test compares it."""
        profile = self._lesson.profile
        colour = torch.tensor(profile.overlay_colour, device=pictures.device).float()
        alpha = profile.overlay_alpha
        blend = (1 - alpha) * pictures + alpha * colour[None, :, None, None]
        return torch.where(masks[:, None], blend, pictures)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """Load weights through the model's class.

        It writes them under the names of the hub's layout, and the trainer, which compares names
        with those in memory, would find none of them and go on with untrained weights.
        """
        model = model or self.model
        heads = model.grounding
        saved = type(model).from_pretrained(resume_from_checkpoint, dtype=torch.float32)
        model.load_state_dict(saved.state_dict(), strict=False)
        state = load_file(Path(resume_from_checkpoint) / SAFE_WEIGHTS_NAME)
        prefix = "grounding."
        heads.load_state_dict(
            {name[len(prefix) :]: v for name, v in state.items() if name.startswith(prefix)}
        )

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Add the means of the loss's parts, and of what is no loss, since the last log."""
        means = {name: float(torch.stack(v).nanmean()) for name, v in self._parts.items()}
        self._parts.clear()
        super().log({**logs, **means}, *args, **kwargs)

    def _note(self, parts: dict[str, Tensor]) -> None:
        for name, value in parts.items():
            self._parts.setdefault(name, []).append(value.detach().float())


def _clicks_of(scores: Tensor, generator: torch.Generator) -> Tensor:
    """Where a policy clicks, half of the time surely and half of the time by chance.

    Args:
        scores: Of coordinates, axes (click, x or y, number).
        generator: Of the same device.

    Returns:
        Down and across as shares of the picture, axes (click, 2).
    """
    lots = torch.rand(scores.shape, generator=generator, device=scores.device)
    chance = torch.rand(len(scores), 1, 1, generator=generator, device=scores.device) < 0.5
    gumbel = -(-(lots + 1e-9).log() + 1e-9).log()
    chosen = (scores.float() + torch.where(chance, gumbel, 0.0)).argmax(-1)
    return (chosen.flip(1) + 0.5) / 100


def _worth_of(scores: Tensor, worths: Tensor) -> Tensor:
    """Share of the surest coordinates that lie in what they were to correct."""
    surest = scores.argmax(-1, keepdim=True)
    return (worths.gather(-1, surest) > 0).all(1).float().mean()
