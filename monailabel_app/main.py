"""The MONAI Label app: the agent of `ibisagent` behind the protocol of MONAI Label.

MONAI Label loads this file and takes the one class below. Everything else is in the package
``ibisagent_app`` beside it, which is importable only while this file is loaded.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi.routing import APIRoute
from monailabel.config import settings
from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.infer_v2 import InferTask
from monailabel.interfaces.tasks.scoring import ScoringMethod
from monailabel.interfaces.tasks.strategy import Strategy
from monailabel.interfaces.tasks.train import TrainTask

from ibisagent import __version__
from ibisagent.errors import IBISAgentError
from ibisagent_app.configuration import describe, load_profile_of, read_configuration
from ibisagent_app.dicom_studies import prepare_dicom
from ibisagent_app.errors import named_http_errors
from ibisagent_app.front_routes import is_server, stand_in_front
from ibisagent_app.images import find_image, save_mask
from ibisagent_app.runs.datastore_studies import DatastoreStudies
from ibisagent_app.runs.image_routes import image_routes
from ibisagent_app.runs.info import info_routes
from ibisagent_app.runs.routes import run_routes
from ibisagent_app.runs.service import RunService, runs_folder
from ibisagent_app.segmentation_task import MODEL, SegmentationTask
from ibisagent_app.session_sweep import sweep
from ibisagent_app.shared_agent import SharedAgent
from ibisagent_app.start_refusal import refuse_to_start
from ibisagent_app.training.desk import TrainingDesk
from ibisagent_app.training.options import STAGES
from ibisagent_app.training.routes import training_routes
from ibisagent_app.training.scoring import SCORES, DiceScoring
from ibisagent_app.training.strategy import UNCERTAINTY, UncertaintyStrategy
from ibisagent_app.training.trainer_task import TrainerTask
from ibisagent_app.visitors import parse_origins
from ibisagent_app.whole_files import WholeFiles


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
        self.training = TrainingDesk(Path(app_dir), self._configuration)
        models = self.training.workplace.model
        self._agent = SharedAgent(self._configuration, models, self.training.turns.inference)
        super().__init__(app_dir, studies, conf, "IBISAgent", description, __version__)
        # MONAI Label would score at its start and at each next study, in a process that competes
        # with whoever works. Here scoring plays episodes, and is done when it is asked for.
        self._auto_update_scoring = False
        own = self._own_routes(app_dir, studies) if is_server() else ()
        stand_in_front(parse_origins(self._configuration.cors_origins), own)

    def init_datastore(self) -> Datastore:
        """The studies: a folder whose files are whole at any moment, or a DICOMweb server."""
        if self.studies.startswith(("http://", "https://")):
            prepare_dicom()
            return super().init_datastore()
        return WholeFiles(
            self.studies,
            extensions=settings.MONAI_LABEL_DATASTORE_FILE_EXT,
            auto_reload=settings.MONAI_LABEL_DATASTORE_AUTO_RELOAD,
            read_only=settings.MONAI_LABEL_DATASTORE_READ_ONLY,
        )

    def _download_dcmqi_tools(self) -> None:
        """Nothing is fetched from the internet; see `ibisagent_app.dicom_studies`."""

    def cleanup_sessions(self) -> None:
        """Called by MONAI Label at the start and every five minutes."""
        if self.sessions() is not None:
            sweep(self.sessions())

    def init_infers(self) -> dict[str, InferTask]:
        """The models of this server by name."""
        description = describe(self._configuration, self._profile)
        agent, most = self._agent, self._configuration.max_steps
        self._task = SegmentationTask(agent, agent.profile, most, description)
        return {MODEL: self._task}

    def init_trainers(self) -> dict[str, TrainTask]:
        """What learns from accepted studies, by name."""
        return {name: TrainerTask(self.training, name) for name in STAGES}

    def init_strategies(self) -> dict[str, Strategy]:
        """What chooses the next study, by name."""
        return {UNCERTAINTY: UncertaintyStrategy(self._agent), **super().init_strategies()}

    def init_scoring_methods(self) -> dict[str, ScoringMethod]:
        """What judges the model in use by accepted labels, by name."""
        return {SCORES: DiceScoring(self._agent, self.training.workplace)}

    def _own_routes(self, app_dir: str, studies: str) -> list[APIRoute]:
        """Addresses that MONAI Label does not have, and what stands behind them."""
        folder = runs_folder(self._configuration, app_dir, studies)
        try:
            service = RunService(
                folder, DatastoreStudies(self.datastore), self._agent, self._configuration
            )
        except IBISAgentError as error:
            refuse_to_start(error)
        service.look_after()
        self._task.runs = service.runs
        prefix = settings.MONAI_LABEL_API_STR
        return [
            *info_routes(prefix, service),
            *image_routes(prefix, service, self.datastore),
            *run_routes(prefix, service, self.datastore),
            *training_routes(prefix),
        ]

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
