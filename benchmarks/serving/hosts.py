"""The services as child processes on free ports; each is stopped with all its children."""

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
    """A service on `port`; `ready_s`: seconds from the start of its process to a ready probe.

    `pid`: the id of the process that was started.
    """

    port: int
    ready_s: float
    pid: int


def free_port() -> int:
    with socket.socket() as probe_socket:
        probe_socket.bind(("127.0.0.1", 0))
        return probe_socket.getsockname()[1]


def store(home: Path) -> str:
    """The MLflow store of a home, independent of the caller's environment."""
    return f"sqlite:///{home / 'mlruns' / 'mlflow.db'}"


def lifecycle(
    home: Path, *, tracking: str | None = None
) -> contextlib.AbstractContextManager[Host]:
    """`lifecycle serve`, one worker."""
    return _run_service(
        "lifecycle serve --port {port}",
        home,
        "/readyz",
        {"MLFLOW_TRACKING_URI": tracking or store(home)},
    )


def bento(home: Path, service: str) -> contextlib.AbstractContextManager[Host]:
    """`module:Class` of `benchmarks.serving`, started as `lifecycle serve` starts: one worker."""
    command = f"bentoml serve benchmarks.serving.{service} --host 127.0.0.1 --port {{port}}"
    return _run_service(
        command, home, "/readyz", {"BENTOML_HOME": str(home / "mlruns" / "bentoml")}
    )


def mlflow(home: Path, model: str) -> contextlib.AbstractContextManager[Host]:
    """`mlflow models serve` of the registered model: one worker as by default, no access log."""
    command = f"mlflow models serve -m models:/{model}@champion --env-manager local --port {{port}}"
    return _run_service(
        command, home, "/ping", {"MLFLOW_TRACKING_URI": store(home), "UVICORN_ACCESS_LOG": "false"}
    )


@contextlib.contextmanager
def _run_service(command: str, home: Path, probe: str, extra: dict[str, str]) -> Iterator[Host]:
    port = free_port()
    arguments = command.format(port=port).split()
    began = time.monotonic()
    # A session of its own, so that all child processes end with the service.
    child = subprocess.Popen(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env={**_environment(home), **extra},
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait(child, f"http://127.0.0.1:{port}{probe}", arguments[0])
        yield Host(port, time.monotonic() - began, child.pid)
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
            urllib.request.urlopen(url, timeout=5) as response,
        ):
            if response.status == 200:
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
    """The address of a server that accepts connections and never answers.

    That is worse than a server that refuses them.
    """
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen(64)
        yield f"http://127.0.0.1:{mute.getsockname()[1]}"
