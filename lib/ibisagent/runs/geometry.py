"""Where an image's voxels lie, without the image: enough to place clicks and to write masks."""

from __future__ import annotations

import SimpleITK as sitk
from pydantic import BaseModel, ConfigDict

from ibisagent.slices import Plane, SliceView

_ANY_WINDOW = "0,1"  # nobody looks at a blank image, so its intensities are not searched through


class Geometry(BaseModel):
    """Grid of an image.

    Attributes:
        size: Voxels along each axis, (i, j) or (i, j, k).
        spacing: In mm, likewise.
        origin: In mm, LPS.
        direction: Row-major cosines.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: tuple[int, ...]
    spacing: tuple[float, ...]
    origin: tuple[float, ...]
    direction: tuple[float, ...]

    @classmethod
    def of(cls, image: sitk.Image) -> Geometry:
        """Grid of an image."""
        return cls(
            size=image.GetSize(),
            spacing=image.GetSpacing(),
            origin=image.GetOrigin(),
            direction=image.GetDirection(),
        )

    def blank(self) -> sitk.Image:
        """An empty image on this grid, uint8."""
        image = sitk.Image(self.size, sitk.sitkUInt8)
        image.SetSpacing(self.spacing)
        image.SetOrigin(self.origin)
        image.SetDirection(self.direction)
        return image

    def view(self, plane: Plane) -> SliceView:
        """An empty image on this grid as slices."""
        return SliceView(self.blank(), plane, _ANY_WINDOW)
