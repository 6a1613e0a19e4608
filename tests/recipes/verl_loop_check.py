"""Run by a Python that has verl: one episode through the loop, with a scripted server."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pyarrow.parquet as pq
from omegaconf import OmegaConf
from transformers import AutoProcessor
from verl.experimental.agent_loop.agent_loop import DictConfigWrap
from verl.utils.dataset.rl_dataset import RLHFDataset
from verl.workers.rollout.replica import TokenOutput

RECIPE, CHECKPOINT, ROWS, REPLIES = sys.argv[1:5]
sys.path.insert(0, RECIPE)
import agent_loop  # noqa: E402

processor = AutoProcessor.from_pretrained(CHECKPOINT)
replies = json.loads(Path(REPLIES).read_text())
row = pq.read_table(ROWS).to_pylist()[0]


class Server:
    """Says what it is told to, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[list[int], int]] = []

    async def generate(self, prompt_ids, image_data, **_):
        reply = replies[len(self.asked)]
        self.asked.append((list(prompt_ids), len(image_data)))
        ids = processor.tokenizer(reply, add_special_tokens=False)["input_ids"]
        ids = [*ids, processor.tokenizer.eos_token_id]
        return TokenOutput(token_ids=ids, log_probs=[-0.5] * len(ids))


async def main() -> None:
    rollout = {"prompt_length": 2048, "response_length": 4096}
    config = OmegaConf.create({"actor_rollout_ref": {"rollout": rollout}})
    server = Server()
    loop = agent_loop.IbisAgentLoop(
        DictConfigWrap(config), server, processor.tokenizer, processor, RLHFDataset,
        DictConfigWrap(OmegaConf.create({})), "qwen2_5_vl",
    )  # fmt: skip
    found = await loop.run({}, **row)
    text = processor.tokenizer.decode
    written = [i for i, own in zip(found.response_ids, found.response_mask, strict=True) if own]
    print(
        json.dumps(
            {
                "pictures": [count for _, count in server.asked],
                "asked": [text(ids) for ids, _ in server.asked],
                "prompt": text(found.prompt_ids),
                "written": text(written),
                "whole": text(found.response_ids),
                "chances": len(found.response_logprobs) == len(found.response_ids),
                "score": found.reward_score,
                "figures": found.extra_fields["reward_extra_info"],
            }
        )
    )


asyncio.run(main())
