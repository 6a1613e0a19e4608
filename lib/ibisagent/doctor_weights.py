"""Whether the weights of policy and tool are on this machine, whole."""

from __future__ import annotations

import json
from pathlib import Path

from ibisagent.errors import IBISAgentError
from ibisagent.finding import Finding, Level
from ibisagent.policies import EMBEDDED, embedded_checkpoint
from ibisagent.policies.checkpoint_source import ADAPTER_FILE, CheckpointSource
from ibisagent.policies.policy_spec import PolicySpec
from ibisagent.tools.weights import tool_source


def check_policy_weights(spec: str) -> Finding:
    """Look for a policy that runs here, see `ibisagent.policies.load_policy`."""
    name = "policy weights"
    try:
        where = PolicySpec.parse(spec).where
        if where == EMBEDDED:
            return _in_folder(name, embedded_checkpoint())
        source = CheckpointSource.parse(where)
    except IBISAgentError as error:
        return Finding.of(name, error)
    return _at(name, source)


def check_tool_weights(spec: str) -> Finding:
    """Look for a tool, see `ibisagent.tools.load_tool`."""
    name = "tool weights"
    try:
        source = tool_source(spec)
    except IBISAgentError as error:
        return Finding.of(name, error)
    if isinstance(source, CheckpointSource):
        return _at(name, source)
    if source.is_dir():
        return _in_folder(name, source)
    return Finding(name, Level.OK, f"{source.name} is here")


def missing_shards(folder: Path) -> list[str]:
    """Files of weights that a checkpoint folder lacks; large checkpoints list theirs."""
    here = {file.name for file in folder.glob("*.safetensors")}
    index = folder / "model.safetensors.index.json"
    try:
        wanted = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except FileNotFoundError:
        wanted = set() if here else {"model.safetensors"}
    except (OSError, ValueError, KeyError, AttributeError):
        return [index.name]
    return sorted(wanted - here)


def _at(name: str, source: CheckpointSource) -> Finding:
    if not source.on_hub:
        return _in_folder(name, Path(source.name))
    folder = _cached(source)
    if folder is not None and not missing_shards(folder):
        return Finding(name, Level.OK, f"{source.name} is in the hub's cache")
    part = f" --include '{source.subfolder}/*'" if source.subfolder else ""
    revision = f" --revision {source.revision}" if source.revision else ""
    return Finding(
        name,
        Level.WARN,
        f"{source.name} is not here yet; it is fetched at first use",
        f"Run `hf download {source.name}{revision}{part}` now, or give the folder of a copy.",
    )


def _cached(source: CheckpointSource) -> Path | None:
    from huggingface_hub import try_to_load_from_cache  # loads slowly

    inside = f"{source.subfolder}/" if source.subfolder else ""
    found = try_to_load_from_cache(
        source.name, f"{inside}config.json", revision=source.revision or None
    )
    return Path(found).parent if isinstance(found, str) else None


def _in_folder(name: str, folder: Path) -> Finding:
    known = any((folder / file).is_file() for file in ("config.json", ADAPTER_FILE))
    missing = missing_shards(folder) if known else ["config.json"]
    if not missing:
        return Finding(name, Level.OK, f"{folder.name} is here")
    return Finding(
        name,
        Level.FAIL,
        f"The folder {folder} lacks {', '.join(missing[:5])}",
        "Copy or download the checkpoint again, whole: `hf download OWNER/MODEL --local-dir "
        f"{folder}`.",
    )
