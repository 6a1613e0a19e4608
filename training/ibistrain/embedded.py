"""Training of the embedded policy: a tiny model, on a simulated annotator's replies."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import TrainingArguments
from transformers.trainer_utils import get_last_checkpoint

from ibisagent.prompts import PROFILE_FILE, PromptProfile, load_profile
from ibisagent.torch_device import resolve_device
from ibistrain.batches.contrast import Contrasts
from ibistrain.batches.gallery import Gallery
from ibistrain.batches.imagined import ImaginedMarks
from ibistrain.batches.marks import FollowingTool, KeptMarks, Marker, ToolMarks
from ibistrain.batches.numbers import Numbers, number_of
from ibistrain.batches.pose import Poses
from ibistrain.batches.scripts import ScriptWriter
from ibistrain.batches.views import Views
from ibistrain.embedded_config import EmbeddedConfig
from ibistrain.embedded_trainer import EmbeddedTrainer, Lesson
from ibistrain.grounding import GroundingHeads
from ibistrain.labelled_picture import LabelledPicture
from ibistrain.read_outs import start_read_outs, write_read_outs
from ibistrain.reading import prepare
from ibistrain.start_model import load_start
from ibistrain.state import State


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
        states: Moments of simulated episodes, for masks where no tool is given; without any,
            masks are imagined.

    Raises:
        InvalidRequest: The model sees windows only, or its tokenizer has no tokens for numbers;
            or no picture shows a target.
        ModelNotFound: The checkpoint is incomplete, or its read-outs are damaged.
        InvalidProfile: It has no prompts.
    """
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.json").write_text(config.model_dump_json(indent=1), encoding="utf-8")
    loaded = load_start(start)
    processor, model = loaded.processor, loaded.model
    profile = load_profile(start)  # its own, which goes with the result; none is no default here
    prepare(model)
    gallery = Gallery.of(pictures, weights, resolve_device())
    heads = start_read_outs(start, model.config.text_config.hidden_size, gallery.names)
    model.grounding = heads  # a submodule, so that the trainer optimises and saves it
    lesson = _lesson(gallery, processor, profile, pictures, synonyms, config, tool, states)
    trainer = EmbeddedTrainer(
        heads=heads,
        lesson=lesson,
        tokenizer=processor.tokenizer,
        model=model,
        args=_arguments(out, config),
        data_collator=number_of,
        train_dataset=Numbers(config.steps * config.batches),
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
    write_read_outs(heads, folder)


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
    marker = marker or ImaginedMarks(gallery)
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


def _arguments(out: Path, config: EmbeddedConfig) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(out),
        max_steps=config.steps,
        per_device_train_batch_size=1,
        gradient_accumulation_steps=config.batches,
        learning_rate=config.learning_rate,
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
        seed=config.seed,
    )
