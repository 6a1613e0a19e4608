"""The published inference loop, stated again from its description and without our library.

One image, one request, greedy replies, all clicks so far and the previous mask to the tool, the
mask as overlay back to the model, until it terminates, repeats an action three times in a row or
has had 20 turns. Grammar, overlay, prompts and stop rules are written out here on purpose: a test
compares them with ours.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import torch
from PIL import Image

from ibisagent.actions import Click
from ibisagent.tools.base import RGB, Mask, SegmentationTool

TURNS, SAME, TOKENS = 20, 3, 512
GREEN, ALPHA = np.array([34.0, 139.0, 34.0]), 0.4
_ACTION = re.compile(r"<action>\s*(Positive|Negative) Point \(([\d.]+), ([\d.]+)\)\s*</action>")


def reference_loop(
    model: Any,
    processor: Any,
    image: RGB,
    prompt: str,
    texts: tuple[str, str, str],
    tool: SegmentationTool,
) -> tuple[list[str], Mask]:
    """Replies and final mask.

    Args:
        model: From transformers.
        processor: Likewise.
        image: Axes (row, column, channel).
        prompt: What to segment.
        texts: System, first and refinement text, the latter two with ``{prompt}``.
        tool: Makes a mask of clicks.
    """
    prepared = tool.set_image(image)
    clicks: list[Click] = []
    actions: list[str] = []
    replies: list[str] = []
    state = None
    for _ in range(TURNS):
        system, first, refine = texts
        shown = image
        if state is not None:
            blend = image * (1 - ALPHA) + GREEN * ALPHA
            shown = np.where(state.mask[..., None], blend.round(), image).astype(np.uint8)
        question = (first if state is None else refine).replace("{prompt}", prompt)
        reply = ask(model, processor, shown, system, question)
        replies.append(reply)
        found = _ACTION.search(reply)
        if found is None:  # Terminate, in what these tests play
            break
        actions.append(found[0])
        if len(actions) >= SAME and len(set(actions[-SAME:])) == 1:
            break
        clicks.append(Click(float(found[2]), float(found[3]), found[1] == "Positive"))
        state = prepared.segment(clicks, state)
    return replies, np.zeros(image.shape[:2], bool) if state is None else state.mask


def ask(
    model: Any, processor: Any, shown: RGB, system: str, question: str, tokens: int = TOKENS
) -> str:
    """One greedy reply."""
    picture = Image.fromarray(shown)
    chat = [
        {"role": "system", "content": system},
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": question}]},
    ]
    text = processor.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    inputs = processor(text=[text], images=[picture], return_tensors="pt").to(model.device)
    with torch.no_grad():
        output = model.generate(**inputs, do_sample=False, max_new_tokens=tokens)
    new = output[:, inputs["input_ids"].shape[1] :]
    return str(processor.batch_decode(new, skip_special_tokens=True)[0])
