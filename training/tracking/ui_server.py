"""MLflow's pages over this store, on this machine alone."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable

from features.core.errors import BadSetting
from features.core.settings import home

# Seconds the server has to stop before it is killed.
STOP_WITHIN_S = 10
# Called with the address of the pages once it is known.
Announce = Callable[[str], None]


def public_url(address: str) -> str | None:
    """The address of an MLflow server without its user and password; None for another store."""
    if not address.startswith(("http://", "https://")):
        return None
    return re.sub(r"//[^/@]*@", "//", address)


def refuse_taken_port(host: str, port: int) -> None:
    """BadSetting where the port cannot be used."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise BadSetting(
                where="--port",
                got=error.strerror or "a port that cannot be used",
                rule="MLflow's pages need a free port.",
                fix="Type another one: lifecycle ui --port 5001.",
                values=[port],
            ) from error


def run_server(address: str, host: str, port: int) -> int:
    """Run MLflow's server until ctrl-c; its exit code."""
    server = _start(address, host, port)
    default = signal.default_int_handler
    former = {each: signal.signal(each, default) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        return server.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        for each, action in former.items():
            signal.signal(each, action)
        _stop(server)


def _start(address: str, host: str, port: int) -> subprocess.Popen[bytes]:
    # The address may hold a password: arguments are visible to every user of the machine, the
    # environment is not.
    switches = {
        "MLFLOW_BACKEND_STORE_URI": address,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_ENABLE_AI_GATEWAY": "false",
        "MLFLOW_DEFAULT_ARTIFACT_ROOT": (home() / "mlruns" / "artifacts").as_uri(),
    }
    server = ["-m", "mlflow", "server", "--host", host, "--port", str(port), "--workers", "1"]
    # A session of its own: ctrl-c reaches this process alone, which then stops the server and
    # everything that it started.
    return subprocess.Popen(
        [sys.executable, *server],
        env={**os.environ, **switches},
        start_new_session=os.name == "posix",
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _stop(server: subprocess.Popen[bytes]) -> None:
    _signal(server, "SIGTERM")
    try:
        server.wait(STOP_WITHIN_S)
    except subprocess.TimeoutExpired:
        _signal(server, "SIGKILL")


def _signal(server: subprocess.Popen[bytes], name: str) -> None:
    with contextlib.suppress(ProcessLookupError):
        if os.name == "posix":
            os.killpg(server.pid, getattr(signal, name))
        else:
            server.terminate()


def print_url(url: str) -> None:
    print(f"MLflow at {url} (ctrl-c ends it)", flush=True)
