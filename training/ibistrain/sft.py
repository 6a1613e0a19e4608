"""Supervised fine-tuning on simulated episodes: the cold start (arXiv 2601.03054, section 3.2).

The trainer is TRL's. Loss falls on the replies that are to be learnt and on nothing else: not on
prompts, pictures, or replies that were made wrong on purpose.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from trl.trainer.sft_config import SFTConfig as TrlConfig
from trl.trainer.sft_trainer import SFTTrainer

from ibisagent.errors import InvalidRequest
from ibisagent.policies.base import never
from ibisagent.prompts import PromptProfile
from ibisagent.subjects import is_held_back
from ibistrain.adapters import freeze_eyes, lora_config
from ibistrain.dialogue import Dialogue, dialogue, dialogue_ends, ends_the_episode
from ibistrain.dialogue_collator import DialogueCollator
from ibistrain.episode_record import EpisodeRecord, read_episodes
from ibistrain.picture_store import PictureStore
from ibistrain.policy_folder import write_policy
from ibistrain.run_folder import RunFolder
from ibistrain.run_watch import OnLog, RunWatch, ShouldStop
from ibistrain.sft_config import SftConfig
from ibistrain.start_model import StartModel, load_start, start_folder

logger = logging.getLogger(__name__)

CURVES = ("loss", "mean_token_accuracy", "entropy", "grad_norm", "learning_rate")


class Dialogues:
    """Every dialogue of some episodes, made when it is asked for.

    Args:
        episodes: The episodes.
        root: Folder that their image paths are relative to.
        profile: Words, overlay, and whether earlier turns are shown.
        stop_weight: Without history: how often a turn that stops at a mask is listed; 0 for so
            often that these are about as many as the turns that correct one.

    Raises:
        InvalidRequest: There is nothing to learn.
        UnreadableImage: An image is gone or damaged.
    """

    def __init__(
        self,
        episodes: Sequence[EpisodeRecord],
        root: Path,
        profile: PromptProfile,
        stop_weight: int = 0,
    ) -> None:
        self._episodes = episodes
        self._profile = profile
        turns = [
            (number, end)
            for number, episode in enumerate(episodes)
            for end in dialogue_ends(episode, profile.history)
        ]
        more = [] if profile.history else self._more_stops(turns, stop_weight)
        self._parts = sorted(turns + more)
        if not self._parts:
            raise InvalidRequest(
                "There is nothing to learn: no episode of the training side has a reply that "
                "carries loss.",
                "Simulate episodes of subjects that are not held back.",
            )
        self._pictures = PictureStore(root)
        self._pictures.fill(episodes)

    def _more_stops(self, turns: Sequence[tuple[int, int]], weight: int) -> list[tuple[int, int]]:
        later = [(number, end) for number, end in turns if end > 0]
        stops = [turn for turn in later if ends_the_episode(self._episodes[turn[0]], turn[1])]
        corrections = len(later) - len(stops)
        weight = weight or max(1, round(corrections / max(len(stops), 1)))
        return stops * (weight - 1)

    def __len__(self) -> int:
        return len(self._parts)

    def __getitem__(self, index: int) -> Dialogue:
        number, end = self._parts[index]
        episode = self._episodes[number]
        return dialogue(episode, self._pictures.rgb(episode), self._profile, end)


class NumberedCollator:
    """Makes batches from the numbers of dialogues, so that pictures are drawn when needed.

    Args:
        dialogues: The dialogues.
        collator: Makes batches from dialogues.
    """

    def __init__(self, dialogues: Dialogues, collator: DialogueCollator) -> None:
        self._dialogues = dialogues
        self._collator = collator

    def __call__(self, rows: Sequence[dict[str, int]]) -> dict[str, torch.Tensor]:
        """Tensors of the rows' dialogues; see `DialogueCollator`."""
        return self._collator([self._dialogues[row["dialogue"]] for row in rows])


def sft(config: SftConfig, on_log: OnLog | None = None, should_stop: ShouldStop = never) -> Path:
    """Fine-tune a policy on simulated episodes; continues a run that was broken off.

    Args:
        config: Settings.
        on_log: Called at each logging step.
        should_stop: Read at each step; the run is saved and ended once it is true.

    Returns:
        Folder of the policy as it stands at the end.

    Raises:
        InvalidRequest: The folder holds a run with other settings, or there is nothing to learn.
        InvalidTrajectory: The episodes cannot be read.
        ModelNotFound: The checkpoint cannot be loaded or trained.
    """
    folder, args = RunFolder(config.out), _arguments(config)
    with args.main_process_first():
        folder.open(config)
        last = folder.last_checkpoint()
        base = start_folder(config.model, config.out)
    half = config.bf16 and config.lora is not None
    start = load_start(base, config.prompts, half, None if config.lora else last)
    profile = _profile(start, config.history)
    if config.lora is None and not config.train_vision:
        freeze_eyes(start.model)
    episodes = [
        e for e in read_episodes(config.episodes) if not is_held_back(e.set_name, e.subject)
    ]
    dialogues = Dialogues(episodes, config.data, profile, config.stop_weight)
    logger.info("%d dialogues of %d episodes", len(dialogues), len(episodes))
    trainer = SFTTrainer(
        model=start.model,
        args=args,
        processing_class=start.processor,
        train_dataset=Dataset.from_dict({"dialogue": list(range(len(dialogues)))}),
        data_collator=NumberedCollator(
            dialogues, DialogueCollator(start.processor, config.max_pixels)
        ),
        peft_config=lora_config(config.lora, config.train_vision) if config.lora else None,
    )
    trainer.add_callback(RunWatch(folder, on_log, should_stop))
    trainer.train(resume_from_checkpoint=str(last) if last else None)
    if trainer.is_world_process_zero():
        folder.draw_curves(CURVES)
    return write_policy(trainer, base, profile, folder, config.merge)


def _profile(start: StartModel, history: bool | None) -> PromptProfile:
    if history is None:
        return start.profile
    return start.profile.model_copy(update={"history": history})


def _arguments(config: SftConfig) -> TrlConfig:
    at_once = config.at_once or config.batch
    cuda = torch.cuda.is_available()
    fields: dict[str, Any] = {
        "output_dir": str(config.out),
        "num_train_epochs": config.epochs,
        "max_steps": config.steps or -1,
        "per_device_train_batch_size": at_once,
        "gradient_accumulation_steps": config.batch // at_once,
        "learning_rate": config.learning_rate,
        "lr_scheduler_type": "cosine",
        "warmup_steps": 0.03,  # below 1: a share of all steps
        "max_length": None,  # a cut would part pictures from their tokens
        "dataset_kwargs": {"skip_prepare_dataset": True},
        "remove_unused_columns": False,
        "dataloader_num_workers": config.workers,
        "dataloader_pin_memory": cuda,
        "use_cpu": not cuda,
        "bf16": config.bf16,
        "gradient_checkpointing": config.gradient_checkpointing,
        "logging_steps": config.log_every,
        "save_steps": config.save_every,
        "save_total_limit": 2,
        "report_to": ["tensorboard"],
        "seed": config.seed,
    }
    return TrlConfig(**(fields | config.trl))
