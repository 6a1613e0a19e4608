"""What people of this server label, told from what is kept with their labels."""

from __future__ import annotations

from collections import Counter

from monailabel.interfaces.datastore import Datastore

from ibisagent_app.training.final_labels import FINAL, final_images
from ibisagent_app.training.label_names import stated_names


def accepted_names(datastore: Datastore) -> list[str]:
    """Names in accepted labels, the most frequent first; reads no image."""
    names: Counter[str] = Counter()
    for image in final_images(datastore):
        label = datastore.get_label_by_image_id(image, FINAL)
        names.update(stated_names(datastore.get_label_info(label, FINAL)))
    return [name for name, _ in names.most_common()]
