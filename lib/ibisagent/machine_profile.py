"""Machine profiles: which policy, tool and device suit a machine, by one name.

Not to be confused with prompt profiles (`ibisagent.prompts`), which hold words.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ibisagent.errors import DeviceUnavailable, InvalidRequest
from ibisagent.policies.optional_package import require_package

GB = 1e9


class Needs(BaseModel):
    """What a machine must have.

    Attributes:
        gpu_gb: Memory of one GPU, 10⁹ bytes; 0 where none is needed.
        disk_gb: Free disk for weights that are fetched, 10⁹ bytes.
        packages: Names by which optional packages are imported.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    gpu_gb: float = Field(default=0, ge=0)
    disk_gb: float = Field(default=0, ge=0)
    packages: tuple[str, ...] = ()


class MachineProfile(BaseModel):
    """An agent for a kind of machine; the fields are those of `ibisagent.agent.load_agent`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    summary: str
    policy: str
    tool: str
    device: str = "auto"
    max_steps: int = Field(default=10, ge=1, le=50)
    prompts: str = ""
    needs: Needs = Needs()

    def settings(self) -> dict[str, str | int]:
        """What it chooses, by the names of ``--conf`` and of the command line's options."""
        return self.model_dump(include={"policy", "tool", "device", "max_steps", "prompts"})

    def require_machine(self, policy: str, tool: str, device: str) -> None:
        """Check that this machine has what the profile needs, before anything is fetched.

        Of an agent that the user changed in part, nothing is known about memory, and what it
        needs is found when it is loaded.

        Args:
            policy: That is to be loaded: the profile's, or the user's own.
            tool: Likewise.
            device: Likewise.

        Raises:
            MissingPackage: A package is not installed.
            DeviceUnavailable: There is no GPU, or its memory is too small.
        """
        if (policy, tool) != (self.policy, self.tool):
            return
        for package in self.needs.packages:
            require_package(package, f"The machine profile '{self.name}'", _OTHERWISE)
        if device != "cpu" and self.needs.gpu_gb:
            self._require_gpu(device)

    def _require_gpu(self, device: str) -> None:
        import torch  # loads slowly

        from ibisagent.torch_device import resolve_device

        if not torch.cuda.is_available():
            raise DeviceUnavailable(
                f"The machine profile '{self.name}' needs a GPU, and torch finds none.",
                f"Run `ibisagent doctor --profile {self.name}` for the cause, or {_OTHERWISE}.",
            )
        there = torch.cuda.get_device_properties(resolve_device(device)).total_memory / GB
        if there < self.needs.gpu_gb:
            raise DeviceUnavailable(
                f"The machine profile '{self.name}' needs a GPU with {self.needs.gpu_gb:g} GB; "
                f"this one has {there:.1f} GB.",
                f"Choose a larger one with device cuda:N, or {_OTHERWISE}.",
            )


_OTHERWISE = "choose the profile 'laptop', or 'server' with a model server elsewhere"


def load_machine_profile(source: str) -> MachineProfile:
    """Load a machine profile by its shipped name or from a YAML file.

    Raises:
        InvalidRequest: There is no such profile, or the file does not fit.
    """
    path = Path(source)
    text = _read(path, source)
    try:
        fields = yaml.safe_load(text)
        return MachineProfile.model_validate({"name": path.stem, **fields})
    except (ValidationError, yaml.YAMLError, TypeError) as error:
        raise InvalidRequest(
            f"The machine profile {source} is not valid: {_cause(error)}.",
            "It needs summary, policy and tool; see lib/ibisagent/machine_profiles.",
        ) from error


def shipped_machine_profiles() -> list[str]:
    """Names of the profiles inside the package, sorted."""
    folder = resources.files("ibisagent") / "machine_profiles"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir())


def _read(path: Path, source: str) -> str:
    if source in shipped_machine_profiles():
        folder = resources.files("ibisagent") / "machine_profiles"
        return (folder / f"{source}.yaml").read_text(encoding="utf-8")
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        names = ", ".join(shipped_machine_profiles())
        raise InvalidRequest(
            f"There is no machine profile {source}.", f"Give one of {names}, or a YAML file."
        ) from error


def _cause(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return str(error).splitlines()[0]
