"""Client, stream, worker and geometry with a real server of this project, over loopback.

Its agent does as the prompt says, see `obedient_app/obedient.py`; everything else is real.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from harness.cutting_relay import cutting_relay
from scipy.spatial.transform import Rotation

from demo.server import Server
from IBISAgentLib.client import Client
from IBISAgentLib.errors import ServerRefused
from IBISAgentLib.geometry import PLANES, Grid, SlicePicture
from IBISAgentLib.protocol import (
    Finished,
    SliceDone,
    SliceRecord,
    SliceStarted,
    Started,
    Stepped,
)
from IBISAgentLib.rle import decode
from IBISAgentLib.run_fields import Click, RunDescription, RunRequest
from IBISAgentLib.stream import EventStream, Patience
from IBISAgentLib.upload import Snapshot
from IBISAgentLib.worker import Answered, Happened, Message, Refused, Rested, Worker

APP = Path(__file__).resolve().parents[1] / "monailabel_app" / "obedient_app"
TIMEOUT = 60

pytestmark = pytest.mark.timeout(600)  # the first test waits for the server's start

OBLIQUE = np.eye(4)
OBLIQUE[:3, :3] = Rotation.from_euler("zyx", (12, -9, 15), degrees=True).as_matrix() * (1, -1, 2.5)
OBLIQUE[:3, :3] = OBLIQUE[:3, [0, 2, 1]]  # k runs along the body's depth
OBLIQUE[:3, 3] = (-20, 30, 7.5)


def blocks() -> np.ndarray:
    """Two bright blocks, axes (k, j, i)."""
    voxels = np.zeros((20, 24, 28), np.int16)
    voxels[5:15, 6:18, 16:25] = 200
    voxels[5:15, 6:18, 3:11] = 100
    return voxels


SNAPSHOT = Snapshot(blocks(), Grid(OBLIQUE, (28, 24, 20)))
GRID = SNAPSHOT.grid
BRIGHT = (20, 12, 10)
"""A voxel (i, j, k) of the brighter block."""


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    studies = folder / "studies"
    studies.mkdir()
    sitk.WriteImage(sitk.GetImageFromArray(blocks()), str(studies / "study1.nrrd"))
    checkpoint = folder / "checkpoint"
    checkpoint.mkdir()
    (checkpoint / "config.json").write_text("{}")  # one that states no vocabulary
    conf = {"policy": str(checkpoint), "max_steps": "7"}
    with Server(studies, folder / "log.txt", APP, conf) as server:
        yield server


@pytest.fixture
def client(server):
    client = Client(server.url)
    yield client
    client.close()


@pytest.fixture
def worker(server):
    worker = Worker(Client(server.url))
    yield worker
    assert worker.stop(5)


def wait(worker: Worker, enough: Callable[[list[Message]], bool]) -> list[Message]:
    messages: list[Message] = []
    deadline = time.monotonic() + TIMEOUT
    while not enough(messages):
        assert time.monotonic() < deadline, messages
        messages += worker.poll()
        for message in messages:
            if isinstance(message, Refused) or (isinstance(message, Rested) and message.error):
                raise message.error
        time.sleep(0.02)
    return messages


def at_rest(messages: list[Message]) -> bool:
    return any(isinstance(one, Rested) for one in messages)


def finished(worker: Worker, request: RunRequest) -> tuple[RunDescription, list]:
    """A run of the snapshot until it rests: its description, and its events."""
    worker.start(request, SNAPSHOT)
    messages = wait(worker, at_rest)
    (run,) = (one.value for one in messages if isinstance(one, Answered))
    return run, [one.event for one in messages if isinstance(one, Happened)]


def of_kind(events: list, kind: type) -> list:
    return [event for event in events if isinstance(event, kind)]


def there(plane: str) -> tuple[str, int]:
    """A prompt that clicks on the bright block, and the slice."""
    index, x, y = GRID.place(plane, GRID.to_ras(BRIGHT))
    return f"click {x:.4f} {y:.4f}", index


def drawn(events: list, plane: str) -> np.ndarray:
    """The volume's mask, axes (k, j, i), as the extension writes it from the events."""
    volume = np.zeros(GRID.size[::-1], np.uint8)
    for event in events:
        if isinstance(event, (Stepped, SliceDone)):
            box = SlicePicture(GRID, plane, event.index).box(decode(event.mask))
            i0, i1, j0, j1, k0, k1 = box.extent
            volume[k0 : k1 + 1, j0 : j1 + 1, i0 : i1 + 1] = box.voxels
    return volume


def mask_file(client: Client, run: RunDescription, tmp_path: Path) -> sitk.Image:
    return sitk.ReadImage(str(client.mask(run.run, tmp_path / "mask.nrrd")))


def test_the_server_tells_what_it_is(client):
    info = client.check()
    assert info.policy
    assert info.limits["upload_bytes"] > 2**20
    assert isinstance(info.runs, int)


@pytest.mark.parametrize("plane", PLANES)
def test_what_is_drawn_is_what_the_server_keeps(worker, client, tmp_path, plane):
    prompt, index = there(plane)
    run, events = finished(worker, RunRequest("", prompt, plane=plane, slice=index))
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert isinstance(events[0], Started)
    assert events[-1].found
    image = mask_file(client, run, tmp_path)
    kept = sitk.GetArrayFromImage(image)
    assert kept.sum() > 50
    np.testing.assert_array_equal(drawn(events, plane), kept)
    np.testing.assert_allclose(np.array(image.GetOrigin()), GRID.origin, atol=1e-3)
    np.testing.assert_allclose(image.GetDirection(), GRID.direction.ravel(), atol=1e-5)


@pytest.mark.parametrize("plane", PLANES)
def test_clicks_lie_where_the_server_says(worker, plane):
    prompt, index = there(plane)
    _, events = finished(worker, RunRequest("", prompt, plane=plane, slice=index))
    (begun,) = of_kind(events, SliceStarted)
    picture = SlicePicture.of(GRID, begun.slice)
    assert isinstance(begun.slice, SliceRecord)
    assert begun.slice.pixel_mm == pytest.approx(1.0, abs=1e-3)
    step = next(event for event in of_kind(events, Stepped) if event.ijk)
    assert step.ijk == BRIGHT
    assert picture.voxel_at(*step.step.pixel) == BRIGHT


def test_a_whole_volume_is_drawn_as_it_is_kept(worker, client, tmp_path):
    prompt, _ = there("axial")
    request = RunRequest("", prompt, plane="axial", scope="volume", method="every_slice")
    run, events = finished(worker, request)
    assert len(of_kind(events, SliceDone)) == GRID.count("axial")
    kept = sitk.GetArrayFromImage(mask_file(client, run, tmp_path))
    np.testing.assert_array_equal(drawn(events, "axial"), kept)


def test_a_person_takes_over(worker, client, tmp_path):
    """Click, undo, go on, accept: each is told by events, and the label is kept."""
    prompt, index = there("axial")
    run, _ = finished(
        worker, RunRequest("", prompt, plane="axial", slice=index, wait_for_human=True)
    )
    worker.click(run.run, Click(ijk=BRIGHT))
    first = of_kind([m.event for m in wait(worker, at_rest) if isinstance(m, Happened)], Stepped)
    assert (first[-1].step.author, first[-1].ijk, first[-1].undone) == ("human", BRIGHT, False)
    area = decode(first[-1].mask).sum()
    assert area > 50
    worker.undo(run.run, index)
    back = of_kind([m.event for m in wait(worker, at_rest) if isinstance(m, Happened)], Stepped)
    assert back[-1].undone
    assert not decode(back[-1].mask).any()
    worker.go_on(run.run, index)
    on = [m.event for m in wait(worker, at_rest) if isinstance(m, Happened)]
    assert of_kind(on, Stepped)[0].step.author == "agent"
    worker.accept(run.run, "final", "block")
    (answer,) = wait(worker, bool)
    assert answer.value
    labels = client.images()[SNAPSHOT.image]["labels"]
    assert "final" in labels
    trajectory = client.trajectory(run.run)
    assert trajectory["trajectories"]
    client.delete(run.run)
    with pytest.raises(ServerRefused) as gone:
        client.run(run.run)
    assert gone.value.status == 404


def test_a_run_is_stopped_while_the_agent_thinks(worker):
    worker.start(RunRequest("", "wait 3", scope="volume", method="every_slice"), SNAPSHOT)
    messages = wait(worker, lambda all_: any(isinstance(m, Happened) for m in all_))
    while not any(isinstance(one, Answered) for one in messages):
        messages += wait(worker, bool)
    (run,) = (one.value for one in messages if isinstance(one, Answered))
    worker.cancel(run.run)
    messages += wait(worker, at_rest)
    last = [one.event for one in messages if isinstance(one, Happened)][-1]
    assert isinstance(last, Finished)
    assert last.cancelled


def test_a_client_that_comes_back_gets_the_rest(client, worker):
    prompt, index = there("axial")
    run, events = finished(worker, RunRequest("", prompt, slice=index))
    half = len(events) // 2
    rest = list(EventStream(client, run.run, half))
    assert rest == events[half:]
    assert list(EventStream(client, run.run, len(events))) == []


@pytest.mark.parametrize("seed", range(3))
def test_a_client_that_is_cut_off_again_and_again_misses_nothing(server, client, worker, seed):
    prompt, _ = there("axial")
    request = RunRequest("", prompt, scope="volume", method="every_slice")
    run, events = finished(worker, request)
    with cutting_relay(server.url) as relay:
        relay.cuts = np.random.default_rng(seed).integers(150, 6000, 12).tolist()
        stream = EventStream(Client(relay.url), run.run, 0, Patience(backoff=0.01, longest=0.05))
        assert list(stream) == events
        assert not relay.cuts
        assert relay.connections > 12


def test_what_is_not_there_is_found_and_said(worker):
    _, events = finished(worker, RunRequest("", "a unicorn"))
    assert not events[-1].found
    assert events[-1].answer == "I see nothing of the kind."
    assert not drawn(events, "axial").any()


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (RunRequest("no such image", "liver"), 404),
        (RunRequest("study1", ""), 422),
        (RunRequest("study1", "liver", plane="diagonal"), 422),
        (RunRequest("study1", "liver", slice=4000), 422),
        (RunRequest("../study1", "liver"), 400),
    ],
)
def test_the_server_refuses_in_words(client, request_, status):
    with pytest.raises(ServerRefused) as refused:
        client.start(request_)
    error = refused.value
    assert error.status == status
    assert not error.code.startswith("http_")
    assert error.message
    assert error.fix


def test_a_failing_policy_is_told(worker):
    worker.start(RunRequest("", "fail"), SNAPSHOT)
    messages = wait(worker, at_rest)
    last = [one.event for one in messages if isinstance(one, Happened)][-1]
    assert (last.event, last.code) == ("failed", "policy_failed")
    assert last.fix


def test_a_file_that_is_no_image_is_refused(client, tmp_path):
    path = tmp_path / "x.nrrd"
    path.write_bytes(b"this is no image")
    with pytest.raises(ServerRefused) as refused:
        client.put_image("slicer-x", path)
    assert refused.value.code == "unreadable_image"
    assert not client.has_image("slicer-x")


def test_studies_are_fetched_labelled_and_chosen(client, tmp_path):
    assert "study1" in client.images()
    path = client.get_image("study1", tmp_path)
    assert path.name == "study1.nrrd"
    image = sitk.ReadImage(str(path))
    mask = sitk.Cast(image > 150, sitk.sitkUInt8)
    sitk.WriteImage(mask, str(tmp_path / "mask.nrrd"))
    client.put_label("study1", tmp_path / "mask.nrrd", "final", "block")
    assert "final" in client.images()["study1"]["labels"]


def test_learning_is_asked_for(client):
    report = client.training()
    assert report["running"] is False
    with pytest.raises(ServerRefused):
        client.start_training("no_such_trainer")
    with pytest.raises(ServerRefused) as refused:
        client.stop_training()
    assert refused.value.fix
