"""MLflow's pages over this store, on this machine alone."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable

from features.core.errors import BadSetting, StoreFailed
from features.core.language import say
from features.core.progress import print_status
from features.core.settings import home

# Seconds the server has to stop before it is killed, and to answer for the first time.
STOP_WITHIN_S = 10
ANSWER_WITHIN_S, ANNOUNCED_AFTER_S, POLL_S = 300.0, 2.0, 0.1
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


def page_url(base: str, experiment: str | None) -> str:
    """The page with the runs of an experiment; the first page where there is none.

    Without the workflow MLflow opens a page for language models, which has no run.
    """
    if experiment is None:
        return base
    return f"{base}/#/experiments/{experiment}/runs?workflowType=machine_learning"


def run_server(address: str, host: str, port: int, on_answer: Callable[[], None]) -> int:
    """Run MLflow's server until ctrl-c; its exit code. `on_answer` is called once it answers.

    StoreFailed where it ends before.
    """
    server = _start(address, host, port)
    default = signal.default_int_handler
    former = {each: signal.signal(each, default) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        _wait_for_answer(server, f"http://{host}:{port}/health")
        on_answer()
        return server.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        for each, action in former.items():
            signal.signal(each, action)
        _stop(server)


def _wait_for_answer(server: subprocess.Popen[bytes], url: str) -> None:
    began, announced = time.monotonic(), False
    while not _answers(url):
        waited = time.monotonic() - began
        if server.poll() is not None or waited > ANSWER_WITHIN_S:
            ended = server.poll() is not None
            raise StoreFailed(
                where="MLflow's server",
                got="it ended before it answered" if ended else f"no answer in {waited:.0f} s",
                rule="The pages are shown once the server answers.",
                fix="Type: lifecycle doctor. It says whether the store can be read.",
            )
        if waited > ANNOUNCED_AFTER_S and not announced:
            print_status(say("MLflow's server is starting"))
            announced = True
        time.sleep(POLL_S)


def _answers(url: str) -> bool:
    """Whether the server there is up: any other answer than 200 is not yet the page."""
    # A proxy does not know this machine's own ports.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with contextlib.suppress(OSError), opener.open(url, timeout=5) as answer:
        return bool(answer.status == 200)
    return False


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
