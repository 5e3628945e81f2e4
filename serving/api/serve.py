"""`lifecycle serve`: a key if there is none, BentoML on one port, and the curl line once it answers."""

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

READY_SECONDS = 120


@dataclass(frozen=True)
class Ready:
    """Where the service answers; `key` only when it was made now: it is stored as a hash and never shown again."""

    url: str
    key: str | None
    customer: str | None

    @property
    def curl(self) -> str:
        """A line that works as it stands where the key is new, and with $LIFECYCLE_KEY set where it is not."""
        key = self.key or "$LIFECYCLE_KEY"
        where = f"{self.url}/v1/model"
        if self.customer is not None:
            asked = self.customer.replace("\\", "\\\\").replace('"', '\\"').replace("'", "'\\''")
            where = f"-H 'Content-Type: application/json' -d '{{\"customer_ids\": [\"{asked}\"]}}' {self.url}/v1/score"
        return f'curl -H "Authorization: Bearer {key}" {where}'


def serve(*, host: str, port: int, tell: Callable[[Ready], None]) -> int:
    """Serve until interrupted (then 0); the exit code. ReleaseRefused where nothing was promoted, BadSetting for a taken port."""
    refuse_without_bentoml()
    releases.current()
    workers()  # refused here, with four lines, and not inside of BentoML
    refuse_taken(host, port)
    key = keys.make() if keys.found().source == "none" else None
    try:
        with _started(host, port) as child:
            url = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"
            if _ready(url, child):
                tell(Ready(url, key, some_customer()))
            return child.wait()
    except KeyboardInterrupt:
        return 0  # the way a service ends


def refuse_without_bentoml() -> None:
    """BadSetting where the service's libraries are not installed."""
    if importlib.util.find_spec("bentoml") is None:
        raise BadSetting(
            where="serve",
            got="no BentoML",
            rule="The service needs the extra 'serve'.",
            fix="pip install 'customer-lifecycle[serve]'",
        )


def refuse_taken(host: str, port: int) -> None:
    """BadSetting where nothing can listen at this address."""
    try:
        with socket.socket() as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind((host, port))
    except OSError as error:
        raise BadSetting(
            where="--port",
            got=f"an address that cannot be used ({error.strerror})",
            rule="The port is free.",
            fix="Name another --port, or stop what listens there.",
            values=[port],
        ) from error


@contextlib.contextmanager
def _started(host: str, port: int) -> Iterator[subprocess.Popen]:
    """BentoML as a child that ends with us, whichever way we end."""
    where = (
        Path(__file__).resolve().parents[2]
    )  # BentoML imports from its working folder first: ours, not the caller's
    settings = {**os.environ, "LIFECYCLE_HOME": str(home()), "BENTOML_DO_NOT_TRACK": "True"}
    settings.setdefault("BENTOML_HOME", str(home() / "mlruns" / "bentoml"))
    command = [
        sys.executable,
        "-m",
        "bentoml",
        "serve",
        "serving.api.service:Lifecycle",
        "--host",
        host,
        "--port",
        str(port),
    ]
    orphaned = _end_with_parent if sys.platform == "linux" else None
    child = subprocess.Popen(command, cwd=where, env=settings, preexec_fn=orphaned)
    ended = signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    try:
        yield child
    except KeyboardInterrupt:
        with contextlib.suppress(KeyboardInterrupt, subprocess.TimeoutExpired):
            child.wait(timeout=15)  # the terminal interrupted it too
        raise
    finally:
        signal.signal(signal.SIGTERM, ended)
        if child.poll() is None:
            child.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(timeout=15)
            child.kill()


def _end_with_parent() -> None:
    """In the child: ask the kernel for a SIGTERM when we die, also by a kill that we cannot catch."""
    import ctypes

    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)


def _ready(url: str, child: subprocess.Popen) -> bool:
    until = time.monotonic() + READY_SECONDS
    while child.poll() is None:
        with (
            contextlib.suppress(urllib.error.URLError, OSError),
            urllib.request.urlopen(f"{url}/readyz", timeout=5) as said,
        ):
            return said.status == 200
        if time.monotonic() > until:
            raise StoreFailed(
                where="serve",
                got=f"no answer within {READY_SECONDS} seconds",
                rule="The service becomes ready.",
                fix="Look at the lines above; try `lifecycle doctor`.",
            )
        time.sleep(0.1)
    return False


def some_customer() -> str | None:
    """The first id of the latest run, for the line to try; None where nothing was scored."""
    folder = lookup.pointed()
    if folder is None or not (folder / "scores.parquet").is_file():
        return None
    first = next(
        pq.ParquetFile(folder / "scores.parquet").iter_batches(
            batch_size=1, columns=["customer_id"]
        ),
        None,
    )
    return first["customer_id"][0].as_py() if first is not None and first.num_rows else None
