"""Reinforcement learning: GRPO (Shao et al., arXiv 2402.03300) over states of real episodes.

The trainer is TRL's, unchanged. It takes states from a buffer, lets the policy try several
actions on each, and asks the reward function, which plays them with the real episode, the same
tool, overlay and prompts as inference, values them, and puts a successor back into the buffer.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from datasets import IterableDataset
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer

from ibisagent.episode import Limits
from ibisagent.output import write_whole
from ibisagent.policies.base import never
from ibisagent.policies.picture_size import fitted
from ibisagent.tools import load_tool
from ibisagent.tools.base import SegmentationTool
from ibistrain.adapters import freeze_eyes, lora_config
from ibistrain.episode_reward import EpisodeReward
from ibistrain.policy_folder import write_policy
from ibistrain.rl_config import RlConfig
from ibistrain.rl_tasks import load_tasks
from ibistrain.run_folder import RunFolder
from ibistrain.run_watch import OnLog, RunWatch, ShouldStop
from ibistrain.start_model import StartModel, load_start, start_folder
from ibistrain.state_buffer import BufferNote, StateBuffer
from ibistrain.tasks import TaskSource

logger = logging.getLogger(__name__)

CURVES = (
    "reward", "episode/iou", "episode/turns", "episode/good_stop", "episode/first_click_hit",
    "reward/format", "reward/answer", "reward/click", "reward/progress", "reward/length",
    "entropy", "kl", "completions/mean_length", "loss",
)  # fmt: skip


def rl(
    config: RlConfig,
    on_log: OnLog | None = None,
    should_stop: ShouldStop = never,
    tasks: TaskSource | None = None,
    tool: SegmentationTool | None = None,
) -> Path:
    """Train a policy by its own experience; continues a run that was broken off.

    Args:
        config: Settings.
        on_log: Called at each logging step.
        should_stop: Read at each step; the run is saved and ended once it is true.
        tasks: Tasks that are at hand already; those of the configuration if not given.
        tool: Likewise the segmentation tool.

    Returns:
        Folder of the policy as it stands at the end.

    Raises:
        InvalidRequest: The folder holds a run with other settings, or there are no tasks.
        ModelNotFound: The checkpoint cannot be loaded or trained.
    """
    if not config.rewards.stopping_pays:
        logger.warning("with these weights a further click may beat stopping at a good mask")
    folder, args = RunFolder(config.out), _arguments(config)
    notes = [f"state_buffer-{rank}.json" for rank in range(args.world_size)]
    with args.main_process_first():
        folder.open(config)
        last = folder.last_checkpoint(notes)
        base = start_folder(config.model, config.out)
    note = notes[args.process_index]
    start = load_start(base, config.prompts, _half(config), None if config.lora else last)
    if config.lora is None and not config.train_vision:
        freeze_eyes(start.model)
    _prepare_generation(start, args)
    buffer = StateBuffer(
        tasks or load_tasks(config),
        tool or load_tool(config.tool),
        start.profile,
        Limits(max_steps=config.max_turns),
        config.fresh,
        config.kept,
        seed=config.seed + 7919 * args.process_index,
        ahead=config.ahead,
    )
    if last is not None:
        buffer.resume(BufferNote.model_validate_json((last / note).read_bytes()))
    trainer = _trainer(config, args, start, buffer)
    trainer.add_callback(_BufferKeeper(buffer, note))
    trainer.add_callback(RunWatch(folder, on_log, should_stop))
    if last is not None:
        trainer.add_callback(_SameChances(trainer, last))
    trainer.train(resume_from_checkpoint=str(last) if last else None)
    if trainer.is_world_process_zero():
        folder.draw_curves(CURVES)
    return write_policy(trainer, base, start.profile, folder, config.merge)


class StateStream:
    """States of a buffer as rows for the trainer, without end.

    A row has the chat as ``prompt``, its pictures as ``images``, and the number of the state.

    Args:
        buffer: The buffer.
        max_pixels: Larger pictures are scaled down to this; None leaves it to the processor.
    """

    def __init__(self, buffer: StateBuffer, max_pixels: int | None = None) -> None:
        self._buffer = buffer
        self._max_pixels = max_pixels

    def __call__(self) -> Iterator[dict[str, Any]]:
        """Hand out states."""
        while True:
            number, state = self._buffer.draw()
            seen = state.episode.observe()
            most = [self._max_pixels or p.shape[0] * p.shape[1] for p in seen.pictures]
            images = [fitted(p, m) for p, m in zip(seen.pictures, most, strict=True)]
            yield {"prompt": seen.messages, "images": images, "state": number}

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        """What a data set is named by: its maker's pickle, here without pictures and tool."""
        return str, ("states",)


def _trainer(
    config: RlConfig, args: GRPOConfig, start: StartModel, buffer: StateBuffer
) -> GRPOTrainer:
    return GRPOTrainer(
        model=start.model,
        args=args,
        processing_class=start.processor,
        reward_funcs=EpisodeReward(buffer, config.rewards),
        train_dataset=IterableDataset.from_generator(StateStream(buffer, config.max_pixels)),
        peft_config=lora_config(config.lora, config.train_vision) if config.lora else None,
    )


def _prepare_generation(start: StartModel, args: GRPOConfig) -> None:
    # Prompts of different length are padded in front; the trainer takes this for granted, and
    # would otherwise shift the marks that tell pictures' tokens from text.
    start.processor.tokenizer.padding_side = "left"
    # A model that is not yet sure of its words may write the placeholder of a picture, for which
    # there is no picture.
    names = ("image_token_id", "video_token_id")
    unwritable = [getattr(start.model.config, name, None) for name in names]
    known = [token for token in unwritable if token is not None]
    if known and not args.use_vllm:
        more: Any = args.generation_kwargs or {}
        args.generation_kwargs = {"suppress_tokens": known, **more}


class _BufferKeeper(TrainerCallback):
    """Keeps the buffer beside each checkpoint."""

    def __init__(self, buffer: StateBuffer, name: str) -> None:
        self._buffer = buffer
        self._name = name

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        folder = Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"
        write_whole(folder / self._name, self._buffer.note().model_dump_json().encode("utf-8"))


class _SameChances(TrainerCallback):
    """Sets the random numbers of a continued run once more, just before its first step.

    The trainer sets them as well, but then opens the data loader, which uses one up.
    """

    def __init__(self, trainer: GRPOTrainer, checkpoint: Path) -> None:
        self._trainer = trainer
        self._checkpoint: Path | None = checkpoint

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        if self._checkpoint is not None:
            self._trainer._load_rng_state(str(self._checkpoint))
            self._checkpoint = None


def _half(config: RlConfig) -> bool:
    return config.bf16 and config.lora is not None


def _arguments(config: RlConfig) -> GRPOConfig:
    at_once = config.at_once or config.samples
    cuda = torch.cuda.is_available()
    fields: dict[str, Any] = {
        "output_dir": str(config.out),
        "max_steps": config.steps,
        "num_generations": config.group,
        "per_device_train_batch_size": at_once,
        "gradient_accumulation_steps": config.samples // at_once,
        "learning_rate": config.learning_rate,
        "lr_scheduler_type": "constant_with_warmup",
        "warmup_steps": min(10, config.steps // 10),
        "beta": config.beta,
        "epsilon": config.clip,
        "epsilon_high": config.clip_high,
        "temperature": config.temperature,
        "max_completion_length": config.reply_tokens,
        "loss_type": "dr_grpo",  # no bias towards long replies
        "scale_rewards": "group",
        "shuffle_dataset": False,  # states come in the order in which episodes bring them about
        "ignore_data_skip": True,  # the buffer goes on by itself
        "remove_unused_columns": False,
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
    return GRPOConfig(**(fields | config.trl))
