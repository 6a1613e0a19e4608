"""Whether disk and device have room for a training."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import torch

from ibisagent.torch_device import resolve_device
from ibisagent_app.training.final_labels import Study
from ibisagent_app.training.refusals import DeviceBusy, NotEnoughDisk

GIB = 2**30

_DISK_TIMES = 12
"""Checkpoints of two stages with their optimisers, two kept of each, and the release; in sizes
of the published weights, which are half as long as those that are trained."""
_DISK_MORE = GIB // 4
_DEVICE_TIMES = {True: 3, False: 10}
"""Weights, gradients, optimiser and activations; by whether adapters are trained."""
_DEVICE_MORE = 2 * GIB


def weights_size(checkpoint: Path | None) -> int:
    """Bytes of a checkpoint's weights; 0 where its folder is not known."""
    if checkpoint is None:
        return 0
    return sum(file.stat().st_size for file in checkpoint.glob("*.safetensors"))


def check_disk(folder: Path, checkpoint: Path | None, studies: Sequence[Study]) -> None:
    """Refuse a training that would fill the disk.

    Args:
        folder: Where it would write; need not exist.
        checkpoint: Folder from which it starts, where it is known.
        studies: Whose labels are copied.

    Raises:
        NotEnoughDisk: With what is free and what is needed.
    """
    there = next(place for place in (folder, *folder.parents) if place.exists())
    labels = sum(study.label.stat().st_size for study in studies)
    needed = _DISK_TIMES * weights_size(checkpoint) + labels + _DISK_MORE
    free = shutil.disk_usage(there).free
    if free < needed:
        raise NotEnoughDisk(
            f"Training needs about {needed / GIB:.1f} GiB of disk; {free / GIB:.1f} GiB are free.",
            "Free some space on the disk of the app's folder, then start again.",
        )


def check_device(device: str, checkpoint: Path | None, adapters: bool) -> None:
    """Refuse a training that would not fit on the GPU beside what is there.

    Raises:
        DeviceUnavailable: There is no such device.
        DeviceBusy: With what is free and what is needed.
    """
    resolved = resolve_device(device)
    if resolved.type != "cuda":
        return
    needed = _DEVICE_TIMES[adapters] * weights_size(checkpoint) + _DEVICE_MORE
    free, _ = torch.cuda.mem_get_info(resolved)
    if free < needed:
        raise DeviceBusy(
            f"Training needs about {needed / GIB:.1f} GiB on the GPU; {free / GIB:.1f} GiB are "
            "free beside the model that answers requests.",
            "Train adapters (lora_rank 8), stop other programs, or use a larger GPU.",
        )
