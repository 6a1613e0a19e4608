"""A volume to try the module with, in Slicer's Sample Data module."""

from __future__ import annotations

from pathlib import Path

_SHA256 = "e16eae0ae6fefa858c5c11e58f0f1bb81834d81b7102e021571056324ef6f37e"

CT = {
    "category": "IBISAgent",
    "sampleName": "IBISAgentCTLiver",
    "uris": f"https://github.com/Slicer/SlicerTestingData/releases/download/SHA256/{_SHA256}",
    "fileNames": "CTLiver.nrrd",
    "checksums": f"SHA256:{_SHA256}",
    "nodeNames": "CTLiver",
}
"""Abdominal CT that Slicer offers too; Medical Segmentation Decathlon, CC BY-SA 4.0."""


def register(resources: Path) -> None:
    """Offer the sample; it is fetched only when the user asks for it.

    Args:
        resources: The module's folder of resources.
    """
    import SampleData

    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        **CT, thumbnailFileName=str(resources / "Icons" / "IBISAgent.png")
    )
