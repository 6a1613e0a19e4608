"""Training of the embedded policy: a tiny model, from nothing, on simulated replies.

The trainer is that of transformers, so checkpoints, resuming, logs and schedules are its. Ours
are the examples, made afresh for each step from the step's number, and the loss.
"""

from __future__ import annotations

import logging
import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field
from safetensors.torch import load_file, save_file
from torch.utils.data import Dataset
from transformers import AutoModelForImageTextToText, AutoProcessor, Trainer, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint
from transformers.utils import SAFE_WEIGHTS_NAME

from ibisagent.prompts import PROFILE_FILE, PromptProfile
from ibistrain.corpus import LabelledPicture, by_set_and_subject
from ibistrain.examples import QUESTIONS, Example, ExampleMaker, state_is_good
from ibistrain.grounding import (
    LOOKING_LAYERS,
    CoordinateLoss,
    GroundingHeads,
    looking_loss,
    missing_loss,
)
from ibistrain.imagined import imagine
from ibistrain.packing import PackingCollator, attention_mask, restart_positions
from ibistrain.states import State

logger = logging.getLogger(__name__)

HEADS_FILE = "grounding_heads.safetensors"
SIMULATED = 0.6
"""Share of refinements that are simulated by a tool; the others are imagined."""


class EmbeddedConfig(BaseModel):
    """Settings of one run; written into the run's folder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: int = Field(default=6000, gt=0, description="Optimiser steps.")
    batch: int = Field(default=8, gt=0, description="Pictures a step.")
    learning_rate: float = Field(default=1e-3, gt=0)
    refinement: float = Field(
        default=0.3, ge=0, le=1, description="Share of pictures that carry a mask."
    )
    questions: int = Field(
        default=QUESTIONS, ge=0, description="Most questions a picture; 0 teaches only to see."
    )
    strength: float = Field(default=1.0, ge=0, description="Of the augmentation.")
    seed: int = 0
    save_every: int = Field(default=500, gt=0, description="Steps between checkpoints.")


class DrawnExamples(Dataset[Example]):
    """Examples drawn by their number: the same number gives the same example.

    Args:
        pictures: The corpus.
        weights: Weight of each set.
        states: Simulated states; without any, all masks are imagined.
        maker: Makes examples.
        config: The run's settings.
    """

    def __init__(
        self,
        pictures: Sequence[LabelledPicture],
        weights: dict[str, float],
        states: Sequence[State],
        maker: ExampleMaker,
        config: EmbeddedConfig,
    ) -> None:
        self._by_name = {picture.name: picture for picture in pictures}
        self._groups = by_set_and_subject(pictures)
        self._weights = [weights[name] for name in self._groups]
        self._states = _by_set_and_goodness(states, self._by_name)
        self._maker = maker
        self._config = config

    def __len__(self) -> int:
        return self._config.steps * self._config.batch

    def __getitem__(self, index: int) -> Example:
        rng = random.Random(f"{self._config.seed}/{index}")
        name = rng.choices(list(self._groups), self._weights)[0]
        picture = rng.choice(rng.choice(list(self._groups[name].values())))
        if rng.random() >= self._config.refinement:
            return self._maker.first(picture, rng)
        simulated = [group for group in self._states.get(name, ()) if group]
        if simulated and rng.random() < SIMULATED:
            # Stopping is one moment of an episode but half of what a turn must decide.
            state = rng.choice(rng.choice(simulated))
        else:
            state = imagine(picture, rng)
        return self._maker.refinement(self._by_name[state.picture], state, rng)


class EmbeddedTrainer(Trainer):
    """Adds the auxiliary losses to the reply's loss.

    Args:
        heads: Read-outs that are trained along and thrown away.
        tokenizer: The checkpoint's tokenizer.
        **kwargs: As for `transformers.Trainer`.
    """

    def __init__(self, heads: GroundingHeads, tokenizer: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._heads = heads
        self._coordinates = CoordinateLoss(tokenizer)
        self._think = tokenizer.convert_tokens_to_ids("<think>")
        self._parts: dict[str, list[float]] = {}

    def compute_loss(  # type: ignore[override]
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, **_: Any
    ) -> Any:
        """Auxiliary losses, see `ibistrain.grounding`, and that of the replies if there are any."""
        grid = inputs["image_grid_thw"]
        features = model.model.get_image_features(inputs["pixel_values"], grid).pooler_output
        parts = self._heads(features, inputs["grids"], inputs["masks"], inputs["organs"])
        loss = 2.0 * parts["place"] + parts["cover"]
        outputs = None
        if "input_ids" in inputs:
            said, outputs = self._text_losses(model, inputs, features)
            loss = loss + said["reply"] + 0.5 * said["looking"]
            loss = loss + 0.3 * (said["spoken"] + said["found"]) + 2.0 * said["missing"]
            parts = {**parts, **said}
        self._note(parts)
        return (loss, outputs) if return_outputs else loss

    def _text_losses(
        self, model: Any, inputs: dict[str, Any], features: Sequence[torch.Tensor]
    ) -> tuple[dict[str, torch.Tensor], Any]:
        core = model.model
        ids, blocks = inputs["input_ids"], inputs["blocks"]
        is_image = ids == model.config.image_token_id
        embeds = model.get_input_embeddings()(ids)
        embeds = embeds.masked_scatter(is_image[..., None], torch.cat(list(features)).to(embeds))
        grid = inputs["image_grid_thw"]
        positions, _ = core.get_rope_index(ids, is_image.int(), image_grid_thw=grid)
        allowed = attention_mask(blocks)
        bias = torch.zeros_like(allowed, dtype=embeds.dtype)
        bias.masked_fill_(~allowed, torch.finfo(embeds.dtype).min)
        outputs = core.language_model(
            inputs_embeds=embeds,
            attention_mask={"full_attention": bias},
            position_ids=restart_positions(positions, blocks),
            output_attentions=True,
            output_hidden_states=True,
            use_cache=False,
        )
        labels = inputs["labels"][:, 1:]
        learn = labels >= 0
        logits = model.lm_head(outputs.last_hidden_state[:, :-1][learn]).float()
        reply = self._coordinates(logits, labels[learn], ids[:, :-1][learn])
        coarse = torch.zeros_like(is_image)
        coarse[:, :-1] = self._coordinates.coarse(labels, ids[:, :-1])
        scores = torch.nn.functional.linear(
            outputs.last_hidden_state, model.lm_head.weight[self._coordinates.numbers]
        )
        missing = missing_loss(scores, coarse, blocks, inputs["worths"])
        queries = coarse | ((ids == self._think) & (inputs["labels"] >= 0))
        layers = [outputs.attentions[layer] for layer in LOOKING_LAYERS]
        looking = looking_loss(layers, queries, blocks, is_image, inputs["regions"])
        seen = [outputs.hidden_states[layer] for layer in LOOKING_LAYERS]
        numbers = model.get_input_embeddings().weight[self._coordinates.numbers]
        spoken = self._heads.spoken_place(seen, is_image, inputs["grids"], numbers)
        after = [outputs.hidden_states[layer + 1] for layer in LOOKING_LAYERS]
        found = self._heads.found_place(after, queries, blocks, inputs["regions"], numbers)
        places = {"looking": looking, "spoken": spoken, "found": found, "missing": missing}
        return {"reply": reply, **places}, outputs

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
        """Add the means of the loss's parts, and of the hits, since the last log."""
        means = {
            name if name == "hit" else f"loss_{name}": sum(v) / len(v)
            for name, v in self._parts.items()
        }
        self._parts.clear()
        super().log({**logs, **means}, *args, **kwargs)

    def _note(self, parts: dict[str, torch.Tensor]) -> None:
        for name, value in parts.items():
            self._parts.setdefault(name, []).append(float(value.detach()))


def train_embedded(
    start: Path,
    out: Path,
    pictures: Sequence[LabelledPicture],
    weights: dict[str, float],
    states: Sequence[State],
    maker: ExampleMaker,
    profile: PromptProfile,
    config: EmbeddedConfig,
) -> None:
    """Train a checkpoint and write the result; continues a run that was broken off.

    Args:
        start: Checkpoint to start from, made by `ibistrain.tiny` or by an earlier run.
        out: Run folder: trainer checkpoints, logs, configuration, and the result in ``model/``.
        pictures: The corpus.
        weights: Weight of each set.
        states: Simulated states; may be empty.
        maker: Makes examples.
        profile: The prompt profile that goes with the checkpoint.
        config: Settings.
    """
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.json").write_text(config.model_dump_json(indent=1), encoding="utf-8")
    processor = AutoProcessor.from_pretrained(start)
    # Eager attention, since the looking loss reads attention weights.
    model = AutoModelForImageTextToText.from_pretrained(
        start, dtype=torch.float32, attn_implementation="eager"
    )
    targets = sorted({name for picture in pictures for name in picture.targets})
    heads = GroundingHeads(model.config.text_config.hidden_size, targets)
    if (start / HEADS_FILE).is_file():
        heads.load_state_dict(load_file(start / HEADS_FILE))
    model.grounding = heads  # a submodule, so that the trainer optimises and saves it
    trainer = EmbeddedTrainer(
        heads=heads,
        tokenizer=processor.tokenizer,
        model=model,
        args=_arguments(out, config),
        data_collator=PackingCollator(processor, profile),
        train_dataset=DrawnExamples(pictures, weights, states, maker, config),
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


def _arguments(out: Path, config: EmbeddedConfig) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(out),
        max_steps=config.steps,
        per_device_train_batch_size=config.batch,
        learning_rate=config.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=min(300, config.steps // 10),
        weight_decay=0.05,
        max_grad_norm=1.0,
        adam_beta2=0.98,
        logging_steps=25,
        save_steps=config.save_every,
        save_total_limit=2,
        bf16=True,
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
        report_to=["tensorboard"],
        remove_unused_columns=False,
        dataloader_num_workers=1,  # draws examples while the model learns
        seed=config.seed,
    )


def _by_set_and_goodness(
    states: Sequence[State], pictures: dict[str, LabelledPicture]
) -> dict[str, tuple[list[State], list[State]]]:
    """States of each set: those where stopping is right, and the others."""
    groups: dict[str, tuple[list[State], list[State]]] = {}
    for state in states:
        picture = pictures[state.picture]
        good = state.settled or state_is_good(state.mask, picture.truth(state.target))
        group = groups.setdefault(picture.set_name, ([], []))
        group[0 if good else 1].append(state)
    return groups
