"""Segmentation tools: what makes a mask of clicks.

`load_tool` builds one from a specification; the backends are imported only when asked for.
"""

from __future__ import annotations

from pathlib import Path

from ibisagent.errors import InvalidRequest
from ibisagent.tools.base import SegmentationTool
from ibisagent.tools.weights import FORMS, SAM2_FAMILIES, SAM_SIZES


def load_tool(spec: str = "embedded", device: str = "auto") -> SegmentationTool:
    """Load a segmentation tool.

    Args:
        spec: "embedded" (LiteMedSAM with our decoder for clicks, nothing to download),
            "litemedsam:PATH" (the same with a decoder of your own, from ``ibistrain tool``),
            "sam:SIZE:PATH" (a checkpoint of segment-anything; SIZE is vit_b, vit_l or vit_h),
            "medsam:PATH" (MedSAM, which has the form of vit_b),
            "sam2:WHERE" (SAM 2 or 2.1: a folder as on the model hub, a hub name, or a ``.pt``
            file of the original repository) or "medsam2:WHERE" (the same for MedSAM2).
        device: "auto", "cpu", "cuda", ...

    Raises:
        InvalidRequest: The specification is not one of these.
        ModelNotFound: The checkpoint is missing or does not fit.
        DeviceUnavailable: The machine has no such device.
    """
    kind, _, rest = spec.partition(":")
    if kind == "embedded" and not rest:
        from ibisagent.tools.litemedsam import LiteMedSAM

        return LiteMedSAM(device)
    if kind == "litemedsam" and rest:
        from ibisagent.tools.litemedsam import LiteMedSAM

        return LiteMedSAM(device, Path(rest))
    if kind == "sam" and ":" in rest:
        size, _, path = rest.partition(":")
        return _load_sam(spec, size, path, device)
    if kind == "medsam" and rest:
        return _load_sam(spec, "vit_b", rest, device)
    if kind in SAM2_FAMILIES and rest:
        from ibisagent.tools.sam2 import Sam2

        return Sam2(rest, device, family=kind)
    raise _unknown(spec)


def _load_sam(spec: str, size: str, path: str, device: str) -> SegmentationTool:
    from ibisagent.tools.sam import Sam

    if size not in SAM_SIZES or not path:
        raise _unknown(spec)
    return Sam(size, Path(path), device, family=spec.partition(":")[0])


def _unknown(spec: str) -> InvalidRequest:
    return InvalidRequest(f"There is no segmentation tool '{spec}'.", f"Choose one of {FORMS}.")
