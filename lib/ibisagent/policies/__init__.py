"""Policies: whoever looks at a picture and writes the next action."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from ibisagent.errors import ModelNotFound

if TYPE_CHECKING:
    from ibisagent.policies.local import LocalPolicy

EMBEDDED = "embedded"
"""Name of the checkpoint inside the package."""


def load_policy(spec: str = EMBEDDED, device: str = "auto") -> LocalPolicy:
    """Load a policy by its configuration string.

    Args:
        spec: ``embedded``, a checkpoint folder, or a hub name ``owner/model``.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        ModelNotFound: There is no such checkpoint.
        DeviceUnavailable: The device is not there.
    """
    from ibisagent.policies.local import LocalPolicy  # torch and transformers load slowly

    return LocalPolicy(embedded_checkpoint() if spec == EMBEDDED else spec, device)


def embedded_checkpoint() -> Path:
    """Folder of the checkpoint inside the package.

    Raises:
        ModelNotFound: The package was installed without its data.
    """
    folder = Path(str(resources.files("ibisagent.policies") / EMBEDDED))
    if not (folder / "config.json").is_file():
        raise ModelNotFound(
            "The embedded checkpoint is not in this installation.",
            "Reinstall the package, or name a checkpoint folder as policy.",
        )
    return folder
