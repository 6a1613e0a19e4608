"""The MONAI Label app: the agent of `ibisagent` behind the protocol of MONAI Label.

MONAI Label loads this file and takes the one class below. Everything else is in the package
``ibisagent_app`` beside it, which is importable only while this file is loaded.
"""

from __future__ import annotations

from typing import Any

from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.infer_v2 import InferTask

from ibisagent import __version__
from ibisagent.errors import IBISAgentError
from ibisagent_app.configuration import describe, load_profile_of, read_configuration
from ibisagent_app.errors import named_http_errors
from ibisagent_app.front_routes import stand_in_front
from ibisagent_app.images import find_image, save_mask
from ibisagent_app.segmentation_task import SegmentationTask
from ibisagent_app.shared_agent import SharedAgent
from ibisagent_app.start_refusal import refuse_to_start

MODEL = "ibisagent"


class IBISAgentApp(MONAILabelApp):
    """A server whose one model is an agent that thinks aloud and clicks.

    Args:
        app_dir: Folder of this file.
        studies: Folder of images, or the address of a DICOMweb server.
        conf: Keys of `ibisagent_app.configuration.Configuration`, from ``--conf KEY VALUE``.
    """

    def __init__(self, app_dir: str, studies: str, conf: dict[str, str]) -> None:
        try:
            self._configuration = read_configuration(conf)
            self._profile = load_profile_of(self._configuration)
        except IBISAgentError as error:
            refuse_to_start(error)
        description = describe(self._configuration, self._profile)
        super().__init__(app_dir, studies, conf, "IBISAgent", description, __version__)
        stand_in_front()

    def init_infers(self) -> dict[str, InferTask]:
        """The models of this server by name."""
        description = describe(self._configuration, self._profile)
        agent = SharedAgent(self._configuration)
        task = SegmentationTask(agent, self._profile, self._configuration.max_steps, description)
        return {MODEL: task}

    def infer(self, request: dict[str, Any], datastore: Datastore | None = None) -> dict[str, Any]:
        """Run a model on an image of the datastore, or on one that was just uploaded.

        MONAI Label would take ``image`` for a path wherever such a file exists: any file of the
        server, or a folder of the working directory that happens to bear a study's name. Here
        identifiers go first, and of paths only uploads are taken.

        Raises:
            HTTPException: With `ibisagent_app.errors.detail_of` the failure as detail.
        """
        store = datastore or self.datastore()
        with named_http_errors():
            image = find_image(str(request.get("image", "")), store, self.sessions())
            found = {**request, "image": str(image.path), "image_id": image.name}
            result: dict[str, Any] = super().infer(found, store)
            if image.in_datastore and request.get("save_label"):
                save_mask(result, request, store)
            return result
