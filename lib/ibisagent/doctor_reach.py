"""Whether the servers that were named can be reached, and have what is asked of them."""

from __future__ import annotations

import os
from typing import Any

import httpx2

from ibisagent.errors import IBISAgentError
from ibisagent.finding import Finding, Level
from ibisagent.policies.endpoint_address import EndpointAddress
from ibisagent.policies.policy_spec import PolicySpec

SECONDS = 10.0
MODEL = "ibisagent"
"""Name of our model on a MONAI Label server."""


def check_endpoint(address: str) -> Finding:
    """Ask a policy's server for its models.

    Args:
        address: ``ADDRESS#MODEL``, perhaps with options, see `PolicySpec`. The token is read from
            ``IBISAGENT_API_KEY``.
    """
    name = "policy server"
    try:
        where = EndpointAddress.parse(PolicySpec.parse(address).where)
    except IBISAgentError as error:
        return Finding.of(name, error)
    token = os.environ.get("IBISAGENT_API_KEY", "")
    try:
        answer = _get(f"{where.url}/models", token, where.loopback)
        served = [str(entry["id"]) for entry in answer["data"]]
    except (httpx2.HTTPError, ValueError, KeyError, TypeError) as error:
        return Finding(
            name,
            Level.FAIL,
            f"{where.url} does not list its models: {_cause(error)}",
            "Start it, open the tunnel to it, or correct the address, which mostly ends in /v1; "
            "docs/serving.md has the commands.",
        )
    if where.model in served:
        return Finding(name, Level.OK, f"{where.url} has {where.model}")
    return Finding(
        name,
        Level.FAIL,
        f"{where.url} has no model {where.model!r}",
        f"Name one that it has behind '#': {', '.join(served[:10]) or 'it lists none'}.",
    )


def check_server(url: str) -> Finding:
    """Ask a MONAI Label server for its models.

    Args:
        url: Its address, for example ``http://127.0.0.1:8000``.
    """
    name = "MONAI Label server"
    try:
        models = _get(f"{url.rstrip('/')}/info/", "", trust_proxy=False)["models"]
        names = sorted(map(str, models))
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError, KeyError, TypeError) as error:
        return Finding(
            name,
            Level.FAIL,
            f"{url} does not answer as MONAI Label: {_cause(error)}",
            "Start it with `ibisagent serve --studies FOLDER`, or correct the address.",
        )
    if MODEL in names:
        return Finding(name, Level.OK, f"{url} serves {MODEL}")
    return Finding(
        name,
        Level.FAIL,
        f"{url} serves another app ({', '.join(names) or 'without models'})",
        "Start ours with `ibisagent serve --studies FOLDER`, on another --port.",
    )


def _get(url: str, token: str, loopback: bool = False, trust_proxy: bool = True) -> Any:
    """JSON at an address; redirects are followed nowhere, so that the token stays here."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with httpx2.Client(timeout=SECONDS, trust_env=trust_proxy and not loopback) as client:
        return client.get(url, headers=headers).raise_for_status().json()


def _cause(error: Exception) -> str:
    if isinstance(error, httpx2.HTTPStatusError):
        return f"status {error.response.status_code}"
    if isinstance(error, httpx2.HTTPError):
        return str(error) or type(error).__name__
    return "its answer is of another kind"
