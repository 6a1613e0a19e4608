"""Policies: whoever looks at a picture and writes the next action."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from ibisagent.errors import InvalidRequest, ModelNotFound
from ibisagent.policies.policy_spec import PolicySpec

if TYPE_CHECKING:
    from ibisagent.policies.endpoint import EndpointPolicy
    from ibisagent.policies.local import LocalPolicy

EMBEDDED = "embedded"
"""Name of the checkpoint inside the package."""

ENDPOINT = "endpoint:"
"""In front of a server's address."""


def load_policy(spec: str = EMBEDDED, device: str = "auto") -> LocalPolicy | EndpointPolicy:
    """Load a policy by its configuration string.

    Args:
        spec: ``embedded``; a checkpoint or adapter folder; a hub name
            ``owner/model@revision#sub-folder`` (``hf:`` in front where a folder has the same
            name); or ``endpoint:ADDRESS#MODEL``, for example
            ``endpoint:http://127.0.0.1:8001/v1#ibis``. Options may follow, see `PolicySpec`.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``; of no effect on an endpoint.

    Raises:
        ModelNotFound: There is no such checkpoint.
        DeviceUnavailable: The device is not there.
        MissingPackage: The checkpoint or an option needs a package that is not installed.
        InvalidRequest: There is no such option, or the endpoint's address is malformed or not
            safe to use.
    """
    chosen = PolicySpec.parse(spec)
    if chosen.where.startswith(ENDPOINT):
        return _endpoint(chosen)
    chosen.require_packages()
    from ibisagent.policies.local import LocalPolicy  # torch and transformers load slowly

    checkpoint = embedded_checkpoint() if chosen.where == EMBEDDED else chosen.where
    policy = LocalPolicy(checkpoint, device, max_pixels=chosen.max_pixels, four_bit=chosen.four_bit)
    policy.name += chosen.options  # they change what it writes
    return policy


def _endpoint(chosen: PolicySpec) -> EndpointPolicy:
    from ibisagent.policies.endpoint import DEFAULT_MAX_PIXELS, EndpointPolicy

    if chosen.four_bit:
        raise InvalidRequest(
            "How a model server holds its weights is decided where it is started.",
            "Leave four_bit out here, and start the server with its own option for that.",
        )
    address = chosen.where.removeprefix(ENDPOINT)
    policy = EndpointPolicy(address, max_pixels=chosen.max_pixels or DEFAULT_MAX_PIXELS)
    policy.name += chosen.options
    return policy


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
