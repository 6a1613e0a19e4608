"""What `ibisagent doctor` looks at: facts about this machine, gathered without judging them."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from packaging.utils import canonicalize_name

GB = 1e9
TRACKING = "MONAI_LABEL_TRACKING_ENABLED"


@dataclass(frozen=True)
class Gpu:
    """A graphics processor that torch can use.

    Attributes:
        name: As its maker calls it.
        gb: Its whole memory, 10⁹ bytes.
    """

    name: str
    gb: float


@dataclass(frozen=True)
class Facts:
    """A machine and its environment.

    Attributes:
        python: Version that runs.
        python_wanted: Versions that the package allows, as in ``>=3.10``.
        requirements: What the package asks for, as in its metadata, extras included.
        versions: Installed version by normalised package name.
        torch_error: Why torch and torchvision do not work together; empty where they do.
        cuda_build: Whether torch was built for GPUs.
        gpus: In torch's order.
        disk_free_gb: Where fetched weights go, 10⁹ bytes.
        tracking: Value of MONAI Label's switch for MLflow, None where it is not set.
    """

    python: str = ""
    python_wanted: str = ""
    requirements: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    torch_error: str = ""
    cuda_build: bool = False
    gpus: tuple[Gpu, ...] = ()
    disk_free_gb: float = 0.0
    tracking: str | None = None


def gather() -> Facts:
    """The facts of this machine. Imports torch, if it can."""
    ours = metadata.metadata("ibisagent")
    cuda_build, gpus = _gpus()
    return Facts(
        python=platform.python_version(),
        python_wanted=ours["Requires-Python"] or "",
        requirements=tuple(metadata.requires("ibisagent") or ()),
        versions=_versions(),
        torch_error=_torch_error(),
        cuda_build=cuda_build,
        gpus=gpus,
        disk_free_gb=_disk_free_gb(),
        tracking=os.environ.get(TRACKING),
    )


def _versions() -> dict[str, str]:
    named = ((each.metadata["Name"], each.version) for each in metadata.distributions())
    return {canonicalize_name(name): version for name, version in named if name}


def _torch_error() -> str:
    """Run torchvision's own operator: it is missing where the two are of different builds."""
    try:
        import torch
        from torchvision.ops import nms

        nms(torch.zeros(1, 4), torch.zeros(1), 0.5)
    except (ImportError, RuntimeError, OSError, AttributeError, NotImplementedError) as error:
        return str(error).strip().splitlines()[0]
    return ""


def _gpus() -> tuple[bool, tuple[Gpu, ...]]:
    try:
        import torch

        if not torch.cuda.is_available():
            return torch.version.cuda is not None, ()
        indices = range(torch.cuda.device_count())
        found = [torch.cuda.get_device_properties(index) for index in indices]
    except (ImportError, RuntimeError, OSError, AttributeError):  # the torch finding says why
        return False, ()
    return True, tuple(Gpu(each.name, each.total_memory / GB) for each in found)


def _disk_free_gb() -> float:
    from huggingface_hub.constants import HF_HUB_CACHE

    folder = Path(HF_HUB_CACHE)
    while not folder.exists():  # the cache is made by the first download
        folder = folder.parent
    return shutil.disk_usage(folder).free / GB
