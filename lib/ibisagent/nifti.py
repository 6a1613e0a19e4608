"""What ITK's NIfTI reader does in silence, made audible.

Measured with SimpleITK 2.5: from a file that ends early it returns voxels that hold whatever
the memory held before (perhaps another patient); NaN and infinity become 0, which is soft tissue
in CT; and where qform and sform disagree it takes one of them without a word.
"""

from __future__ import annotations

import gzip
import logging
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedIOBase
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ibisagent.errors import NonFiniteImage, UnreadableImage

_CHUNK = 1 << 20  # a multiple of every voxel's size
_GZIP_MAGIC = b"\x1f\x8b"
_HEADER_SIZE = 348  # first number of a NIfTI-1 header, which tells the byte order
_FIRST_VOXEL = 352  # least offset of voxels in a file of one part
_FLOATS = {"16": "f4", "64": "f8"}  # by NIfTI's datatype code

_logger = logging.getLogger(__name__)


def check_voxels(path: Path, header: sitk.ImageFileReader, name: str) -> None:
    """Read the voxels of a ``.nii`` or ``.nii.gz`` once, to see that all are there and finite.

    Args:
        path: The file.
        header: A reader of that file, after ``ReadImageInformation``.
        name: What to call the file in messages.

    Raises:
        UnreadableImage: The file ends early, or its compressed stream is damaged.
        NonFiniteImage: A voxel is NaN or infinite.
    """
    try:
        finite = _all_finite(path, header)
    except (EOFError, OSError, zlib.error) as error:
        raise UnreadableImage(
            f"{name} is truncated or damaged: it ends before its voxels do.",
            "Copy or export the file again; the transfer was probably interrupted.",
        ) from error
    if not finite:
        raise NonFiniteImage(
            f"{name} holds NaN or infinite intensities.",
            "Replace them by the background value, for example with numpy.nan_to_num.",
        )


def warn_of_doubtful_orientation(
    header: sitk.ImageFileReader, image: sitk.Image, name: str
) -> None:
    """Log where left and right may depend on who reads the file.

    Args:
        header: A reader of the file, after ``ReadImageInformation``.
        image: The volume that ITK made of it.
        name: What to call the file in the log.
    """
    if header.GetMetaData("qform_code") == header.GetMetaData("sform_code") == "0":
        _logger.warning("%s states no orientation; left and right may be swapped.", name)
    elif int(header.GetMetaData("sform_code")) > 0 and _differs_from_sform(header, image):
        _logger.warning(
            "qform and sform of %s disagree; the qform is used, as in 3D Slicer. "
            "Programs that follow the sform will show image and mask apart.",
            name,
        )


def _all_finite(path: Path, header: sitk.ImageFileReader) -> bool:
    """Raises EOFError if voxels are missing, and what gzip raises if the stream is damaged."""
    offset = int(float(header.GetMetaData("vox_offset")))
    if offset < _FIRST_VOXEL:  # ITK takes an absurd offset for 348, and shifts the voxels
        raise EOFError
    size = math.prod(header.GetSize()) * int(header.GetMetaData("bitpix")) // 8
    kind = _FLOATS.get(header.GetMetaData("datatype"))
    with _opened(path) as stream:
        start = b"".join(_parts(stream, 4))
        little = int.from_bytes(start, "little") == _HEADER_SIZE
        for _ in _parts(stream, offset - len(start)):
            pass
        dtype = np.dtype(f"{'<' if little else '>'}{kind or 'u1'}")
        # A list, not a generator: `all` would stop at the first NaN, before a missing end.
        finite = all([np.isfinite(np.frombuffer(p, dtype)).all() for p in _parts(stream, size)])
        stream.read(1)  # at the end of a gzip stream, this compares its checksum
    return finite


@contextmanager
def _opened(path: Path) -> Iterator[BufferedIOBase]:
    with path.open("rb") as stream:
        compressed = stream.read(2) == _GZIP_MAGIC
        stream.seek(0)
        yield gzip.GzipFile(fileobj=stream) if compressed else stream


def _parts(stream: BufferedIOBase, size: int) -> Iterator[bytes]:
    while size > 0:
        part = stream.read(min(size, _CHUNK))
        if len(part) < min(size, _CHUNK):
            raise EOFError
        size -= len(part)
        yield part


def _differs_from_sform(header: sitk.ImageFileReader, image: sitk.Image) -> bool:
    """Whether any corner of a volume is half a voxel or more from where the sform puts it."""
    if image.GetDimension() != 3:
        return False
    rows = [header.GetMetaData(f"srow_{axis}").split() for axis in "xyz"]
    sform = np.array(rows, dtype=float)
    for corner in np.ndindex(2, 2, 2):
        index = np.array(corner) * (np.array(image.GetSize()) - 1)
        ras = np.array(image.TransformIndexToPhysicalPoint(index.tolist())) * (-1, -1, 1)
        if np.abs(sform @ (*index, 1) - ras).max() > 0.5 * min(image.GetSpacing()):
            return True
    return False
