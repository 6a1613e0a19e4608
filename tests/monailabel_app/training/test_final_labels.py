from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from monailabel.datastore.dicom import DICOMWebDatastore
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from training_studies import accept, accepted, disc_info, store_of, write_label, write_picture_study

from ibisagent.errors import UnreadableImage, UnsupportedImage
from ibisagent_app.training.final_labels import (
    final_images,
    final_studies,
    final_studies_that_fit,
    subject_of_image,
)
from ibisagent_app.training.refusals import LabelMisfit, UnnamedLabel


def test_accepted_studies_of_a_local_datastore(tmp_path):
    store = accepted(tmp_path / "studies", tmp_path, count=2, more=1)

    studies = list(final_studies(store))

    assert final_images(store) == ["study0", "study1"]
    assert [study.name for study in studies] == ["study0", "study1"]
    assert studies[0].names == {1: "disc"}
    assert studies[0].marked == {"disc"}
    assert studies[0].image.name == "study0.png"
    assert studies[0].subject == "study0"


def test_labels_under_another_tag_are_not_accepted_ones(tmp_path):
    store = accepted(tmp_path / "studies", tmp_path, count=0, more=1)
    label = write_label(tmp_path / "label.png", np.ones((56, 56), np.uint8))
    store.save_label("study0", str(label), "original", disc_info())

    assert final_images(store) == []


def test_a_patient_known_to_the_datastore_is_the_subject(tmp_path):
    store = accepted(tmp_path / "studies", tmp_path, count=1)

    store.update_image_info("study0", {"PatientID": "ann"})
    assert subject_of_image(store, "study0") == "ann"
    store.update_image_info("study0", {"PatientID": "UNK"})
    assert subject_of_image(store, "study0") == "study0"


def test_a_label_dropped_into_the_folder_has_no_name(tmp_path):
    folder = tmp_path / "studies"
    (folder / "labels" / "final").mkdir(parents=True)
    _, disc = write_picture_study(folder, "study0", 0)
    write_label(folder / "labels" / "final" / "study0.png", disc)

    with pytest.raises(UnnamedLabel, match="study0"):
        list(final_studies(store_of(folder)))


def test_a_label_of_another_size_is_refused(tmp_path):
    store = accepted(tmp_path / "studies", tmp_path, count=0, more=1)
    accept(store, tmp_path, "study0", np.ones((10, 12), np.uint8), disc_info())

    with pytest.raises(LabelMisfit, match=r"\(12, 10\)"):
        list(final_studies(store))


def test_values_that_are_no_label_numbers_are_refused(tmp_path):
    store = accepted(tmp_path / "studies", tmp_path, count=0, more=1)
    label = write_label(tmp_path / "half.nrrd", np.full((56, 56), 0.5, np.float32))
    store.save_label("study0", str(label), "final", disc_info())

    with pytest.raises(UnnamedLabel, match="no label numbers"):
        list(final_studies(store))


def test_a_damaged_label_is_named(tmp_path):
    store = accepted(tmp_path / "studies", tmp_path, count=1)
    (tmp_path / "studies" / "labels" / "final" / "study0.png").write_bytes(b"nothing")

    with pytest.raises(UnreadableImage):
        list(final_studies(store))


def test_a_label_that_was_changed_is_read_again(tmp_path):
    store = accepted(tmp_path / "studies", tmp_path, count=1)
    (study,) = final_studies(store)
    assert study.marked == {"disc"}

    accept(store, tmp_path, "study0", np.zeros((56, 56), np.uint8), disc_info())
    (study,) = final_studies(store)
    assert study.marked == frozenset()


def seg_nrrd(path, array, is_vector=False):
    image = sitk.GetImageFromArray(array, isVector=is_vector)
    image.SetMetaData("Segment0_Name", "Left Kidney")
    image.SetMetaData("Segment0_LabelValue", "1")
    sitk.WriteImage(image, str(path))
    return path


def test_segments_of_a_seg_nrrd_name_themselves(tmp_path):
    store = accepted(tmp_path / "studies", tmp_path, count=0, more=1)
    array = np.ones((56, 56), np.uint8)
    label = seg_nrrd(tmp_path / "label.seg.nrrd", array)
    store.save_label("study0", str(label), "final", {})

    (study,) = final_studies(store)

    assert study.names == {1: "left kidney"}


def test_overlapping_segments_are_refused(tmp_path):
    store = accepted(tmp_path / "studies", tmp_path, count=0, more=1)
    label = seg_nrrd(tmp_path / "label.seg.nrrd", np.ones((56, 56, 2), np.uint8), is_vector=True)
    store.save_label("study0", str(label), "final", {})

    with pytest.raises(UnsupportedImage):
        list(final_studies(store))


def test_scores_leave_out_what_is_wrong(tmp_path):
    store = accepted(tmp_path / "studies", tmp_path, count=1, more=1)
    accept(store, tmp_path, "study1", np.ones((56, 56), np.uint8), {})

    assert [study.name for study in final_studies_that_fit(store)] == ["study0"]


class FetchedDicom(DICOMWebDatastore):
    """The real DICOMweb datastore over what it has fetched already, without a server."""

    def __init__(self, folder):
        super(DICOMWebDatastore, self).__init__(str(folder), extensions=("*.nii.gz",))
        self.fetched = False

    def name(self):
        return "fetched"

    def datalist(self, full_path=True):
        self.fetched = True
        return []

    def get_image_uri(self, image_id):
        return str((self.folder / f"{image_id}.nii.gz").resolve())

    def get_label_uri(self, label_id, label_tag, image_id=""):
        assert (label_id, label_tag) == (SEG_SERIES, "final")
        return str(self.folder / "labels" / "final" / f"{image_id}.nii.gz")


SEG_SERIES = "1.2.3.9"


def write_dicom_seg(path, names):
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.66.4"
    data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    data.SegmentSequence = []
    for number, name in enumerate(names, start=1):
        segment = Dataset()
        segment.SegmentNumber, segment.SegmentLabel = number, name
        data.SegmentSequence.append(segment)
    path.parent.mkdir(parents=True)
    data.save_as(path, write_like_original=False)


def test_labels_of_a_dicomweb_server(tmp_path):
    name = "1.2.840.1"
    array = np.zeros((4, 8, 8), np.uint8)
    write_label(tmp_path / f"{name}.nii.gz", array)
    store = FetchedDicom(tmp_path)
    store.folder = tmp_path
    array[1, 2:5, 2:5] = 1
    label = write_label(tmp_path / "submitted.nii.gz", array)
    info = {"SeriesInstanceUID": SEG_SERIES, "PatientID": "ann"}
    super(DICOMWebDatastore, store).save_label(name, str(label), "final", info)
    store.update_image_info(name, {"PatientID": "ann"})
    write_dicom_seg(tmp_path / "labels" / "final" / SEG_SERIES / "seg.dcm", ["Spleen"])

    (study,) = final_studies(store)

    assert store.fetched
    assert (study.name, study.subject, study.names) == (name, "ann", {1: "spleen"})
