"""``ibisagent serve``: start MONAI Label with our app."""

from __future__ import annotations

import ipaddress
import os
import socket
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from ibisagent.cli.console import say, warn
from ibisagent.errors import InvalidRequest, MissingPackage

APP = Path("monailabel_app")


def serve(
    context: typer.Context,
    studies: Annotated[
        str,
        typer.Option(help="Folder of images, or the URL of a DICOMweb store.", show_default=False),
    ],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8000,
    app: Annotated[
        Path, typer.Option(help="Folder of the MONAI Label app, with its main.py.")
    ] = APP,
    conf: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME VALUE",
            help="Setting of the app: profile, policy, tool, device, max_steps, prompts and "
            "others. May be given several times.",
            show_default=False,
        ),
    ] = None,
    cors_origin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ORIGIN",
            help="Web pages that may ask the server beside those of this machine, such as "
            "https://viewer.hospital.org. May be given several times.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Serve the agent to 3D Slicer and other MONAI Label clients, until Ctrl-C.

    **Examples**

    ```
    ibisagent serve --studies my_images
    ibisagent serve --studies my_images --port 8010
    ibisagent serve --studies my_images --conf device cuda --conf max_steps 5
    ibisagent serve --studies my_images --conf profile workstation
    ```

    Then choose http://127.0.0.1:8000 as server in the MONAI Label module of 3D Slicer.
    """
    if find_spec("monailabel") is None:
        raise MissingPackage(
            "MONAI Label is not installed.", "Install it with: pip install 'ibisagent[server]'."
        )
    # Typer has no option of two words that may be repeated: the second words are left over.
    settings = _pairs(conf or [], context.args)
    if cors_origin:
        settings.append(("cors_origins", ",".join(cors_origin)))
    _check_app(app)
    _check_studies(studies)
    _check_address(host, port)
    if not _is_loopback(host):
        warn(_who_may_ask(host))
    say(f"serving {studies} at http://{host}:{port}; Ctrl-C ends it")
    command = [sys.executable, "-m", "monailabel.main", "start_server"]
    command += ["--app", str(app.resolve()), "--studies", studies]
    command += ["--host", host, "--port", str(port)]
    for name, value in settings:
        command += ["--conf", name, value]
    # MONAI Label would open an MLflow file store, which current MLflow no longer has.
    _become(command, {"MONAI_LABEL_TRACKING_ENABLED": "false", **os.environ})


def _pairs(names: list[str], values: list[str]) -> list[tuple[str, str]]:
    if len(names) != len(values):
        raise InvalidRequest(
            f"There are {len(names)} settings but {len(values)} values.",
            "Give each as a name and a value, for example: --conf device cuda.",
        )
    return list(zip(names, values, strict=True))


def _check_app(app: Path) -> None:
    if not (app / "main.py").is_file():
        raise InvalidRequest(
            f"There is no MONAI Label app at {app}.",
            "Run this where the folder monailabel_app is, or name that folder with --app.",
        )


def _check_studies(studies: str) -> None:
    if not studies.startswith(("http://", "https://")) and not Path(studies).is_dir():
        raise InvalidRequest(
            f"There is no folder {studies}.", "Put images into a folder and give that."
        )


def _check_address(host: str, port: int) -> None:
    """Find out now whether we may listen there; the server would say so in a traceback."""
    try:
        family, kind, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise InvalidRequest(
            f"The server cannot listen on {host}:{port}: {error.strerror}.",
            "Give a free port with --port, and an address of this machine with --host.",
        ) from error


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _who_may_ask(host: str) -> str:
    if os.environ.get(_AUTHENTICATION, "").lower() in ("1", "true", "yes", "on"):
        return f"{host} is reached by others; tokens travel in plain text without TLS."
    return (
        f"everyone who reaches {host} can read and change the studies: MONAI Label asks for "
        "no password by default. Use 127.0.0.1 unless the network is trusted; docs/security.md "
        "tells how to serve one properly."
    )


_AUTHENTICATION = "MONAI_LABEL_AUTH_ENABLE"


def _become(command: list[str], environment: dict[str, str]) -> None:
    """Put the server in place of this process, so that signals reach it."""
    if os.name == "nt":  # exec would leave the server behind in the background there
        raise typer.Exit(subprocess.run(command, env=environment, check=False).returncode)
    os.execve(command[0], command, environment)
