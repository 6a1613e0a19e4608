"""The images of MONAI Label's datastore, as runs ask for them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from monailabel.interfaces.datastore import Datastore

from ibisagent_app.errors import UnknownLabel
from ibisagent_app.identifiers import check_identifier
from ibisagent_app.images import find_image


class DatastoreStudies:
    """See `ibisagent.runs.registry.Studies`.

    Args:
        store: Gives the datastore, which the app makes at its start.
    """

    def __init__(self, store: Callable[[], Datastore]) -> None:
        self._store = store

    def image(self, name: str) -> Path:
        """File of an image.

        Raises:
            InvalidIdentifier: The name could reach outside its folder.
            UnknownImage: There is none.
        """
        check_identifier("image", name)
        return find_image(name, self._store(), None).path

    def label(self, name: str, tag: str) -> Path:
        """File of an image's label.

        Raises:
            InvalidIdentifier: A name could reach outside its folder.
            UnknownLabel: There is none.
        """
        check_identifier("start_label", tag)
        store = self._store()
        label = store.get_label_by_image_id(name, tag)
        path = Path(store.get_label_uri(label, tag)) if label else None
        if path is None or not path.is_file():
            raise UnknownLabel(
                f"The image {name[:40]!r} has no label of the tag {tag[:40]!r}.",
                "GET /datastore/?output=all lists the labels of each image.",
            )
        return path
