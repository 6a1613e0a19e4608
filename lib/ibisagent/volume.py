"""Images in, masks out: reading refuses what we cannot segment, writing keeps the geometry.

Images are SimpleITK images; arrays are in SimpleITK's order, (k, j, i) for a volume and
(row, column) for a 2D picture. ITK's world is LPS: x grows to the patient's left, y to
posterior, z to superior, in millimetres.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ibisagent.detached import refuse_detached
from ibisagent.errors import (
    IBISAgentError,
    InvalidRequest,
    NonFiniteImage,
    OutputNotWritable,
    OversizeImage,
    UnreadableImage,
    UnsupportedImage,
)
from ibisagent.nifti import check_voxels, warn_of_doubtful_orientation
from ibisagent.truncation import refuse_truncated

MAX_VOXELS = 2**30
"""Most voxels of an image: 1024 x 1024 x 1024."""

MAX_SIDE = 8192
"""Longest side of an image, in voxels."""

MODALITY = "0008|0060"
"""Metadata key of the DICOM modality, set on images that came from DICOM."""

_DICOM = "GDCMImageIO"
_NIFTI = "NiftiImageIO"
_READERS = {
    ".nii": _NIFTI,
    ".nii.gz": _NIFTI,
    ".nrrd": "NrrdImageIO",
    ".nhdr": "NrrdImageIO",
    ".mha": "MetaImageIO",
    ".mhd": "MetaImageIO",
    ".dcm": _DICOM,
    ".ima": _DICOM,
    ".png": "PNGImageIO",
    ".jpg": "JPEGImageIO",
    ".jpeg": "JPEGImageIO",
    ".tif": "TIFFImageIO",
    ".tiff": "TIFFImageIO",
    ".bmp": "BMPImageIO",
}
_VOLUME_SUFFIXES = (".nii.gz", ".nrrd", ".mha")
_PICTURE_SUFFIXES = (*_VOLUME_SUFFIXES, ".png")

_ORTHONORMAL = 1e-3  # ITK's NIfTI reader refuses at about the same deviation
_SLICE_OFF_GRID = 0.25  # of the slice spacing; one missing slice of three is 0.33

# Every failure is told by an exception; ITK's own warnings would only reach someone's terminal.
sitk.ProcessObject.SetGlobalWarningDisplay(False)


def read_image(path: Path) -> sitk.Image:
    """Read a volume or a picture and check that it can be segmented.

    NIfTI-1, NRRD, MetaImage, a DICOM file (by suffix or content), a folder with one DICOM
    series, PNG, JPEG, TIFF and BMP. The format is taken from the suffix, so that a renamed file
    cannot reach one of ITK's many rarely used readers. Sizes are checked before pixels are
    loaded. Trailing axes of length 1 beyond the third are dropped, and so is the alpha channel
    of a picture. A volume of one slice stays a volume.

    Where a NIfTI's qform and sform disagree, ITK's choice is taken, as in 3D Slicer: the sform
    only if its code is 1, or the qform is not set. A warning is logged.

    Returns:
        A scalar 3D image, a scalar 2D image, or a 2D image of three components (RGB).

    Raises:
        UnreadableImage: Missing, empty, truncated, of no known format, or with a broken header.
        DetachedData: The header names files elsewhere (`ibisagent.detached`).
        UnsupportedImage: More than three dimensions, a colour volume, complex pixels, no
            extent, several series in the folder, or slices that form no regular grid.
        NonFiniteImage: NaN or infinite intensities.
        OversizeImage: More than `MAX_VOXELS` voxels, or a side longer than `MAX_SIDE`.
    """
    try:
        folder = path.is_dir()
        path.stat()
    except (OSError, ValueError) as error:
        raise UnreadableImage(
            f"{path.name} does not exist or may not be opened.",
            "Check the path and the permissions of the file and its folder.",
        ) from error
    image = _read_series(path) if folder else _read_file(path, _reader_of(path), path.name)
    validate(image, path.name)
    return image


def validate(image: sitk.Image, name: str) -> None:
    """Check that an image can be segmented; `name` stands for it in messages.

    Raises:
        UnsupportedImage: Not a scalar volume, scalar picture or RGB picture; complex pixels; no
            extent; or axes that are not perpendicular.
        NonFiniteImage: NaN or infinite intensities.
        OversizeImage: More than `MAX_VOXELS` voxels, or a side longer than `MAX_SIDE`.
    """
    components = image.GetNumberOfComponentsPerPixel()
    _check_size(image.GetSize(), name)
    if "complex" in image.GetPixelIDTypeAsString():
        raise UnsupportedImage(
            f"{name} has complex pixels.", "Save the magnitude image and segment that."
        )
    if components != 1 and not (is_picture(image) and components == 3):
        raise UnsupportedImage(
            f"{name} has {components} values a pixel; only 2D pictures may be in colour (RGB).",
            "Save one channel, or a grey-scale version, as the image to segment.",
        )
    _check_geometry(image, name)
    if not _is_finite(image):
        raise NonFiniteImage(
            f"{name} holds NaN or infinite intensities.",
            "Replace them by the background value, for example with numpy.nan_to_num.",
        )


def is_picture(image: sitk.Image) -> bool:
    """Whether an image is 2D (PNG, JPEG, ...) and so has no anatomical planes."""
    return int(image.GetDimension()) == 2


def write_mask(mask: NDArray[np.uint8], reference: sitk.Image, path: Path) -> None:
    """Write a mask or label image with the geometry of the image it belongs to.

    The file appears whole or not at all: it is written beside its place, read back, compared
    and then moved (ITK's NIfTI writer reports success when the disk is full). Missing parent
    folders are made. Values are kept as they are, in a PNG too.

    Args:
        mask: uint8 (or bool), axes (k, j, i); for a 2D image (1, row, column) or (row, column).
        reference: The image; origin, spacing and direction are taken from it.
        path: ``.nii.gz``, ``.nrrd`` or ``.mha``, compressed; ``.png`` for 2D images.

    Raises:
        InvalidRequest: The suffix is none of these.
        OutputNotWritable: Disk full, no permission, or a folder of the path is a file.
    """
    _check_mask_suffix(path, reference)
    image = _mask_image(mask, reference)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".", dir=path.parent) as folder:
            whole = _written(image, Path(folder) / path.name)
            whole.replace(path)
    except (OSError, RuntimeError, IBISAgentError) as error:
        raise OutputNotWritable(
            f"The mask could not be written to {path.name} in {path.parent.name or '.'}.",
            "Check that the disk has room, and that the folder may be written to.",
        ) from error


def _suffix(path: Path) -> str:
    return ".nii.gz" if path.name.lower().endswith(".nii.gz") else path.suffix.lower()


def _reader_of(path: Path) -> str:
    reader = _READERS.get(_suffix(path))
    if reader is not None:
        return reader
    if _is_dicom(path):  # many archives name DICOM files without a suffix
        return _DICOM
    raise UnreadableImage(
        f"{path.name} is of no known format.",
        f"Convert it to one of {', '.join(_READERS)}, or give a folder with a DICOM series.",
    )


def _is_dicom(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            return stream.read(132)[128:] == b"DICM"
    except OSError:
        return False


def _read_file(path: Path, reader: str, name: str) -> sitk.Image:
    with _itk(name):
        refuse_detached(path, reader)
        header = _header(path, reader)
        _check_size(header.GetSize(), name)
        if reader == _NIFTI:
            check_voxels(path, header, name)
        refuse_truncated(path, reader)
        image = _at_most_3d(header.Execute())
        if reader == _NIFTI:
            warn_of_doubtful_orientation(header, image, name)
        return _without_alpha(image)


def _header(path: Path, reader: str) -> sitk.ImageFileReader:
    header = sitk.ImageFileReader()
    header.SetImageIO(reader)
    header.SetFileName(str(path))
    header.ReadImageInformation()
    if reader == "PNGImageIO" and not any(header.GetSize()):  # all it says of what is no PNG
        raise RuntimeError("no PNG")
    return header


@contextmanager
def _itk(name: str) -> Iterator[None]:
    """Turn what ITK raises into our errors."""
    try:
        yield
    except (RuntimeError, OSError, MemoryError, ValueError) as error:  # ValueError: no UTF-8
        if "orthonormal" in str(error):
            raise UnreadableImage(
                f"The axes in {name}'s header are not perpendicular (sheared or empty sform).",
                "Resample the image to a rectangular grid, or set its sform and qform to one "
                "rigid affine, for example with nibabel or fslorient.",
            ) from error
        if isinstance(error, MemoryError) or "allocate" in str(error):
            raise OversizeImage(
                f"{name} does not fit into this machine's memory.", "Crop or resample it."
            ) from error
        raise UnreadableImage(
            f"{name} could not be read as an image.",
            "Check that the file is whole, may be read, and is what its suffix says.",
        ) from error


def _read_series(folder: Path) -> sitk.Image:
    with _itk(folder.name):
        files = _series_files(folder)
        first = _header(Path(files[0]), _DICOM)
        if len(files) == 1:
            return _read_file(Path(files[0]), _DICOM, folder.name)
        width, height, *frames = list(first.GetSize())
        _check_size((width, height, len(files), *frames), folder.name)
        reader = sitk.ImageSeriesReader()
        reader.SetImageIO(_DICOM)
        reader.SetFileNames(files)
        image: sitk.Image = reader.Execute()
        _check_grid(image, files, folder.name)
        if first.HasMetaDataKey(MODALITY):
            image.SetMetaData(MODALITY, first.GetMetaData(MODALITY))
        return image


def _series_files(folder: Path) -> Sequence[str]:
    series = sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder))
    if not series:
        raise UnreadableImage(
            f"The folder {folder.name} holds no DICOM series.",
            "Give the folder that holds the DICOM files themselves, or a single image file.",
        )
    if len(series) > 1:
        raise UnsupportedImage(
            f"The folder {folder.name} holds {len(series)} DICOM series.",
            "Give a folder with the files of one series.",
        )
    files: Sequence[str] = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), series[0])
    return files


def _check_grid(image: sitk.Image, files: Sequence[str], name: str) -> None:
    """Compare where each slice says it is with where the volume puts it.

    One comparison finds missing and doubled slices, mixed time points and a tilted gantry.
    """
    limit = _SLICE_OFF_GRID * image.GetSpacing()[2]
    for k, file in enumerate(files):
        origin = _header(Path(file), _DICOM).GetOrigin()
        if math.dist(image.TransformIndexToPhysicalPoint((0, 0, k)), origin) > limit:
            raise UnsupportedImage(
                f"The slices of {name} form no regular grid: one is missing or doubled, "
                "several time points are mixed, or the gantry was tilted.",
                "Export one complete, evenly spaced stack, or resample the series first.",
            )


def _check_size(size: Sequence[int], name: str) -> None:
    extent = list(size)
    while len(extent) > 3 and extent[-1] == 1:
        extent.pop()
    text = " x ".join(map(str, extent))
    if len(extent) not in (2, 3):
        raise UnsupportedImage(
            f"{name} has {len(extent)} dimensions ({text}).",
            "Save one time point or channel as a 3D volume and segment that.",
        )
    if min(extent) == 0:
        raise UnsupportedImage(f"{name} has no extent ({text}).", "Export the image again.")
    if max(extent) > MAX_SIDE or math.prod(extent) > MAX_VOXELS:
        raise OversizeImage(
            f"{name} has {text} voxels; the limits are {MAX_SIDE} a side and {MAX_VOXELS} in all.",
            "Crop it to the region of interest, or resample it to a coarser grid.",
        )


def _check_geometry(image: sitk.Image, name: str) -> None:
    dimension = image.GetDimension()
    direction = np.reshape(image.GetDirection(), (dimension, dimension))
    geometry = (*image.GetOrigin(), *image.GetSpacing(), *image.GetDirection())
    finite = bool(np.isfinite(geometry).all()) and min(image.GetSpacing()) > 0
    skew = np.abs(direction.T @ direction - np.eye(dimension)).max() if finite else math.inf
    if skew > _ORTHONORMAL:
        raise UnsupportedImage(
            f"The geometry of {name} is broken: its axes are not perpendicular, or its origin or "
            "spacing is no number.",
            "Resample the image to a rectangular grid.",
        )


def _is_finite(image: sitk.Image) -> bool:
    array = sitk.GetArrayViewFromImage(image)
    return array.dtype.kind != "f" or all(bool(np.isfinite(part).all()) for part in array)


def _at_most_3d(image: sitk.Image) -> sitk.Image:
    while image.GetDimension() > 3:
        leading = [slice(None)] * (image.GetDimension() - 1)
        image = image[tuple([*leading, 0])]
    return image


def _without_alpha(image: sitk.Image) -> sitk.Image:
    if not (is_picture(image) and image.GetNumberOfComponentsPerPixel() == 4):
        return image
    channels = [sitk.VectorIndexSelectionCast(image, channel) for channel in range(3)]
    colour: sitk.Image = sitk.Compose(channels)
    return colour


def _check_mask_suffix(path: Path, reference: sitk.Image) -> None:
    allowed = _PICTURE_SUFFIXES if is_picture(reference) else _VOLUME_SUFFIXES
    if _suffix(path) not in allowed:
        raise InvalidRequest(
            f"A mask of this image cannot be written as {path.name}.",
            f"Choose a name that ends in {', '.join(allowed)}.",
        )


def _mask_image(mask: NDArray[np.uint8], reference: sitk.Image) -> sitk.Image:
    shape = tuple(reversed(reference.GetSize()))
    if mask.shape not in (shape, (1, *shape)[-3:]):
        raise ValueError(f"mask of shape {mask.shape} does not fit an image of shape {shape}")
    array = mask.astype(np.uint8, casting="safe", copy=False).reshape(shape)
    image = sitk.GetImageFromArray(np.ascontiguousarray(array))
    image.CopyInformation(reference)
    return image


def _written(image: sitk.Image, path: Path) -> Path:
    """Write an image and read it back, because not every writer of ITK notices a full disk."""
    sitk.WriteImage(image, str(path), True)
    back = read_image(path)  # a name, because a view does not keep its image alive
    if not np.array_equal(sitk.GetArrayViewFromImage(back), sitk.GetArrayViewFromImage(image)):
        raise OSError(f"{path.name} reads back different from what was written")
    return path
