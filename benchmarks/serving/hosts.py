"""The services as child processes on free ports, each stopped with all it started, whatever happens."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
READY_SECONDS = 120
KEY = "a-key-of-the-benchmark-alone"


@dataclass(frozen=True)
class Host:
    """A service that answers on `port`; `ready_s` from the start of its process to the first 200 of its probe."""

    port: int
    ready_s: float


def free_port() -> int:
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        return tried.getsockname()[1]


def store(home: Path) -> str:
    """The MLflow store of a home, whatever the caller's environment says."""
    return f"sqlite:///{home / 'mlruns' / 'mlflow.db'}"


def lifecycle(
    home: Path, *, tracking: str | None = None
) -> contextlib.AbstractContextManager[Host]:
    """`lifecycle serve`, one worker."""
    return _hosted(
        "lifecycle serve --port {port}",
        home,
        "/readyz",
        {"MLFLOW_TRACKING_URI": tracking or store(home)},
    )


def bento(home: Path, service: str) -> contextlib.AbstractContextManager[Host]:
    """`module:Class` of `benchmarks.serving`, started as `lifecycle serve` starts its own: one worker."""
    command = f"bentoml serve benchmarks.serving.{service} --host 127.0.0.1 --port {{port}}"
    return _hosted(command, home, "/readyz", {"BENTOML_HOME": str(home / "mlruns" / "bentoml")})


def mlflow(home: Path, model: str) -> contextlib.AbstractContextManager[Host]:
    """`mlflow models serve` of the registered model: its usual one worker, and no line a request."""
    command = f"mlflow models serve -m models:/{model}@champion --env-manager local --port {{port}}"
    return _hosted(
        command, home, "/ping", {"MLFLOW_TRACKING_URI": store(home), "UVICORN_ACCESS_LOG": "false"}
    )


@contextlib.contextmanager
def _hosted(command: str, home: Path, probe: str, asked: dict[str, str]) -> Iterator[Host]:
    port = free_port()
    arguments = command.format(port=port).split()
    began = time.monotonic()
    # A session of its own: all that the service starts ends with it.
    child = subprocess.Popen(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env={**_environment(home), **asked},
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait(child, f"http://127.0.0.1:{port}{probe}", arguments[0])
        yield Host(port, time.monotonic() - began)
    finally:
        _end(child)


def _environment(home: Path) -> dict[str, str]:
    # `mlflow models serve` looks for uvicorn on the path.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    ours = {"LIFECYCLE_HOME": str(home), "LIFECYCLE_API_KEYS": KEY, "LIFECYCLE_WORKERS": "1"}
    theirs = {"BENTOML_DO_NOT_TRACK": "True", "MLFLOW_DISABLE_TELEMETRY": "true"}
    return {
        **os.environ,
        **ours,
        **theirs,
        "PATH": path,
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_WAIT_POLICY": "passive",
    }


def _wait(child: subprocess.Popen, url: str, name: str) -> None:
    until = time.monotonic() + READY_SECONDS
    while child.poll() is None and time.monotonic() < until:
        with (
            contextlib.suppress(urllib.error.URLError, OSError),
            urllib.request.urlopen(url, timeout=5) as said,
        ):
            if said.status == 200:
                return
        time.sleep(0.02)
    raise SystemExit(f"{name} is not ready after {READY_SECONDS} s (or ended)")


def _end(child: subprocess.Popen) -> None:
    for ending in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(child.pid, ending)
            child.wait(20)


@contextlib.contextmanager
def silent_server() -> Iterator[str]:
    """The address of a server that takes connections and never answers: worse than one that refuses them."""
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen(64)
        yield f"http://127.0.0.1:{mute.getsockname()[1]}"
