from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from ibisagent.errors import DetachedData, IBISAgentError, UnreadableImage
from ibisagent_app.label_file import check_label_file


@pytest.mark.parametrize("name", ["l.nii.gz", "l.nii", "l.nrrd", "l.mha", "l.seg.nrrd"])
@pytest.mark.parametrize("channels", [1, 3])
def test_labels_as_clients_write_them(tmp_path: Path, name: str, channels: int) -> None:
    label = sitk.GetImageFromArray(np.ones((4, 5, 6, channels), np.uint8), isVector=channels > 1)
    sitk.WriteImage(label, str(tmp_path / name), True)
    check_label_file(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("l.nrrd", "NRRD0004\ntype: uchar\ndimension: 1\nsizes: 3\ndata file: /x\n", DetachedData),
        ("l.mha", "ObjectType = Image\nElementDataFile = /etc/passwd\n", DetachedData),
        ("l.nii.gz", "nonsense", UnreadableImage),
        ("l.png", "", UnreadableImage),
        (
            "l.nrrd",
            "NRRD0004\ntype: uchar\ndimension: 3\nsizes: 9000 9000 9000\nencoding: raw\n\n",
            UnreadableImage,
        ),
    ],
)
def test_what_is_no_label(
    tmp_path: Path, name: str, content: str, kind: type[IBISAgentError]
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(kind) as caught:
        check_label_file(tmp_path / name)
    assert caught.value.fix
