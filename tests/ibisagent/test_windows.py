from __future__ import annotations

import warnings

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ibisagent.errors import InvalidRequest
from ibisagent.volume import MODALITY, read_image
from ibisagent.windows import PRESETS, Window, choose, is_hounsfield, parse, to_uint8

TYPES = [np.uint8, np.int8, np.uint16, np.int16, np.int32, np.uint32, np.int64, np.float32]


def ct_phantom(padding: float | None = None, shape=(12, 64, 64)) -> np.ndarray:
    """Air around a body of soft tissue and fat, with lungs and some bone, in Hounsfield units."""
    random = np.random.default_rng(0)
    volume = random.normal(-1000, 15, shape)
    _, rows, columns = np.indices(shape)
    radius = np.hypot(rows - 32, columns - 32)
    volume[radius < 26] = random.normal(-100, 10, shape)[radius < 26]
    volume[radius < 22] = random.normal(45, 15, shape)[radius < 22]
    volume[radius < 9] = random.normal(-850, 30, shape)[radius < 9]
    volume[:, 44:48, 30:34] = 700
    if padding is not None:
        volume[radius > 31] = padding
    return volume


def image(array: np.ndarray) -> sitk.Image:
    return sitk.GetImageFromArray(array)


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.float32, np.float64])
@pytest.mark.parametrize("padding", [None, -1024, -2000, -2048, -3024, -32768])
def test_ct_is_shown_in_the_soft_tissue_window_whatever_its_padding(dtype, padding):
    assert choose(image(ct_phantom(padding).astype(dtype))) == PRESETS["abdomen"]


def test_ct_may_be_resampled_across_the_edge_of_its_padding():
    smooth = sitk.Cast(image(ct_phantom(-3024)), sitk.sitkFloat32)
    smooth = sitk.Resample(smooth, smooth, sitk.Euler3DTransform((31, 31, 5), 0.0, 0.0, 0.1))
    assert choose(smooth) == PRESETS["abdomen"]


def mr_like() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    shape = (12, 64, 64)
    magnitude = np.abs(random.normal(0, 30, shape))
    magnitude[:, 16:48, 16:48] = random.normal(500, 100, (12, 32, 32))
    return {
        "magnitude": magnitude.astype(np.uint16),
        "ringing below zero": (magnitude - 40).astype(np.int16),
        "normalised": ((magnitude - magnitude.mean()) / magnitude.std()).astype(np.float32),
        "phase": random.uniform(-4096, 4094, shape).astype(np.int16),
        "field map": random.normal(0, 700, shape).astype(np.float32),
        "CT without calibration": (ct_phantom() + 1024).astype(np.uint16),
        "constant of air": np.full(shape, -1000, np.int16),
    }


@pytest.mark.parametrize("name", mr_like())
def test_what_is_not_in_hounsfield_units_is_shown_by_percentiles(name):
    array = mr_like()[name]
    window = choose(image(array))
    assert window.name == "percentiles"
    assert (window.low, window.high) == pytest.approx(tuple(np.percentile(array, (1, 99))))


def test_a_dicom_modality_can_rule_ct_out_but_not_in():
    ct, mr = image(ct_phantom()), image(mr_like()["magnitude"])
    ct.SetMetaData(MODALITY, "PT ")
    mr.SetMetaData(MODALITY, "CT")
    assert choose(ct).name == "percentiles"
    assert choose(mr).name == "percentiles"
    ct.SetMetaData(MODALITY, "CT ")
    assert choose(ct).name == "abdomen"


def test_percentiles_ignore_a_few_extreme_voxels():
    array = np.linspace(0, 1000, 100_000).reshape(10, 100, 100)
    array[0, 0, :50] = 1e9
    window = choose(image(array))
    assert window.high == pytest.approx(990, abs=2)


def test_nearly_empty_images_fall_back_to_their_extremes():
    array = np.zeros((10, 100, 100), np.int16)
    array[5, 50, 50] = 7
    assert (choose(image(array)).low, choose(image(array)).high) == (0, 7)


def test_huge_volumes_are_sampled_evenly_and_the_same_each_time():
    columns = np.arange(256, dtype=np.uint8)
    array = np.broadcast_to(columns, (80, 256, 256)).copy()  # 5.2 million voxels
    window = choose(image(array))
    assert window == choose(image(array))
    assert (window.low, window.high) == pytest.approx((2.55, 252.45), abs=1.5)


@pytest.mark.parametrize(("dtype", "top"), [(np.uint8, 255), (np.uint16, 65535)])
def test_colour_pictures_keep_their_full_range(dtype, top):
    colour = sitk.GetImageFromArray(np.full((4, 5, 3), top // 2, dtype), isVector=True)
    window = choose(colour, "lung")
    assert (window.low, window.high) == (0, top)


def test_colour_of_other_types_is_scaled_by_percentiles_of_all_channels():
    values = np.random.default_rng(0).random((40, 50, 3)).astype(np.float32)
    window = choose(sitk.GetImageFromArray(values, isVector=True))
    assert (window.low, window.high) == pytest.approx(tuple(np.percentile(values, (1, 99))))


def test_windows_are_read_as_users_write_them():
    assert parse("auto") is None
    assert parse(" Lung ") == PRESETS["lung"]
    assert parse("40,400") == Window("40,400", 40, 400)
    assert parse("-600, 1.5e3") == Window("-600, 1.5e3", -600, 1500)
    assert choose(image(mr_like()["magnitude"]), "100,50").high == 125


@pytest.mark.parametrize(
    "text", ["", "lungs", "40", "40,", "40,0", "40,-1", "nan,4", "4,inf", "1,2,3", "a,b"]
)
def test_unknown_windows_are_refused_with_the_choices(text):
    with pytest.raises(InvalidRequest) as caught:
        choose(image(mr_like()["magnitude"]), text)
    assert "abdomen" in caught.value.fix
    assert "40,400" in caught.value.fix


def test_unknown_windows_are_refused_for_colour_too():
    with pytest.raises(InvalidRequest):
        choose(sitk.GetImageFromArray(np.zeros((4, 5, 3), np.uint8), isVector=True), "x")


@pytest.mark.parametrize("dtype", TYPES)
def test_constant_images_become_black_without_a_warning(dtype):
    array = np.full((3, 4, 5), 9, dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        grey = to_uint8(array, choose(image(array)))
    assert grey.dtype == np.uint8
    assert not grey.any()


def test_black_middle_and_white_are_where_the_window_says():
    values = np.array([-1e6, -160, 40, 240, 1e6])
    assert to_uint8(values, PRESETS["abdomen"]).tolist() == [0, 0, 128, 255, 255]


def test_eight_bit_at_full_range_is_unchanged():
    values = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(to_uint8(values, Window("8 bit", 127.5, 255)), values)


def elements(dtype: type) -> st.SearchStrategy:
    if np.dtype(dtype).kind == "f":
        return st.floats(-(2.0**99), 2.0**99, width=32)
    return arrays.from_dtype(np.dtype(dtype))


@given(
    st.sampled_from([*TYPES, np.float64]).flatmap(
        lambda dtype: arrays.arrays(dtype, (4, 5), elements=elements(dtype))
    ),
    st.floats(-1e6, 1e6),
    st.floats(0, 1e6),
)
def test_grey_values_rise_with_intensity_and_never_warn(array, level, width):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        grey = to_uint8(array, Window("any", level, width))
        to_uint8(array, choose(image(array)))
    order = np.argsort(array.ravel(), kind="stable")
    assert (np.diff(grey.ravel()[order].astype(int)) >= 0).all()


@given(st.floats(-2000, 2000), st.floats(0.5, 4000))
def test_a_window_knows_its_ends(level, width):
    window = Window.between("any", Window("x", level, width).low, Window("x", level, width).high)
    assert (window.level, window.width) == pytest.approx((level, width))


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("vol_totalseg_ct_mr/volumes/ct_3mm.nii.gz", "abdomen"),
        ("vol_totalseg_ct_mr/volumes/ct_3mm_small.nii.gz", "abdomen"),
        ("ct_headneck_openkbp/volumes/pt_109_ct.nii.gz", "abdomen"),
        ("dicom_ct3_dcmqi/dicom", "abdomen"),
        ("dicom_ct3_dcmqi/dicom/01.dcm", "abdomen"),
        ("vol_totalseg_ct_mr/volumes/mr_3mm_small.nii.gz", "percentiles"),
        ("vol_mr_brain_atlas/volumes/mni152_2009a_t1.nii.gz", "percentiles"),
        ("vol_mr_spinalcord_sct/volumes/t1w.nii.gz", "percentiles"),
        ("vol_mr_spinalcord_sct/volumes/t2s.nii.gz", "percentiles"),
        ("vol_mr_spinalcord_sct/volumes/pam50_t2.nii.gz", "percentiles"),
        ("vol_totalseg_ct_mr/volumes/ct_3mm_seg.nii.gz", "percentiles"),
    ],
)
def test_real_volumes_are_told_apart(data_dir, file, name):
    assert choose(read_image(data_dir / file)).name == name


def test_air_alone_is_no_ct():
    assert not is_hounsfield(np.full(100, -1000))
