"""Grey-scale windows: which intensities become black, which white.

The CT presets are the usual ones of reading rooms (level and width in Hounsfield units).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ibisagent.errors import InvalidRequest
from ibisagent.volume import MODALITY

AUTO = "auto"
PERCENTILES = (1.0, 99.0)

_SAMPLES = 2_000_000  # of a huge volume; percentiles are then good to about 0.01 %


@dataclass(frozen=True)
class Window:
    """A linear grey scale.

    Attributes:
        name: Preset name, or how the window was found.
        level: Intensity that becomes middle grey.
        width: Distance between the intensities that become black and white; 0 for a constant
            image, which is shown black.
    """

    name: str
    level: float
    width: float

    @property
    def low(self) -> float:
        """Intensity that becomes black."""
        return self.level - self.width / 2

    @property
    def high(self) -> float:
        """Intensity that becomes white."""
        return self.level + self.width / 2

    @classmethod
    def between(cls, name: str, low: float, high: float) -> Window:
        """Window from black to white."""
        return cls(name, low / 2 + high / 2, high - low)


PRESETS = {
    window.name: window
    for window in (
        Window("abdomen", 40, 400),
        Window("liver", 60, 160),
        Window("mediastinum", 50, 350),
        Window("lung", -600, 1500),
        Window("bone", 400, 1800),
        Window("brain", 40, 80),
        Window("subdural", 75, 215),
    )
}
"""CT windows by name."""

_FULL_RANGE = {
    np.dtype(np.uint8): Window.between("8 bit", 0, 255),
    np.dtype(np.uint16): Window.between("16 bit", 0, 65535),
}


def parse(text: str) -> Window | None:
    """Read a window as a user writes it; None for "auto".

    Args:
        text: "auto", a name of `PRESETS`, or "level,width" such as "40,400".

    Raises:
        InvalidRequest: Anything else.
    """
    name = text.strip().lower()
    if name == AUTO:
        return None
    window = PRESETS.get(name) or _from_numbers(name)
    if window is None:
        raise InvalidRequest(
            f"There is no window {text!r}.",
            f"Use {AUTO}, {', '.join(PRESETS)}, or level and width such as 40,400.",
        )
    return window


def choose(image: sitk.Image, text: str = AUTO) -> Window:
    """The window to show an image with, found once and used for all of its slices.

    "auto" is the abdomen (soft tissue) window if the intensities are Hounsfield units, and
    otherwise the 1st to 99th percentile of the whole volume. Colour pictures are made for
    display already: theirs is the full range of 8 or 16 bit.

    Args:
        image: Scalar volume, scalar picture or RGB picture, without NaN.
        text: As for `parse`. Colour pictures have no window to choose: it is checked only.

    Raises:
        InvalidRequest: `text` names no window.
    """
    asked = parse(text)
    colour = image.GetNumberOfComponentsPerPixel() > 1
    if asked is not None and not colour:
        return asked
    array = sitk.GetArrayViewFromImage(image)
    if colour and array.dtype in _FULL_RANGE:
        return _FULL_RANGE[array.dtype]
    sample = _sample(array)
    return PRESETS["abdomen"] if _is_ct(image, sample) else _percentiles(sample)


def is_hounsfield(sample: NDArray[Any]) -> bool:
    """Whether intensities look like Hounsfield units.

    Three things together, since each alone is met by some MR image: air is a population of its
    own around -1000; little but one padding value (-2000, -3024, ...) lies below it (resampling
    leaves a rim of values between); and most of what is denser than lung is soft tissue, between
    -200 and 300. CT cropped so that it holds
    no air is missed, which costs little: its percentiles are close to a soft tissue window.

    Args:
        sample: Intensities, any shape, not empty.
    """
    air = np.mean((sample >= -1100) & (sample <= -850))
    if air < 0.01:
        return False
    below = sample[sample < -1100]
    stray = np.count_nonzero(below > below.min(initial=-1100)) / sample.size
    body = sample[sample > -500]
    tissue = np.count_nonzero((body >= -200) & (body <= 300)) / max(body.size, 1)
    return bool(stray <= 0.5 * air and tissue >= 0.5)


def to_uint8(array: NDArray[Any], window: Window) -> NDArray[np.uint8]:
    """Map intensities to 0 (black) ... 255 (white), rounded; any shape and real dtype."""
    low, high = window.low, window.high
    if array.dtype == np.uint8 and (low, high) == (0, 255):
        return array.astype(np.uint8)
    if not high > low:
        return np.zeros(array.shape, dtype=np.uint8)
    clipped = np.clip(array.astype(np.float64), low, high)
    grey: NDArray[np.uint8] = np.rint((clipped - low) / (high - low) * 255).astype(np.uint8)
    return grey


def _from_numbers(text: str) -> Window | None:
    try:
        level, width = map(float, text.split(","))
    except ValueError:
        return None
    sane = math.isfinite(level) and math.isfinite(width) and width > 0
    return Window(text, level, width) if sane else None


def _is_ct(image: sitk.Image, sample: NDArray[Any]) -> bool:
    """Trust the intensities; a DICOM modality can only rule CT out.

    Images of modality CT without Hounsfield units exist (screen captures, localisers).
    """
    if image.HasMetaDataKey(MODALITY) and image.GetMetaData(MODALITY).strip() != "CT":
        return False
    return is_hounsfield(sample)


def _percentiles(sample: NDArray[Any]) -> Window:
    low, high = np.percentile(sample, PERCENTILES)
    if low == high:  # nearly all background: what little there is must still be seen
        low, high = sample.min(), sample.max()
    return Window.between("percentiles", float(low), float(high))


def _sample(array: NDArray[Any]) -> NDArray[Any]:
    """At most about `_SAMPLES` intensities, evenly spread and the same each time.

    A step that shares a factor with a side would always meet the same columns.
    """
    step = -(-array.size // _SAMPLES)
    while any(math.gcd(step, side) > 1 for side in array.shape):
        step += 1
    return array.reshape(-1)[::step]
