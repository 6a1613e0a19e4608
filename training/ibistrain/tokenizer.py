"""A small tokenizer for small models, with the chat tokens of Qwen2.5-VL.

A vocabulary of 150,000 entries would outweigh a model of a few million parameters a hundred
times. This one is learnt from the texts that the model will read and write. Coordinates are
written as usual, ``(0.4312, 0.5520)``, but cut into one coarse and one fine token of two digits
each, so that a position is a choice among 100 neighbours and not a spelling exercise.
"""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from ibisagent.errors import InvalidRequest

END_OF_TURN = "<|im_end|>"
PAD = "<|endoftext|>"
VISION_START, VISION_END = "<|vision_start|>", "<|vision_end|>"
IMAGE, VIDEO = "<|image_pad|>", "<|video_pad|>"
SPECIAL = (PAD, "<|im_start|>", END_OF_TURN, VISION_START, VISION_END, IMAGE, VIDEO)
TAGS = ("<think>", "</think>", "<action>", "</action>", "<answer>", "</answer>")
X_LEAD, Y_LEAD = "0.", ", 0."
NUMBERS = tuple(f"{value:02d}" for value in range(100))

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def train_tokenizer(texts: Iterable[str], vocabulary: int = 1024) -> PreTrainedTokenizerFast:
    """Learn a byte-level BPE tokenizer.

    Args:
        texts: What the model will read and write.
        vocabulary: Number of entries learnt, without the added tokens.
    """
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token=END_OF_TURN,
        pad_token=PAD,
        additional_special_tokens=list(SPECIAL),
        chat_template=CHAT_TEMPLATE,
        model_max_length=2048,
    )
    # Not special: a decoder that skips special tokens must keep the tags and the digits.
    added = (*TAGS, X_LEAD, Y_LEAD, *NUMBERS)
    tokenizer.add_tokens([AddedToken(text, normalized=False, special=False) for text in added])
    # The processor of Qwen2.5-VL asks its tokenizer for these.
    tokenizer.image_token, tokenizer.video_token = IMAGE, VIDEO
    return tokenizer


def number_ids(tokenizer: PreTrainedTokenizerFast) -> list[int]:
    """Token ids of ``00`` to ``99``, in order."""
    return [token_id(tokenizer, number) for number in NUMBERS]


def token_id(tokenizer: PreTrainedTokenizerFast, token: str) -> int:
    """Id of one token.

    Raises:
        InvalidRequest: The tokenizer does not know it.
    """
    found = tokenizer.convert_tokens_to_ids(token)
    if not isinstance(found, int) or found == tokenizer.unk_token_id:
        raise InvalidRequest(
            f"The checkpoint's tokenizer has no token {token!r}.",
            "Start from a checkpoint of `ibistrain init`, or use `ibistrain sft` for this one.",
        )
    return found
