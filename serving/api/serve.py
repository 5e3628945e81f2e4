"""`lifecycle serve`: a key if there is none, BentoML on one port, a curl line once it answers."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from features.core.errors import BadSetting, StoreFailed
from features.core.settings import home, workers
from serving.api import keys, lookup
from serving.release import release as releases

READY_SECONDS, END_SECONDS = 120, 15


@dataclass(frozen=True)
class Ready:
    """Where the service answers, and a `customer` to try.

    `key` only where it was made now: it is stored as a hash and never shown again.
    """

    url: str
    key: str | None
    customer: str | None

    @property
    def curl(self) -> str:
        """A line that works as it is with a new key, else after LIFECYCLE_KEY was set."""
        key = self.key or "$LIFECYCLE_KEY"
        request = f"{self.url}/v1/model"
        if self.customer is not None:
            quoted = self.customer.replace("\\", "\\\\").replace('"', '\\"').replace("'", "'\\''")
            body = f'{{"customer_ids": ["{quoted}"]}}'
            request = f"-H 'Content-Type: application/json' -d '{body}' {self.url}/v1/score"
        return f'curl -H "Authorization: Bearer {key}" {request}'


def serve(*, host: str, port: int, on_ready: Callable[[Ready], None]) -> int:
    """Serve until interrupted; the exit code, 0 after an interrupt.

    ReleaseRefused where nothing was promoted, BadSetting for a used port.
    """
    refuse_without_bentoml()
    releases.current_release_folder()
    workers()  # a wrong number is refused here with our message, and not inside BentoML
    refuse_used_port(host, port)
    key = keys.make_key() if keys.load_keys().source == "none" else None
    try:
        with _run_bentoml(host, port) as child:
            url = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"
            if _wait_until_ready(url, child):
                on_ready(Ready(url, key, example_customer_id()))
            return child.wait()
    except KeyboardInterrupt:
        return 0  # the normal way to end a service


def refuse_without_bentoml() -> None:
    """BadSetting where the service's libraries are not installed."""
    if importlib.util.find_spec("bentoml") is None:
        raise BadSetting(
            where="serve",
            got="no BentoML",
            rule="The service needs the extra 'serve'.",
            fix="pip install 'customer-lifecycle[serve]'",
        )


def refuse_used_port(host: str, port: int) -> None:
    """BadSetting where nothing can listen at this address."""
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        raise BadSetting(
            where="--port",
            got=f"an address that cannot be used ({error.strerror})",
            rule="The port is free.",
            fix="Give another --port, or stop the program that listens there.",
            values=[port],
        ) from error


@contextlib.contextmanager
def _run_bentoml(host: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """BentoML as a child process that ends with this one, however this one ends."""
    # BentoML imports from its working folder first: it must find this project, not the caller's.
    project = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "LIFECYCLE_HOME": str(home()), "BENTOML_DO_NOT_TRACK": "True"}
    environment.setdefault("BENTOML_HOME", str(home() / "mlruns" / "bentoml"))
    command = [sys.executable, "-m", "bentoml", "serve", "serving.api.service:Lifecycle"]
    command += ["--host", host, "--port", str(port)]
    preexec = _end_with_parent if sys.platform == "linux" else None
    child = subprocess.Popen(command, cwd=project, env=environment, preexec_fn=preexec)
    former = signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    try:
        yield child
    except KeyboardInterrupt:
        with contextlib.suppress(KeyboardInterrupt, subprocess.TimeoutExpired):
            child.wait(timeout=END_SECONDS)  # the terminal interrupted the child too
        raise
    finally:
        signal.signal(signal.SIGTERM, former)
        if child.poll() is None:
            child.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(timeout=END_SECONDS)
            child.kill()


def _end_with_parent() -> None:
    """In the child: let the kernel send SIGTERM when the parent dies, also by SIGKILL."""
    import ctypes

    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)


def _wait_until_ready(url: str, child: subprocess.Popen[bytes]) -> bool:
    """Whether the service answers; False where the child ended. StoreFailed after READY_SECONDS."""
    until = time.monotonic() + READY_SECONDS
    while child.poll() is None:
        with (
            contextlib.suppress(urllib.error.URLError, OSError),
            urllib.request.urlopen(f"{url}/readyz", timeout=5) as response,
        ):
            return response.status == 200
        if time.monotonic() > until:
            raise StoreFailed(
                where="serve",
                got=f"no answer within {READY_SECONDS} seconds",
                rule="The service becomes ready.",
                fix="Read the lines above, and run `lifecycle doctor`.",
            )
        time.sleep(0.1)
    return False


def example_customer_id() -> str | None:
    """The first id of the latest run; None where nothing was scored."""
    folder = lookup.latest_run_folder()
    if folder is None or not (folder / "scores.parquet").is_file():
        return None
    scores = pq.ParquetFile(folder / "scores.parquet")
    first = next(scores.iter_batches(batch_size=1, columns=["customer_id"]), None)
    return first["customer_id"][0].as_py() if first is not None and first.num_rows else None
