"""verl's agent loop for our episodes: the policy writes, the real episode acts, and so on."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from io import BytesIO
from typing import Any
from uuid import uuid4

import numpy as np
from PIL import Image
from reward import episode_return  # type: ignore[import-not-found]  # verl runs in this folder
from verl.experimental.agent_loop.agent_loop import (  # type: ignore[import-not-found]
    AgentLoopBase,
    AgentLoopOutput,
)
from verl.utils.profiler import simple_timer  # type: ignore[import-not-found]

from ibisagent.episode import Episode, Limits
from ibisagent.policies.base import Observation
from ibisagent.prompts import load_profile
from ibisagent.rle import Rle
from ibisagent.tools import load_tool
from ibisagent.tools.base import Segmentation, SegmentationTool


@cache
def shared_tool(spec: str, device: str) -> SegmentationTool:
    """One tool a worker, so that all episodes share its cache of embeddings."""
    return load_tool(spec, device)


@dataclass
class Talk:
    """A conversation so far.

    Attributes:
        messages: As chat, with pictures inside.
        pictures: One a user turn.
        ids: All tokens.
        mask: Of the tokens behind the first question: 1 where the policy wrote, else 0.
        chances: Log-probabilities of the same tokens, if the server tells them.
    """

    messages: list[dict[str, Any]]
    pictures: list[Image.Image]
    ids: list[int]
    mask: list[int] = field(default_factory=list)
    chances: list[float] = field(default_factory=list)
    metrics: dict[str, Any] = field(default_factory=lambda: {"num_preempted": -1})
    request: str = field(default_factory=lambda: uuid4().hex)


class IbisAgentLoop(AgentLoopBase):  # type: ignore[misc]
    """Plays one episode as one conversation.

    Args:
        *args: As verl gives them.
        tool: Segmentation tool, as for `ibisagent.tools.load_tool`.
        device: Of the tool.
        prompts: Prompt profile by name or file; its history is switched on.
        max_turns: Actions of the policy.
        **kwargs: As verl gives them.
    """

    def __init__(
        self,
        *args: Any,
        tool: str = "embedded",
        device: str = "auto",
        prompts: str = "default",
        max_turns: int = 8,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._tool = shared_tool(tool, device)
        self._profile = load_profile(prompts).model_copy(update={"history": True})
        self._limits = Limits(max_steps=max_turns)
        self._most = self.rollout_config.response_length

    async def run(self, sampling_params: dict[str, Any], **kwargs: Any) -> AgentLoopOutput:
        """Play the row's episode to its end.

        Args:
            sampling_params: Of the replies.
            **kwargs: The row's fields; see `make_data.row`.
        """
        info = kwargs["extra_info"]
        episode = self._begin(info)
        seen = episode.observe()
        messages, pictures = _chat(seen), [Image.fromarray(seen.pictures[-1])]
        talk = Talk(
            messages, pictures, await self.ct_build_initial_tokens(messages, images=pictures)
        )
        while len(talk.mask) < self._most:
            raw = await self._reply(talk, sampling_params)
            with simple_timer("tool_calls", talk.metrics):
                await self.loop.run_in_executor(None, episode.apply, raw)
            if episode.stop is not None or not await self._show(talk, raw, episode.observe()):
                break
        episode.cancel()  # a conversation that grew too long ends where it stands
        score, figures = episode_return(episode, Rle.model_validate_json(info["truth"]).decode())
        cut = len(talk.ids) - len(talk.mask)
        return AgentLoopOutput(
            prompt_ids=talk.ids[:cut],
            response_ids=talk.ids[cut:][: self._most],
            response_mask=talk.mask[: self._most],
            response_logprobs=talk.chances[: self._most] if talk.chances else None,
            multi_modal_data={"images": talk.pictures},
            reward_score=score,
            num_turns=2 * len(episode.steps),
            metrics=talk.metrics,
            extra_fields={"reward_extra_info": figures, "turn_scores": [], "tool_rewards": []},
        )

    async def _reply(self, talk: Talk, sampling_params: dict[str, Any]) -> str:
        """Let the policy write; its tokens are those that are learnt from."""
        with simple_timer("generate_sequences", talk.metrics):
            reply = await self.server_manager.generate(
                request_id=talk.request,
                prompt_ids=talk.ids,
                sampling_params=sampling_params,
                image_data=talk.pictures,
            )
        known = talk.chances if talk.chances or reply.log_probs else None
        merged, talk.mask, chances = await self.ct_merge_assistant_token(
            talk.ids, reply.token_ids, talk.mask, known, assistant_logprobs=reply.log_probs or None
        )
        talk.ids, talk.chances = merged.token_ids, chances or []
        raw: str = self.tokenizer.decode(reply.token_ids, skip_special_tokens=True)
        return raw

    async def _show(self, talk: Talk, raw: str, seen: Observation) -> bool:
        """Show the picture after the action; False if the conversation would grow too long."""
        before = [*talk.messages, {"role": "assistant", "content": raw}]
        messages = [*before, _chat(seen)[-1]]
        merged, mask, chances = await self.ct_merge_context_msg(
            before, messages, talk.ids, talk.mask, talk.chances or None
        )
        if len(mask) >= self._most:
            return False
        talk.ids, talk.mask, talk.chances = merged.token_ids, mask, chances or []
        talk.messages = messages
        talk.pictures.append(Image.fromarray(seen.pictures[-1]))
        return True

    def _begin(self, info: dict[str, Any]) -> Episode:
        rgb = np.asarray(Image.open(BytesIO(info["picture"])).convert("RGB"))
        mask = Rle.model_validate_json(info["start"]).decode()
        start = Segmentation(mask, 0.0) if mask.any() else None
        return Episode(rgb, info["request"], self._tool, self._profile, self._limits, start)


def _chat(seen: Observation) -> list[dict[str, Any]]:
    """Messages with their pictures inside, as verl's token builder takes them."""
    pictures = iter(seen.pictures)
    return [
        {
            **message,
            "content": [
                {"type": "image", "image": Image.fromarray(next(pictures))}
                if part["type"] == "image"
                else part
                for part in message["content"]
            ],
        }
        for message in seen.messages
    ]
