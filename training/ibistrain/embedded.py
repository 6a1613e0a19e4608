"""Training of the embedded policy: a tiny model, from nothing, on a simulated annotator's replies.

The trainer is that of transformers, so checkpoints, resuming, logs and schedules are its. Ours
are the pictures and questions, made on the device from the number of the step, and the loss.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.utils.data import Dataset
from transformers import AutoModelForImageTextToText, AutoProcessor, Trainer, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint
from transformers.utils import SAFE_WEIGHTS_NAME

from ibisagent.prompts import PROFILE_FILE, PromptProfile, load_profile
from ibisagent.torch_device import resolve_device
from ibistrain.batches.answers import Answers, answer
from ibistrain.batches.contrast import Contrasts
from ibistrain.batches.gallery import Gallery
from ibistrain.batches.marks import FollowingTool, KeptMarks, Marked, Marker, ToolMarks
from ibistrain.batches.pose import Poses
from ibistrain.batches.questions import Questions, draw_questions
from ibistrain.batches.scripts import IGNORE, Scripts, ScriptWriter, Told
from ibistrain.batches.views import View, Views
from ibistrain.corpus import LabelledPicture
from ibistrain.grounding import (
    LOOKING_LAYERS,
    CoordinateLoss,
    GroundingHeads,
    coverage,
    looking_loss,
    missing_loss,
)
from ibistrain.reading import Watch, prepare, read, see
from ibistrain.states import State

logger = logging.getLogger(__name__)

HEADS_FILE = "grounding_heads.safetensors"
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


class EmbeddedConfig(BaseModel):
    """Settings of one run; written into the run's folder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: int = Field(default=6000, gt=0, description="Optimiser steps.")
    batch: int = Field(default=8, gt=0, description="Pictures at once.")
    batches: int = Field(default=1, gt=0, description="Batches a step.")
    learning_rate: float = Field(default=1e-3, gt=0)
    warmup: int = Field(default=200, ge=0, description="Steps up to the highest learning rate.")
    questions: int = Field(
        default=5, ge=0, description="Most questions a picture; 0 teaches only to see."
    )
    absent: float = Field(
        default=0.4, ge=0, le=1, description="Chance of a question for what is not there."
    )
    refinement: float = Field(
        default=1.0, ge=0, le=1, description="Share of batches that are asked again with masks."
    )
    taught: float = Field(
        default=0.3, ge=0, le=1, description="Share of batches that the tool's encoder explains."
    )
    strength: float = Field(default=1.0, ge=0, description="Of the augmentation.")
    seed: int = 0
    save_every: int = Field(default=500, gt=0, description="Steps between checkpoints.")


class Numbers(Dataset[int]):
    """The numbers of a run's batches; all else follows from them.

    Args:
        config: The run's settings.
    """

    def __init__(self, config: EmbeddedConfig) -> None:
        self._count = config.steps * config.batches

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> int:
        return index


@dataclass(frozen=True, eq=False)
class Lesson:
    """What a batch teaches.

    Attributes:
        views: Draws pictures.
        writer: Writes questions and replies.
        marker: Marks pictures; None to ask for first clicks only.
        teacher: The tool's encoder, which explains pictures; None for none.
        config: The run's settings.
    """

    views: Views
    writer: ScriptWriter
    marker: Marker | None
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
        self._coordinates = CoordinateLoss(tokenizer, lesson.views.gallery.device)
        self._parts: dict[str, list[Tensor]] = {}

    def compute_loss(  # type: ignore[override]
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, **_: Any
    ) -> Any:
        """The losses of `ibistrain.grounding`, and that of the replies if there are any."""
        view = self._lesson.views.draw(int(inputs["number"]))
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
        if asked is not None:
            questions = asked[0]
            said, own = self._speaking(model, view, seen, *asked)
            parts = {**parts, **said}
            if lesson.marker is not None and view.words.random() < config.refinement:
                marked = lesson.marker.mark(view, questions, own)
                if len(marked.rows):
                    again = self._refining(model, view, marked)
                    parts = {**parts, **{f"again_{name}": v for name, v in again.items()}}
        features = self._features(view, lesson)
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
            gallery, view.drawn, areas, config.questions, config.absent, view.generator
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
        before = hidden[:, :-1][scripts.labels[:, 1:] != IGNORE]
        learn = scripts.labels[:, 1:] != IGNORE
        reply = self._coordinates(
            model.lm_head(before).float(),
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

    def _features(self, view: View, lesson: Lesson) -> Tensor | None:
        """What the tool's encoder sees, where it has looked or is asked to."""
        if lesson.teacher is None:
            return None
        if lesson.teacher.features is not None:
            features, lesson.teacher.features = lesson.teacher.features, None
            return features
        if view.words.random() >= lesson.config.taught:
            return None
        with torch.no_grad():
            return lesson.teacher.look(view)

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
        means = {name: float(torch.stack(v).mean()) for name, v in self._parts.items()}
        self._parts.clear()
        super().log({**logs, **means}, *args, **kwargs)

    def _note(self, parts: dict[str, Tensor]) -> None:
        for name, value in parts.items():
            self._parts.setdefault(name, []).append(value.detach().float())


def train_embedded(
    start: Path,
    out: Path,
    pictures: Sequence[LabelledPicture],
    weights: Mapping[str, float],
    synonyms: Mapping[str, Sequence[str]],
    config: EmbeddedConfig,
    tool: FollowingTool | None = None,
    states: Sequence[State] = (),
) -> None:
    """Train a checkpoint and write the result; continues a run that was broken off.

    Args:
        start: Checkpoint to start from, made by `ibistrain.tiny` or by an earlier run.
        out: Run folder: trainer checkpoints, logs, configuration, and the result in ``model/``.
        pictures: The corpus.
        weights: Weight of each set.
        synonyms: Other words for targets.
        config: Settings.
        tool: Marks pictures while the policy learns, and explains them.
        states: Moments of simulated episodes, for masks where no tool is given.
    """
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.json").write_text(config.model_dump_json(indent=1), encoding="utf-8")
    processor = AutoProcessor.from_pretrained(start)
    model = AutoModelForImageTextToText.from_pretrained(start, dtype=torch.float32)
    prepare(model)
    gallery = Gallery.of(pictures, weights, resolve_device())
    heads = GroundingHeads(model.config.text_config.hidden_size, gallery.names)
    if (start / HEADS_FILE).is_file():
        heads.load_state_dict(load_file(start / HEADS_FILE))
    model.grounding = heads  # a submodule, so that the trainer optimises and saves it
    profile = load_profile(start)
    lesson = _lesson(gallery, processor, profile, pictures, synonyms, config, tool, states)
    trainer = EmbeddedTrainer(
        heads=heads,
        lesson=lesson,
        tokenizer=processor.tokenizer,
        model=model,
        args=_arguments(out, config),
        data_collator=_number,
        train_dataset=Numbers(config),
    )
    trainer.train(resume_from_checkpoint=get_last_checkpoint(str(out)))
    export(start, model, processor, heads, out / "model")


def export(start: Path, model: Any, processor: Any, heads: GroundingHeads, folder: Path) -> None:
    """Write a checkpoint that loads like any other, with the read-outs in a file beside.

    The prompt profile is that of the checkpoint it started from.
    """
    if hasattr(model, "grounding"):
        del model.grounding
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    shutil.copyfile(start / PROFILE_FILE, folder / PROFILE_FILE)
    save_file(heads.state_dict(), folder / HEADS_FILE)


def _lesson(
    gallery: Gallery,
    processor: Any,
    profile: PromptProfile,
    pictures: Sequence[LabelledPicture],
    synonyms: Mapping[str, Sequence[str]],
    config: EmbeddedConfig,
    tool: FollowingTool | None,
    states: Sequence[State],
) -> Lesson:
    marks = ToolMarks(gallery, tool) if tool is not None else None
    marker: Marker | None = marks
    if marker is None and states:
        numbers = {picture.name: number for number, picture in enumerate(pictures)}
        marker = KeptMarks(gallery, numbers, states)
    return Lesson(
        views=Views(
            gallery,
            processor.image_processor,
            config.batch,
            Poses(strength=config.strength),
            Contrasts(strength=config.strength),
            config.seed,
        ),
        writer=ScriptWriter(processor, profile, gallery.names, synonyms),
        marker=marker,
        teacher=marks,
        config=config,
        profile=profile,
    )


def _number(numbers: Sequence[int]) -> dict[str, Any]:
    return {"number": torch.tensor(numbers[0])}


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


def _arguments(out: Path, config: EmbeddedConfig) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(out),
        max_steps=config.steps,
        per_device_train_batch_size=1,
        gradient_accumulation_steps=config.batches,
        learning_rate=config.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=min(config.warmup, config.steps // 10),
        weight_decay=0.05,
        max_grad_norm=1.0,
        adam_beta2=0.98,
        logging_steps=25,
        save_steps=config.save_every,
        save_total_limit=2,
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=False,
        report_to=["tensorboard"],
        remove_unused_columns=False,
        average_tokens_across_devices=False,
        seed=config.seed,
    )
