"""Runs on a real server: watched, stepped into, taken over."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import requests
import SimpleITK as sitk
from app_client import Client, assert_refused
from app_studies import LEFT, RIGHT, blocks, oblique
from run_client import RunClient

from ibisagent.events import EVENTS
from ibisagent.trajectory import Trajectory

ON_THE_LEFT = "click 0.75 0.5"
QUICK = 2.0
"""Seconds for an answer while runs go on; the aim of 0.2 is measured by benchmarks/runs.py."""


def test_plain_path(runs: RunClient, client: Client, tmp_path: Path) -> None:
    run = runs.start(ON_THE_LEFT, slice=8)
    events = [EVENTS.validate_python(event) for event in runs.follow(run)]
    assert [event.event for event in events] == [
        *("started", "slice", "step", "step", "slice_done", "progress", "finished")
    ]
    described = runs.rest(run)
    assert (described["state"], described["answer"]) == ("resting", "It is marked.")
    assert (described["image"], described["events"]) == ("head", 7)
    expected = np.zeros(blocks().shape, bool)
    expected[8] = blocks()[8] == LEFT
    np.testing.assert_array_equal(runs.marked(run, tmp_path), expected)


def test_click_undo_and_continue(runs: RunClient, tmp_path: Path) -> None:
    run = runs.start(ON_THE_LEFT, slice=8)
    runs.rest(run)
    runs.order(run, "click", ijk=[10, 20, 8])
    runs.rest(run)
    np.testing.assert_array_equal(runs.marked(run, tmp_path)[8], blocks()[8] == RIGHT)
    runs.order(run, "undo", index=8)
    runs.rest(run)
    np.testing.assert_array_equal(runs.marked(run, tmp_path)[8], blocks()[8] == LEFT)
    since = runs.describe(run)["events"]
    runs.order(run, "continue", index=8)
    told = [event["event"] for event in runs.follow(run, since)]
    assert told == ["started", "step", "slice_done", "finished"]
    answer = runs.ask("GET", f"/runs/{run}/trajectory").json()
    assert answer["format"] == "ibisagent-run/1"
    (record,) = (Trajectory.model_validate(one) for one in answer["trajectories"])
    assert [step.author.value for step in record.steps] == ["agent", "agent", "agent"]
    assert [step.author.value for step in record.undone] == ["human"]
    assert answer["carried"] == []


def test_order_is_followed_by_its_events_at_once(runs: RunClient) -> None:
    """Who follows right after the answer must not be told that the run rests already."""
    run = runs.start(ON_THE_LEFT, slice=8)
    runs.rest(run)
    for _ in range(5):
        since = runs.describe(run)["events"]
        runs.order(run, "click", index=8, x=0.2, y=0.5)
        assert [event["event"] for event in runs.follow(run, since)][-1] == "finished"


def test_dropped_client_comes_back_and_misses_nothing(runs: RunClient) -> None:
    run, seen = runs.start("wander", slice=8, max_steps=20), []
    while not seen or seen[-1]["event"] != "finished":
        stream = runs.follow(run, len(seen))
        for count, event in enumerate(stream, start=1):
            seen.append(event)
            if count == 3:
                stream.close()  # the connection is cut in the middle
                break
    assert [event["seq"] for event in seen] == list(range(1, len(seen) + 1))
    assert seen == runs.events(run)
    assert sum(event["event"] == "step" for event in seen) == 20


def test_run_goes_on_while_nobody_listens(runs: RunClient) -> None:
    run = runs.start("wander", slice=8, max_steps=15)
    stream = runs.follow(run)
    next(stream)
    stream.close()
    assert runs.rest(run)["state"] == "resting"
    assert [event["seq"] for event in runs.events(run)] == list(
        range(1, runs.describe(run)["events"] + 1)
    )


def test_many_listeners_get_the_same(runs: RunClient) -> None:
    run = runs.start("wander", slice=8, max_steps=10)
    heard: dict[int, list[dict[str, object]]] = {}

    def listen(number: int) -> None:
        heard[number] = list(runs.follow(run))

    threads = [threading.Thread(target=listen, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert all(heard[number] == runs.events(run) for number in range(5))


def test_server_answers_quickly_while_runs_go_on(runs: RunClient, client: Client) -> None:
    going = [runs.start("wait 3") for _ in range(2)]
    waits = []
    for path in ("/info/", "/ibisagent/info", f"/ibisagent/runs/{going[0]}", "/ibisagent/runs"):
        began = time.perf_counter()
        assert requests.get(f"{client.url}{path}", timeout=30).ok
        waits.append(time.perf_counter() - began)
    assert max(waits) < QUICK
    assert runs.describe(going[0])["state"] in ("running", "queued")
    for run in going:
        runs.order(run, "cancel")
        runs.rest(run)


def test_stock_request_and_run_share_the_device_in_turns(runs: RunClient, client: Client) -> None:
    run = runs.start("wander", slice=8, max_steps=50)
    began = time.perf_counter()
    assert client.infer(prompt=ON_THE_LEFT).status_code == 200
    assert time.perf_counter() - began < QUICK
    assert runs.describe(run)["state"] == "running"
    runs.order(run, "cancel")
    runs.rest(run)


def test_stock_request_is_a_run(runs: RunClient, client: Client, tmp_path: Path) -> None:
    result = client.infer(prompt=ON_THE_LEFT, slice=8).json()
    described = runs.describe(result["run"])
    assert (described["state"], described["answer"]) == ("resting", result["answer"])
    assert described["run"] in [one["run"] for one in runs.ask("GET", "/runs").json()]
    answer = runs.ask("GET", f"/runs/{described['run']}/trajectory").json()
    assert answer["trajectories"] == result["trajectory"]
    runs.order(described["run"], "click", ijk=[10, 20, 8])
    runs.rest(described["run"])
    np.testing.assert_array_equal(runs.marked(described["run"], tmp_path)[8], blocks()[8] == RIGHT)


def test_stock_request_can_be_cancelled(runs: RunClient, client: Client) -> None:
    answers: list[requests.Response] = []
    asking = threading.Thread(target=lambda: answers.append(client.infer(prompt="wait 9 wander")))
    asking.start()
    run = _newest(runs, "wait 9 wander")
    runs.order(run, "cancel")
    asking.join(20)
    assert_refused(answers[0], 409, "run_cancelled", run)


def _newest(runs: RunClient, prompt: str) -> str:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for one in runs.ask("GET", "/runs").json():
            if one["prompt"] == prompt:
                return str(one["run"])
        time.sleep(0.02)
    raise AssertionError("the run was not listed")


def test_cancel_takes_effect_within_a_reply(runs: RunClient) -> None:
    run = runs.start("wait 9")
    deadline = time.monotonic() + 10
    while len(runs.events(run)) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    began = time.perf_counter()
    runs.order(run, "cancel")
    assert runs.rest(run)["state"] == "resting"
    assert time.perf_counter() - began < QUICK
    last = runs.events(run)[-1]
    assert (last["event"], last["cancelled"], last["found"]) == ("finished", True, False)


def test_take_over_of_a_run_that_wanders(runs: RunClient) -> None:
    run = runs.start("wander", slice=8, max_steps=50)
    for event in runs.follow(run):
        if event["event"] == "step":
            break
    runs.order(run, "click", index=8, x=0.2, y=0.5)
    for event in runs.follow(run):
        if event["event"] == "step" and event["step"]["author"] == "human":
            break
    runs.order(run, "cancel")
    runs.rest(run)
    steps = [event for event in runs.events(run) if event["event"] == "step"]
    authors = [event["step"]["author"] for event in steps]
    assert "agent" in authors[: authors.index("human")]


@pytest.mark.parametrize("suffix", [".nrrd", ".nii.gz", ".mha"])
def test_mask_has_the_geometry_of_the_image(runs: RunClient, tmp_path: Path, suffix: str) -> None:
    run = runs.start(ON_THE_LEFT, "oblique")
    runs.rest(run)
    mask = runs.mask(run, tmp_path, suffix)
    assert mask.GetSize() == oblique().GetSize()
    for ours, theirs in [
        (mask.GetOrigin(), oblique().GetOrigin()),
        (mask.GetSpacing(), oblique().GetSpacing()),
        (mask.GetDirection(), oblique().GetDirection()),
    ]:
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_mask_of_a_picture(runs: RunClient, tmp_path: Path) -> None:
    run = runs.start(ON_THE_LEFT, "picture")
    runs.rest(run)
    assert runs.mask(run, tmp_path, ".png").GetDimension() == 2


def test_accepted_mask_is_a_named_label(runs: RunClient, client: Client, tmp_path: Path) -> None:
    run = runs.start(ON_THE_LEFT, "oblique", slice=8)
    runs.rest(run)
    kept = runs.order(run, "accept", tag="final", label="left kidney")
    assert kept == {"label": "oblique", "tag": "final"}
    stored = requests.get(f"{client.url}/datastore/?output=all", timeout=30).json()
    info = stored["objects"]["oblique"]["labels"]["final"]["info"]
    assert info["params"]["label_names"] == {"left kidney": 1}
    assert info["label_info"] == [{"name": "left kidney", "idx": 1}]
    assert info["params"]["run"] == run
    answer = requests.get(f"{client.url}/datastore/label?label=oblique&tag=final", timeout=30)
    path = tmp_path / "label.nrrd"
    path.write_bytes(answer.content)
    label = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    np.testing.assert_array_equal(label > 0, runs.marked(run, tmp_path))
    again = runs.start("nothing", "oblique", slice=9, start_label="final")
    runs.rest(again)
    np.testing.assert_array_equal(runs.marked(again, tmp_path), label > 0)
    place = f"{client.url}/datastore/label?id=oblique&tag=final"
    assert requests.delete(place, timeout=30).ok  # others count on studies without labels


def test_resume_from_an_earlier_run(runs: RunClient, tmp_path: Path) -> None:
    old = runs.start(ON_THE_LEFT, slice=8)
    runs.rest(old)
    new = runs.start(ON_THE_LEFT, slice=8, resume=old, clicks=[{"ijk": [10, 20, 8]}])
    runs.rest(new)
    told = [event for event in runs.events(new) if event["event"] == "step"]
    assert [event["step"]["author"] for event in told] == ["agent", "agent", "human", "agent"]


def test_resume_from_a_download_on_a_server_that_has_forgotten_the_run(runs: RunClient) -> None:
    old = runs.start(ON_THE_LEFT, slice=8)
    runs.rest(old)
    download = runs.ask("GET", f"/runs/{old}/trajectory").json()
    runs.ask("DELETE", f"/runs/{old}")
    new = runs.start(ON_THE_LEFT, slice=8, saved=download, wait_for_human=True)
    runs.rest(new)
    (record,) = runs.ask("GET", f"/runs/{new}/trajectory").json()["trajectories"]
    assert record["steps"] == download["trajectories"][0]["steps"]


def test_list_and_delete(runs: RunClient) -> None:
    run = runs.start(ON_THE_LEFT)
    runs.rest(run)
    listed = runs.ask("GET", "/runs").json()
    assert listed[0] == runs.describe(run)
    assert runs.ask("DELETE", f"/runs/{run}").status_code == 200
    assert_refused(runs.ask("GET", f"/runs/{run}"), 404, "unknown_run", "/ibisagent/runs")


def test_info(runs: RunClient) -> None:
    info = runs.ask("GET", "/info").json()
    assert info["format"] == "ibisagent-events/1"
    assert info["examples"]
    assert info["knows"] == []
    assert info["limits"]["runs_at_once"] == 4
    assert isinstance(info["runs"], int)


def test_image_is_put_once(runs: RunClient, client: Client) -> None:
    data = (client.studies / "head.nii.gz").read_bytes()
    path = "/images/sent%20here"
    assert runs.ask("HEAD", path).status_code == 404
    assert runs.ask("PUT", f"{path}?suffix=.nii.gz", data=data).status_code == 201
    assert runs.ask("PUT", f"{path}?suffix=.nii.gz", data=data).status_code == 200
    assert runs.ask("HEAD", path).status_code == 200
    other = (client.studies / "oblique.nii.gz").read_bytes()
    answer = runs.ask("PUT", f"{path}?suffix=.nii.gz", data=other)
    assert_refused(answer, 409, "image_exists")
    runs.rest(runs.start(ON_THE_LEFT, "sent here"))


def test_image_that_cannot_be_segmented_is_not_kept(runs: RunClient, client: Client) -> None:
    data = (client.studies / "holes.nii.gz").read_bytes()
    answer = runs.ask("PUT", "/images/broken?suffix=.nii.gz", data=data)
    assert_refused(answer, 422, "non_finite_image")
    assert runs.ask("HEAD", "/images/broken").status_code == 404
    answer = runs.ask("PUT", "/images/script?suffix=.py", data=b"print()")
    assert_refused(answer, 415, "unsupported_file")


@pytest.mark.parametrize(
    ("prompt", "code"),
    [("out of memory", "tool_out_of_memory"), ("fail", "policy_failed")],
)
def test_failure_is_told_by_event_and_description(runs: RunClient, prompt: str, code: str) -> None:
    run = runs.start(prompt)
    described = runs.rest(run)
    assert described["state"] == "failed"
    assert described["error"]["code"] == code
    last = list(runs.follow(run))[-1]
    assert (last["event"], last["code"], bool(last["fix"])) == ("failed", code, True)


def test_model_that_writes_nonsense_ends(runs: RunClient) -> None:
    run = runs.start("write nonsense")
    assert runs.rest(run)["answer"] == "The agent stopped: malformed."


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (None, 422, "invalid_request"),
        ({"image": "head"}, 422, "invalid_request"),
        ({"image": "head", "prompt": ""}, 422, "invalid_request"),
        ({"image": "head", "prompt": "x", "colour": 1}, 422, "invalid_request"),
        ({"image": "head", "prompt": "x", "slice": 20}, 422, "slice_out_of_range"),
        ({"image": "head", "prompt": "x", "resume": "none"}, 404, "unknown_run"),
        ({"image": "head", "prompt": "x", "start_label": "none"}, 404, "unknown_label"),
        ({"image": "head", "prompt": "x", "start_label": "../x"}, 400, "invalid_identifier"),
        ({"image": "nothing", "prompt": "x"}, 404, "unknown_image"),
        ({"image": "/etc/passwd", "prompt": "x"}, 400, "invalid_identifier"),
        ({"image": "empty", "prompt": "x"}, 422, "unreadable_image"),
        ({"image": "garbage", "prompt": "x"}, 422, "unreadable_image"),
        ({"image": "holes", "prompt": "x"}, 422, "non_finite_image"),
        ({"image": "huge", "prompt": "x"}, 413, "oversize_image"),
    ],
)
def test_refused_starts(runs: RunClient, body: object, status: int, code: str) -> None:
    assert_refused(runs.ask("POST", "/runs", body), status, code)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", "/click", {}, 422, "invalid_request"),
        ("POST", "/click", {"index": 20, "x": 0.5, "y": 0.5}, 422, "slice_out_of_range"),
        ("POST", "/click", {"ijk": [48, 0, 0]}, 422, "invalid_click"),
        ("POST", "/undo", {"index": 3}, 409, "nothing_to_undo"),
        ("POST", "/continue", {"index": "here"}, 422, "invalid_request"),
        ("POST", "/accept", {"tag": "../x"}, 400, "invalid_identifier"),
        ("POST", "/accept", {"colour": 1}, 422, "invalid_request"),
        ("GET", "/mask?suffix=.exe", None, 422, "invalid_request"),
        ("GET", "/events?since=-1", None, 422, "invalid_request"),
        ("GET", "/events?since=x", None, 422, "invalid_request"),
        ("GET", "/events?until=9", None, 422, "invalid_request"),
        ("GET", "/nothing", None, 404, "not_found"),
    ],
)
def test_refused_orders(
    runs: RunClient, method: str, path: str, body: object, status: int, code: str
) -> None:
    run = runs.start("nothing")
    runs.rest(run)
    assert_refused(runs.ask(method, f"/runs/{run}{path}", body), status, code)
    expected = _for_unknown(status, "mask" if "mask" in path else code)
    assert_refused(runs.ask(method, f"/runs/unknown{path}", body), *expected)


def _for_unknown(status: int, code: str) -> tuple[int, str]:
    """What the body or the query is made of is looked at first, the run next, the rest last."""
    of_the_run = ("slice_out_of_range", "invalid_click", "nothing_to_undo", "mask")
    return (404, "unknown_run") if code in of_the_run else (status, code)


def test_body_that_is_no_json_object_is_refused(runs: RunClient) -> None:
    for data, kind in ((b"[1]", "application/json"), (b"{", "application/json")):
        answer = requests.post(
            f"{runs.url}/ibisagent/runs", data=data, headers={"Content-Type": kind}, timeout=30
        )
        assert_refused(answer, 422, "invalid_request")
    form = requests.post(f"{runs.url}/ibisagent/runs", data={"image": "head"}, timeout=30)
    assert_refused(form, 422, "invalid_request", "application/json")
    long = json.dumps({"image": "head", "prompt": "x" * 2**20})
    answer = requests.post(f"{runs.url}/ibisagent/runs", data=long, timeout=30)
    assert_refused(answer, 413, "request_too_large")


def test_more_runs_than_allowed_are_refused(runs: RunClient) -> None:
    started, answer = [], None
    for _ in range(30):
        answer = runs.ask("POST", "/runs", {"image": "head", "prompt": "wait 9"})
        if answer.status_code != 201:
            break
        started.append(answer.json()["run"])
    assert_refused(answer, 429, "too_many_runs", "runs_waiting")
    assert len(started) == 20
    assert runs.describe(started[-1])["queue"] >= 15
    for run in started:
        runs.order(run, "cancel")
    for run in started:
        runs.rest(run)
