"""What the user has set, as a typed parameter node that is saved with the scene."""

from __future__ import annotations

import enum
import typing

import slicer
from slicer.i18n import tr as _
from slicer.parameterNodeWrapper import Minimum, WithinRange, parameterNodeWrapper

MODULE_NAME = "IBISAgent"
MAX_STEPS = 50


class Scope(enum.Enum):
    """How much of the volume is segmented; values are the server's words."""

    SLICE = "slice"
    RANGE = "range"
    VOLUME = "volume"

    def label(self) -> str:
        """What the panel shows."""
        return {
            Scope.SLICE: _("This slice"),
            Scope.RANGE: _("Slice range"),
            Scope.VOLUME: _("Whole volume"),
        }[self]


class Plane(enum.Enum):
    """In which plane the agent looks; values are the server's words."""

    AXIAL = "axial"
    CORONAL = "coronal"
    SAGITTAL = "sagittal"

    def label(self) -> str:
        """What the panel shows."""
        return {
            Plane.AXIAL: _("Axial"),
            Plane.CORONAL: _("Coronal"),
            Plane.SAGITTAL: _("Sagittal"),
        }[self]


@parameterNodeWrapper
class Parameters:
    """The module's parameters; each is one of the panel's fields, or names a node of the run.

    Attributes:
        inputVolume: What is segmented.
        prompt: What is looked for, in words.
        firstSlice: Of a range, counted from 0.
        lastSlice: Of a range, included.
        segmentation: Where an accepted mask goes; None: a new one.
        segmentId: Segment that an accepted mask goes into; empty: a new one.
        startFromSegment: A run starts from the mask that this segment holds.
        followAgent: The slice view goes to where the agent works.
        agentGoesOn: After a person's click, the agent goes on.
        maxSteps: A slice's.
        seed: 0 for the agent's likeliest words; another number for another attempt.
        server: Address of the server that the run is on.
        run: Identifier of the run there.
        browser: The run's timeline.
        record: The run's events, as text.
    """

    inputVolume: slicer.vtkMRMLScalarVolumeNode
    prompt: str
    scope: Scope
    plane: Plane
    firstSlice: typing.Annotated[int, Minimum(0)]
    lastSlice: typing.Annotated[int, Minimum(0)]
    segmentation: slicer.vtkMRMLSegmentationNode
    segmentId: str
    startFromSegment: bool
    followAgent: bool = True
    agentGoesOn: bool = True
    maxSteps: typing.Annotated[int, WithinRange(1, MAX_STEPS)] = 10
    seed: typing.Annotated[int, WithinRange(0, 2**31 - 1)] = 0
    server: str
    run: str
    runVolume: slicer.vtkMRMLScalarVolumeNode
    browser: slicer.vtkMRMLSequenceBrowserNode
    record: slicer.vtkMRMLTextNode


def parameter_node() -> slicer.vtkMRMLScriptedModuleNode:
    """The module's parameter node, made where the scene has none."""
    scene = slicer.mrmlScene
    node = scene.GetSingletonNode(MODULE_NAME, "vtkMRMLScriptedModuleNode")
    if node is None:
        node = scene.CreateNodeByClass("vtkMRMLScriptedModuleNode")
        node.UnRegister(None)
        node.SetSingletonTag(MODULE_NAME)
        node.SetName(slicer.mrmlScene.GenerateUniqueName(MODULE_NAME))
        node = scene.AddNode(node)
    node.SetAttribute("ModuleName", MODULE_NAME)  # closing a scene may have removed it
    return node
