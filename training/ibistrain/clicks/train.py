"""One training run of the embedded tool."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import TrainingArguments
from transformers.trainer_utils import get_last_checkpoint

from ibisagent.errors import InvalidRequest, ModelNotFound
from ibisagent.tools.folded_encoder import folded
from ibisagent.tools.litemedsam_net import LiteMedSAMNet
from ibistrain.batches.gallery import Gallery
from ibistrain.batches.numbers import Numbers, number_of
from ibistrain.clicks.click_model import ClickModel
from ibistrain.clicks.click_trainer import ClickConfig, ClickTrainer
from ibistrain.clicks.kept_file import kept_settings, read_kept, write_kept
from ibistrain.clicks.regions import find_regions
from ibistrain.clicks.sources import Anew, Source, keep
from ibistrain.labelled_picture import LabelledPicture

WEIGHTS_FILE = "litemedsam_clicks.safetensors"
REGIONS_FILE = "regions.safetensors"
POSED_FOLDER = "posed"


def train_clicks(
    pictures: Sequence[LabelledPicture],
    weights: Mapping[str, float],
    out: Path,
    config: ClickConfig,
    start: Path | None = None,
) -> Path:
    """Train the tool; continues a run that was broken off.

    Args:
        pictures: The corpus.
        weights: Weight of each set.
        out: Run folder.
        config: Settings.
        start: Weights of an earlier run; those of LiteMedSAM if not given.

    Returns:
        The weights' file, float32.

    Raises:
        InvalidRequest: No picture shows a target; pictures are to be embedded once, and the
            weights to start from have a tuned encoder; or what the run has kept is damaged or of
            other pictures.
        ModelNotFound: The weights to start from are damaged or of another network.
    """
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.json").write_text(config.model_dump_json(indent=1), encoding="utf-8")
    arguments = _arguments(out, config)
    torch.manual_seed(config.seed)
    gallery = Gallery.of(pictures, weights, arguments.device)
    model = ClickModel(LiteMedSAMNet(str(arguments.device)))
    if start is not None:
        _begin(model, start)
    if config.posed and model.tuned:
        raise InvalidRequest(
            "These weights have tuned the image encoder, and --posed embeds by LiteMedSAM's own.",
            "Leave --posed out, or start from other weights.",
        )
    # Searching pictures takes long and needs LiteMedSAM as it is: refusals come before.
    untrained = LiteMedSAMNet(str(arguments.device))
    untrained.image_encoder = folded(untrained.image_encoder)
    source = _source(out, untrained, gallery, config)
    trainer = ClickTrainer(
        source,
        config,
        model=model,
        args=arguments,
        data_collator=number_of,
        train_dataset=Numbers(config.steps),
    )
    trainer.train(resume_from_checkpoint=get_last_checkpoint(str(out)))
    trained = {name: value.cpu().contiguous() for name, value in model.weights().items()}
    save_file(trained, out / WEIGHTS_FILE)
    return out / WEIGHTS_FILE


def _begin(model: ClickModel, start: Path) -> None:
    try:
        model.begin_with(load_file(start))
    except (OSError, SafetensorError, RuntimeError, KeyError) as error:
        raise ModelNotFound(
            f"The tool cannot start from '{start}': these are not its weights.",
            f"Name the {WEIGHTS_FILE} of an earlier run, or leave --start out.",
        ) from error


def _source(out: Path, net: LiteMedSAMNet, gallery: Gallery, config: ClickConfig) -> Source:
    if config.posed is None:
        return Anew(gallery, _regions(out / REGIONS_FILE, net, gallery, config))
    return keep(out / POSED_FOLDER, net, gallery, config.posed, config.boxes, config.seed)


def _regions(path: Path, net: LiteMedSAMNet, gallery: Gallery, config: ClickConfig) -> Tensor:
    """Unlabelled regions, kept for a run that is continued."""
    settings = kept_settings(config.boxes, config.seed)
    if path.is_file():
        return read_kept(path, ["regions"], gallery, settings)["regions"]
    generator = torch.Generator(gallery.device).manual_seed(config.seed)
    regions = find_regions(net, gallery, config.boxes, generator)
    write_kept(path, {"regions": regions}, gallery, settings)
    return regions


def _arguments(out: Path, config: ClickConfig) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(out),
        max_steps=config.steps,
        per_device_train_batch_size=1,  # a step's number, from which its batch is drawn
        learning_rate=config.learning_rate,
        max_grad_norm=1.0,
        logging_steps=10,
        logging_nan_inf_filter=False,  # it would wait for the device at every step
        save_steps=config.save_every,
        save_total_limit=2,
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=False,  # numbers, not tensors
        report_to=["tensorboard"],
        remove_unused_columns=False,
        seed=config.seed,
    )
