from __future__ import annotations

from typing import Any

import pytest

from ibisagent.errors import IBISAgentError, InvalidRequest
from ibisagent_app.errors import InvalidIdentifier
from ibisagent_app.task_options import MAX_WORKERS, check_options


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"seed": 3, "device": "cuda", "gpus": "all", "client_id": "slicer"},
        {"gpus": "0,1", "multi_gpu": True},
        {"gpus": None, "max_workers": MAX_WORKERS, "max_batch_size": 0, "label_tag": "draft"},
    ],
)
def test_own_options_and_those_of_clients_pass(options: dict[str, Any]) -> None:
    check_options(options, {"seed", "label_tag", "max_workers", "max_batch_size"})


@pytest.mark.parametrize(
    ("options", "kind", "name"),
    [
        ({"sed": 3}, InvalidRequest, "sed"),
        ({"bundle_path": "/tmp"}, InvalidRequest, "bundle_path"),
        ({"model": "other"}, InvalidRequest, "model"),
        ({"method": "other"}, InvalidRequest, "method"),
        ({"label_tag": "../x"}, InvalidIdentifier, "label_tag"),
        ({"y_pred": "/x"}, InvalidIdentifier, "y_pred"),
        ({"gpus": "0;reboot"}, InvalidRequest, "gpus"),
        ({"gpus": ["0"]}, InvalidRequest, "gpus"),
        ({"max_workers": -1}, InvalidRequest, "max_workers"),
        ({"max_workers": True}, InvalidRequest, "max_workers"),
        ({"max_batch_size": "9"}, InvalidRequest, "max_batch_size"),
    ],
)
def test_others_are_refused_by_name(
    options: dict[str, Any], kind: type[IBISAgentError], name: str
) -> None:
    known = {"label_tag", "y_pred", "max_workers", "max_batch_size", "bundle_path", "model"}
    with pytest.raises(kind, match=name) as caught:
        check_options(options, known)
    assert caught.value.fix
