"""A policy behind a real HTTP server, well-behaved and otherwise."""

from __future__ import annotations

import base64
import io
import logging
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from harness.chat_server import (
    Behaviour,
    ChatServer,
    chat_server,
    drop,
    echo_text,
    say,
    send,
    send_json,
    stall,
)
from harness.fake_tool import DiscTool
from harness.list_policy import TERMINATE, click
from PIL import Image

from ibisagent.episode import Episode, StopReason, run
from ibisagent.errors import (
    IBISAgentError,
    InvalidRequest,
    ModelNotFound,
    PolicyFailed,
    PolicyUnavailable,
)
from ibisagent.policies import endpoint_client as client
from ibisagent.policies import load_policy
from ibisagent.policies.base import Observation
from ibisagent.policies.endpoint import API_KEY, EndpointPolicy
from ibisagent.prompts import load_profile

PROFILE = load_profile()
TOKEN = "sk-very-secret"


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with chat_server() as running:
        yield running


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "BACK_OFF", 0.01)
    monkeypatch.delenv(API_KEY, raising=False)


def policy(server: ChatServer, **settings: float) -> EndpointPolicy:
    return EndpointPolicy(f"{server.url}#ibis", **settings)  # type: ignore[arg-type]


def episode(prompt: str = "kidney", height: int = 60, width: int = 80) -> Episode:
    picture = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Episode(picture, prompt, DiscTool(), PROFILE)


def seen(prompt: str = "kidney", height: int = 60, width: int = 80) -> Observation:
    return episode(prompt, height, width).observe()


def pictures(body: dict) -> list[Image.Image]:
    parts = [part for message in body["messages"] for part in message["content"]]
    urls = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    assert all(url.startswith("data:image/png;base64,") for url in urls)
    return [Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))) for url in urls]


class TestWhatIsSent:
    def test_chat_and_picture_arrive_as_they_are(self, server: ChatServer) -> None:
        turn = seen(height=100, width=120)
        assert policy(server).replies([turn]) == ["hello"]
        (body,) = server.bodies
        assert body["model"] == "ibis"
        assert (body["temperature"], body["max_tokens"]) == (0.0, 512)
        assert "seed" not in body
        roles = [message["role"] for message in body["messages"]]
        assert roles == [message["role"] for message in turn.messages]
        assert body["messages"][0]["content"] == turn.messages[0]["content"]
        (picture,) = pictures(body)
        assert np.array_equal(np.asarray(picture), turn.pictures[0])

    def test_large_pictures_are_scaled_down_and_small_ones_up(self, server: ChatServer) -> None:
        limited = EndpointPolicy(f"{server.url}#ibis", max_pixels=128 * 128)
        limited.replies([seen(height=512, width=128)])
        assert pictures(server.bodies[-1])[0].size == (64, 256)
        policy(server).replies([seen(height=8, width=10)])
        assert pictures(server.bodies[-1])[0].size == (80, 64)

    def test_history_sends_all_pictures(self, server: ChatServer) -> None:
        long = episode()
        long.profile = PROFILE.model_copy(update={"history": True})
        long.apply(click(0.5, 0.5))
        policy(server).replies([long.observe()])
        assert len(pictures(server.bodies[0])) == 2

    def test_sampling_sends_temperature_and_seed(self, server: ChatServer) -> None:
        policy(server).sampling(0.7, 3).replies([seen()])
        assert (server.bodies[0]["temperature"], server.bodies[0]["seed"]) == (0.7, 3)
        assert server.bodies[0]["top_p"] == 1  # whatever the checkpoint's own settings are

    def test_the_token_is_sent_and_appears_nowhere_else(
        self,
        server: ChatServer,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        monkeypatch.setenv(API_KEY, f"{TOKEN}\n")
        server.script = [say("hi"), send_json(500, {"error": {"message": f"bad key {TOKEN}"}})]
        with caplog.at_level(logging.DEBUG):
            asking = policy(server)
            asking.replies([seen()])
            with pytest.raises(PolicyUnavailable, match="bad key \\*\\*\\*") as caught:
                asking.replies([seen()])
        assert server.headers[0]["authorization"] == f"Bearer {TOKEN}"
        assert TOKEN not in caplog.text + str(caught.value) + asking.name

    @pytest.mark.parametrize("token", ["secret of\nmine", "secret\tof mine", "se\u00e7ret"])
    def test_what_is_no_token_is_refused_without_repeating_it(
        self, monkeypatch: pytest.MonkeyPatch, token: str
    ) -> None:
        monkeypatch.setenv(API_KEY, token)
        with pytest.raises(InvalidRequest, match=API_KEY) as caught:
            load_policy("endpoint:http://127.0.0.1:8001/v1#m")
        assert token not in str(caught.value)

    def test_without_a_token_none_is_sent(self, server: ChatServer) -> None:
        policy(server).replies([seen()])
        assert "authorization" not in server.headers[0]

    def test_a_proxy_is_not_asked_on_the_way_to_this_machine(
        self, server: ChatServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
        assert policy(server).replies([seen()]) == ["hello"]


class TestReplies:
    def test_in_order_and_side_by_side_but_not_too_many(self, server: ChatServer) -> None:
        server.otherwise = echo_text
        prompts = [f"target {index}" for index in range(12)]
        limited = EndpointPolicy(f"{server.url}#ibis", concurrency=3)
        replies = limited.replies([seen(prompt) for prompt in prompts])
        assert replies == [PROFILE.turn_text(prompt, first=True) for prompt in prompts]
        assert 1 < server.busiest <= 3

    @pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
    def test_split_off_reasoning_is_joined_again(self, server: ChatServer, name: str) -> None:
        server.script = [say("<action>Terminate</action>", **{name: "I look."})]
        assert policy(server).replies([seen()]) == [
            "<think>I look.</think><action>Terminate</action>"
        ]

    def test_no_text_at_all_is_an_empty_reply(self, server: ChatServer) -> None:
        server.script = [say(None)]
        assert policy(server).replies([seen()]) == [""]

    def test_an_episode_is_played_to_its_end(self, server: ChatServer) -> None:
        server.script = [say(click(0.5, 0.5)), say(TERMINATE)]
        playing = episode()
        run([playing], load_policy(f"endpoint:{server.url}#ibis"))
        assert playing.stop is StopReason.TERMINATED
        assert playing.segmentation.mask.any()

    def test_nothing_seen_nothing_asked(self, server: ChatServer) -> None:
        assert policy(server).replies([]) == []
        assert server.bodies == []

    def test_it_works_where_an_event_loop_is_running(self, server: ChatServer) -> None:
        import asyncio

        async def inside() -> list[str]:
            return policy(server).replies([seen()])

        assert asyncio.run(inside()) == ["hello"]


BUSY = send_json(429, {"error": {"message": "slow down"}}, Retry_After="0.05")


class TestTryingAgain:
    @pytest.mark.parametrize(
        "trouble",
        [
            pytest.param(BUSY, id="429"),
            pytest.param(send_json(503, {}), id="503"),
            pytest.param(send(502, b"<html>bad gateway</html>"), id="502"),
            pytest.param(drop, id="connection dropped"),
        ],
    )
    def test_passing_trouble_passes(self, server: ChatServer, trouble: Behaviour) -> None:
        server.script = [trouble, trouble]
        assert policy(server).replies([seen()]) == ["hello"]
        assert len(server.bodies) == 3

    def test_the_server_says_how_long_to_wait(self, server: ChatServer) -> None:
        server.script = [send_json(429, {}, Retry_After="0.6")]
        began = time.perf_counter()
        policy(server).replies([seen()])
        assert time.perf_counter() - began > 0.6

    def test_nobody_waits_for_an_hour(self, server: ChatServer) -> None:
        server.script = [send_json(429, {}, Retry_After="3600")]
        with pytest.raises(PolicyUnavailable, match="busy"):
            policy(server).replies([seen()])
        assert len(server.bodies) == 1

    def test_a_date_to_wait_for_is_ignored(self, server: ChatServer) -> None:
        server.script = [send_json(503, {}, Retry_After="Wed, 21 Oct 2026 07:28:00 GMT")]
        assert policy(server).replies([seen()]) == ["hello"]

    def test_there_is_a_last_attempt(self, server: ChatServer) -> None:
        server.otherwise = BUSY
        with pytest.raises(PolicyUnavailable, match="busy or not ready"):
            policy(server).replies([seen()])
        assert len(server.bodies) == client.ATTEMPTS


REFUSAL = {"error": {"message": "This model's maximum context length is 4096 tokens.\nSorry."}}


class TestFailures:
    @pytest.mark.parametrize(
        ("trouble", "kind", "words", "fix"),
        [
            (send_json(400, REFUSAL), PolicyFailed, "4096 tokens", "max_pixels"),
            (send_json(400, {"detail": "Pinned."}), PolicyFailed, r"400\): Pinned\.", "max_pixels"),
            (send_json(422, [1]), PolicyFailed, r"422\): \[1\]", "max_pixels"),
            (send_json(401, {}), PolicyUnavailable, "refuses us", API_KEY),
            (send_json(500, {"error": "CUDA error"}), PolicyUnavailable, "CUDA error", "log"),
            (send_json(404, {}), ModelNotFound, "no model 'ibis'", "other, another"),
            (send(200, b'{"choices": [{"mess'), PolicyUnavailable, "no chat completion", "/v1"),
            (send_json(200, {"choices": []}), PolicyUnavailable, "no chat completion", "/v1"),
            (send_json(200, ["x"]), PolicyUnavailable, "no chat completion", "/v1"),
            (say("", reasoning=[1]), PolicyUnavailable, "no chat completion", "/v1"),
            (send(307, b"", Location="http://127.0.0.1:9"), PolicyUnavailable, "307", "log"),
        ],
    )
    def test_each_has_its_name_and_its_fix_and_is_not_asked_again(
        self,
        server: ChatServer,
        trouble: Behaviour,
        kind: type[IBISAgentError],
        words: str,
        fix: str,
    ) -> None:
        server.otherwise = trouble
        server.models = send_json(200, {"data": [{"id": "other"}, {"id": "another"}]})
        with pytest.raises(kind, match=words) as caught:
            policy(server).replies([seen()])
        assert fix in caught.value.fix
        assert "\n" not in caught.value.message
        assert len(server.bodies) == 1

    def test_no_such_api(self, server: ChatServer) -> None:
        server.models = send(404, b"nothing here")
        wrong = EndpointPolicy(f"{server.url.removesuffix('/v1')}/api#ibis")
        server.otherwise = send(404, b"nothing here")
        with pytest.raises(PolicyUnavailable, match="no chat completions at this address"):
            wrong.replies([seen()])

    def test_nobody_there(self) -> None:
        with chat_server() as gone:
            asking = policy(gone)
        with pytest.raises(PolicyUnavailable, match="cannot be reached") as caught:
            asking.replies([seen()])
        assert "Start it" in caught.value.fix

    def test_a_stalling_server_is_given_up(self, server: ChatServer) -> None:
        server.otherwise = stall(30)
        began = time.perf_counter()
        with pytest.raises(PolicyUnavailable, match=r"within 0.3 s"):
            policy(server, seconds=0.3).replies([seen()])
        assert time.perf_counter() - began < 5
        assert len(server.bodies) == 1

    def test_the_first_failure_ends_it_for_all(self, server: ChatServer) -> None:
        server.script, server.otherwise = [send_json(400, REFUSAL)], stall(30)
        began = time.perf_counter()
        with pytest.raises(PolicyFailed):
            policy(server).replies([seen(), seen(), seen()])
        assert time.perf_counter() - began < 5


def test_cancelling_breaks_off_what_is_under_way(server: ChatServer) -> None:
    server.script, server.otherwise = [say("quick")], stall(30)
    cancel = threading.Event()
    timer = threading.Timer(1.5, cancel.set)  # the quick one is back by then, on a busy machine too
    timer.start()
    began = time.perf_counter()
    replies = policy(server).replies([seen(), seen()], cancelled=cancel.is_set)
    assert time.perf_counter() - began < 15
    assert sorted(replies) == ["", "quick"]
    timer.join()


def test_a_folder_as_model_name_stays_with_its_machine() -> None:
    served = EndpointPolicy("http://127.0.0.1:1/v1#/srv/models/ibis")
    assert served.name == "endpoint:ibis"
    assert EndpointPolicy("http://127.0.0.1:1/v1#a/b").name == "endpoint:a/b"
