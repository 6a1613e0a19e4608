"""Questions and replies as tokens."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForImageTextToText, AutoProcessor

from ibisagent.actions import Click, Reply, Terminate, parse
from ibisagent.prompts import load_profile
from ibistrain.batches.answers import Answers, Kind
from ibistrain.batches.gallery import Gallery
from ibistrain.batches.scripts import IGNORE, Scripts, ScriptWriter, Told, reply_text
from ibistrain.catalogue import Catalogue
from ibistrain.questions import ask
from ibistrain.tokenizer import X_LEAD, Y_LEAD, number_ids, token_id

GRID = (5, 6)
ROWS = (0, 0, 0, 2, 2, 3)
"""Pictures that are asked about; picture 1 is not."""
PICTURES = 4
SHARES = st.floats(0.001, 0.999)


@pytest.fixture(scope="module")
def processor(start: Path):
    return AutoProcessor.from_pretrained(start)


@pytest.fixture(scope="module")
def writer(start: Path, processor, gallery: Gallery, catalogue: Catalogue) -> ScriptWriter:
    return ScriptWriter(processor, load_profile(start), gallery.names, catalogue.synonyms)


def told(seed: int, rows: tuple[int, ...] = ROWS) -> Told:
    """Random answers, of all kinds in turn."""
    generator = torch.Generator().manual_seed(seed)
    count = len(rows)
    answers = Answers(
        kinds=(torch.arange(count) + seed) % len(Kind),
        clicks=0.001 + 0.998 * torch.rand(count, 2, generator=generator),
        facts=torch.rand(count, 3, generator=generator),
        worths=torch.zeros(0),
        looks=torch.zeros(0),
    )
    targets = torch.randint(0, 4, (count,), generator=generator)
    return Told(torch.tensor(rows), targets, answers)


def write(writer: ScriptWriter, given: Told, seed: int = 0, first: bool = True) -> Scripts:
    return writer.write(given, PICTURES, GRID, first, Random(seed), torch.device("cpu"))


def asked(
    given: Told, gallery: Gallery, catalogue: Catalogue, seed: int
) -> list[tuple[int, str, str]]:
    """Row, prompt and reply of each question, as the writer draws them."""
    rng = Random(seed)
    found = []
    for row, target, *answer in given.read():
        name = gallery.names[int(target)]
        prompt = ask(name, catalogue.synonyms, rng)
        found.append((int(row), prompt, reply_text(name, answer, rng)))
    return found


def blocks_of(scripts: Scripts) -> list[tuple[int, int]]:
    """(row, block) of each question, in order."""
    return [
        (row, block)
        for row in range(len(scripts.blocks))
        for block in range(1, int(scripts.blocks[row].max()) + 1)
    ]


@pytest.mark.parametrize("seed", range(6))
def test_tokens_are_those_of_the_whole_chat(
    writer, processor, start, gallery, catalogue, seed: int
) -> None:
    """Cutting texts into pieces, whose tokens are kept, changes nothing."""
    given, first, profile = told(seed), seed % 2 == 0, load_profile(start)
    scripts = write(writer, given, seed, first)
    questions = asked(given, gallery, catalogue, seed)
    for (row, block), question in zip(blocks_of(scripts), questions, strict=True):
        picture, prompt, reply = question
        assert picture == row
        messages = profile.messages([profile.turn_text(prompt, first)], [])
        chat = processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        image = processor.image_token
        text = chat.replace(image, image * (GRID[0] * GRID[1])) + reply
        expected = processor.tokenizer(text + processor.tokenizer.eos_token).input_ids
        mine = (scripts.blocks[row] == 0) | (scripts.blocks[row] == block)
        assert scripts.ids[row][mine].tolist() == expected


def test_only_replies_are_learnt(writer, processor, gallery, catalogue) -> None:
    given = told(1)
    scripts = write(writer, given)
    questions = asked(given, gallery, catalogue, 0)
    end = processor.tokenizer.eos_token
    for row in range(PICTURES):
        labels = scripts.labels[row]
        learnt = processor.tokenizer.decode(labels[labels != IGNORE])
        assert learnt == "".join(reply + end for picture, _, reply in questions if picture == row)
    some = scripts.labels != IGNORE
    assert torch.equal(scripts.labels[some], scripts.ids[some])


def test_positions_are_those_of_the_question_alone(writer, start) -> None:
    model = AutoModelForImageTextToText.from_pretrained(start)
    scripts = write(writer, told(2))
    for row, block in blocks_of(scripts):
        mine = (scripts.blocks[row] == 0) | (scripts.blocks[row] == block)
        ids = scripts.ids[row][mine][None]
        kinds = (ids == model.config.image_token_id).int()
        grid = torch.tensor([[1, *GRID]])
        expected, _ = model.model.get_rope_index(ids, kinds, image_grid_thw=grid)
        assert torch.equal(scripts.positions[:, row][:, mine], expected[:, 0])


def test_places_of_thoughts_and_coordinates(writer, processor, gallery, catalogue) -> None:
    given = told(3)
    scripts = write(writer, given)
    tokenizer = processor.tokenizer
    replies = [parse(reply).action for _, _, reply in asked(given, gallery, catalogue, 0)]

    def at(places: torch.Tensor, further: int = 0) -> list[int]:
        rows, columns = places.unbind(1)
        return scripts.ids[rows, columns + further].tolist()

    assert scripts.thinks[:, 0].tolist() == list(ROWS)
    assert set(at(scripts.thinks)) == {token_id(tokenizer, "<think>")}
    clicks = {number: one for number, one in enumerate(replies) if isinstance(one, Click)}
    assert scripts.clicking.tolist() == list(clicks)
    numbers = number_ids(tokenizer)
    for places, lead, axis in ((scripts.xs, X_LEAD, "x"), (scripts.ys, Y_LEAD, "y")):
        values = [round(10_000 * getattr(click, axis)) for click in clicks.values()]
        assert at(places) == [token_id(tokenizer, lead)] * len(clicks)
        assert at(places, 1) == [numbers[value // 100] for value in values]
        assert at(places, 2) == [numbers[value % 100] for value in values]
        assert places[:, 0].tolist() == [ROWS[number] for number in clicks]


def test_pictures_stand_in_the_prefix_and_nowhere_else(writer, processor) -> None:
    scripts = write(writer, told(0))
    first, last = scripts.image
    is_image = scripts.ids == processor.tokenizer.convert_tokens_to_ids(processor.image_token)
    assert is_image[:, first:last].all()
    assert int(is_image.sum()) == PICTURES * GRID[0] * GRID[1]
    assert not scripts.blocks[:, : last + 1].any()
    assert scripts.blocks[ROWS, last + 1].all()


def test_short_sequences_are_padded(writer, processor) -> None:
    scripts = write(writer, told(0))
    assert scripts.ids.shape[1] % 8 == 0
    padding = scripts.blocks == -1
    assert padding.any(1).sum() >= PICTURES - 1
    assert set(scripts.ids[padding].tolist()) == {processor.tokenizer.pad_token_id}
    assert set(scripts.labels[padding].tolist()) == {IGNORE}
    assert scripts.blocks[1].max() == 0  # no question, no block
    for blocks in scripts.blocks:
        written = blocks[blocks >= 0]
        assert (written.diff() >= 0).all()
        assert (blocks[len(written) :] == -1).all()


def test_no_questions_leave_the_prefix(writer) -> None:
    scripts = write(writer, told(0, rows=()))
    assert scripts.blocks.max() == 0
    assert (scripts.labels == IGNORE).all()
    assert scripts.thinks.shape == scripts.xs.shape == scripts.ys.shape == (0, 2)


def test_words_depend_on_the_random_numbers_only(writer) -> None:
    one, other = (write(writer, told(0), seed=5).ids for _ in range(2))
    assert torch.equal(one, other)
    drawn = {tuple(write(writer, told(0), seed=seed).ids[0].tolist()) for seed in range(6)}
    assert len(drawn) > 3


@settings(deadline=None)
@given(st.sampled_from(Kind), SHARES, SHARES, SHARES, SHARES, SHARES, st.integers(0, 99))
def test_replies_are_read_as_they_were_meant(
    kind: Kind, y: float, x: float, share: float, down: float, across: float, seed: int
) -> None:
    text = reply_text("left lung", (kind, y, x, share, down, across), Random(seed))
    reply = parse(text)
    assert isinstance(reply, Reply)
    assert "left lung" in reply.thought
    if not kind.clicks:
        assert reply.action == Terminate()
        assert reply.answer
        return
    assert reply.action.positive == (kind is not Kind.SPILLED)
    assert reply.action.x == pytest.approx(x, abs=5.1e-5)
    assert reply.action.y == pytest.approx(y, abs=5.1e-5)


def test_each_kind_has_words_of_its_own() -> None:
    said = {
        kind: {reply_text("disc", (kind, 0.5, 0.5, 0.1, 0.5, 0.5), Random(n)) for n in range(9)}
        for kind in Kind
    }
    every = [text for texts in said.values() for text in texts]
    assert len(every) == len(set(every)) >= len(Kind)


def test_places_and_sizes_are_told() -> None:
    small = reply_text("disc", (Kind.FIRST, 0.1, 0.9, 0.005, 0.1, 0.9), Random(0))
    large = reply_text("disc", (Kind.FIRST, 0.9, 0.1, 0.5, 0.9, 0.1), Random(0))
    assert "upper right" in small
    assert "small" in small
    assert "lower left" in large
    assert "large" in large
