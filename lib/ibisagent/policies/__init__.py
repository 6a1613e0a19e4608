"""Policies: whoever looks at a picture and writes the next action."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from ibisagent.errors import ModelNotFound

if TYPE_CHECKING:
    from ibisagent.policies.endpoint import EndpointPolicy
    from ibisagent.policies.local import LocalPolicy

EMBEDDED = "embedded"
"""Name of the checkpoint inside the package."""

ENDPOINT = "endpoint:"
"""In front of a server's address."""


def load_policy(
    spec: str = EMBEDDED,
    device: str = "auto",
    max_pixels: int | None = None,
    four_bit: bool = False,
) -> LocalPolicy | EndpointPolicy:
    """Load a policy by its configuration string.

    Args:
        spec: ``embedded``; a checkpoint or adapter folder; a hub name
            ``owner/model@revision#sub-folder`` (``hf:`` in front where a folder has the same
            name); or ``endpoint:ADDRESS#MODEL``, for example
            ``endpoint:http://127.0.0.1:8000/v1#ibis``.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``; of no effect on an endpoint.
        max_pixels: Larger pictures are scaled down to this; None for what checkpoint or
            endpoint take by default.
        four_bit: Whether to hold the weights in 4 bits; an endpoint decides that for itself.

    Raises:
        ModelNotFound: There is no such checkpoint.
        DeviceUnavailable: The device is not there.
        MissingPackage: The checkpoint or an option needs a package that is not installed.
        InvalidRequest: The endpoint's address is malformed or not safe to use.
    """
    if spec.startswith(ENDPOINT):
        from ibisagent.policies.endpoint import DEFAULT_MAX_PIXELS, EndpointPolicy

        address = spec.removeprefix(ENDPOINT)
        return EndpointPolicy(address, max_pixels=max_pixels or DEFAULT_MAX_PIXELS)
    from ibisagent.policies.local import LocalPolicy  # torch and transformers load slowly

    checkpoint = embedded_checkpoint() if spec == EMBEDDED else spec
    return LocalPolicy(checkpoint, device, max_pixels=max_pixels, four_bit=four_bit)


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
