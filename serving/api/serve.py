"""`lifecycle serve`: a key if there is none, workers on one port, a curl line once it answers."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import socket
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow.parquet as pq

from features.core.errors import BadSetting, StoreFailed
from features.core.language import say
from features.core.progress import print_status
from features.core.settings import home, workers
from serving.api import key_file, keys, lookup
from serving.api.supervisor import Supervisor
from serving.release import release as releases

READY_SECONDS, PROBE_SECONDS = 120, 0.5
BACKLOG = 2048
# A closed terminal ends the service as SIGTERM does.
ENDS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


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
    """Serve until interrupted; the exit code, 0 after an interrupt or SIGTERM.

    ReleaseRefused where nothing was promoted, BadSetting for a used port, StoreFailed for a key
    file that cannot be read.
    """
    refuse_without_bentoml()
    releases.current_release_folder()
    known = keys.load_keys()
    if known.unreadable:
        key_file.stored_keys()  # its refusal says what to do: nobody could send a request
    count = workers()
    listener = listen(host, port)
    port = listener.getsockname()[1]
    key = None if known.count else key_file.make_key().text
    url = f"http://{_address_in_url(host)}:{port}"
    with (
        tempfile.TemporaryDirectory(prefix="lifecycle-meters-") as meters,
        # Of mode 0700: nobody else can say that a release was verified.
        tempfile.TemporaryDirectory(prefix="lifecycle-verified-") as marks,
    ):
        environment = {
            **os.environ,
            "LIFECYCLE_HOME": str(home()),
            # Where the workers' counters are added up (serving.api.metering).
            "PROMETHEUS_MULTIPROC_DIR": meters,
        }
        command = [sys.executable, "-P", "-m", "serving.api.worker", marks]
        print_status(
            say("loading the release in 1 worker")
            if count == 1
            else say("loading the release in {workers} workers", workers=count)
        )
        supervisor = Supervisor(command, listener, count, environment)
        former = {number: _stop_at(number, supervisor.stop) for number in ENDS}
        try:
            code = supervisor.run(
                is_ready=_readiness(url),
                on_ready=lambda: on_ready(Ready(url, key, example_customer_id())),
            )
            if code < 0:
                raise _killed(-code)
            return code
        except KeyboardInterrupt:
            return 0  # the normal way to end a service
        finally:
            supervisor.close()
            for number, action in former.items():
                signal.signal(number, action)


def _killed(number: int) -> StoreFailed:
    return StoreFailed(
        where="serve",
        got=f"a worker that signal {number} ended while it loaded",
        rule="Every worker loads the release and the latest run into memory.",
        fix="Free memory, or set LIFECYCLE_WORKERS to a smaller number; then serve again.",
    )


def _stop_at(number: signal.Signals, stop: Callable[[], None]) -> Any:
    """Stop at this signal, unless it is ignored (nohup); what handled it before."""
    former = signal.getsignal(number)
    if former is not signal.SIG_IGN:
        signal.signal(number, lambda *_: stop())
    return former


def refuse_without_bentoml() -> None:
    """BadSetting where the service's libraries are not installed."""
    if importlib.util.find_spec("bentoml") is None:
        raise BadSetting(
            where="serve",
            got="no BentoML",
            rule="The service needs the extra 'serve'.",
            fix="pip install 'customer-lifecycle[serve]'",
        )


def listen(host: str, port: int) -> socket.socket:
    """A listening socket, for all workers; BadSetting where nothing can listen at this address."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or "no such address"
        raise BadSetting(
            where="--port",
            got=f"an address that cannot be used ({reason})",
            rule="The port is free.",
            fix="Give another --port, or stop the program that listens there.",
            values=[port],
        ) from error


def _address_in_url(host: str) -> str:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"[{host}]" if ":" in host else host


def _readiness(url: str) -> Callable[[], bool]:
    """A question whether the service answers. StoreFailed when it does not in READY_SECONDS."""
    until = time.monotonic() + READY_SECONDS

    def is_ready() -> bool:
        # No proxy: the service is on this machine.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with (
            contextlib.suppress(OSError),
            opener.open(f"{url}/readyz", timeout=PROBE_SECONDS) as response,
        ):
            return response.status == 200
        if time.monotonic() > until:
            raise StoreFailed(
                where="serve",
                got=f"no answer within {READY_SECONDS} seconds",
                rule="The service becomes ready.",
                fix="Read the lines above, and run `lifecycle doctor`.",
            )
        return False

    return is_ready


def example_customer_id() -> str | None:
    """The first id of the latest run; None where nothing was scored."""
    folder = lookup.latest_run_folder()
    if folder is None or not (folder / "scores.parquet").is_file():
        return None
    scores = pq.ParquetFile(folder / "scores.parquet")
    first = next(scores.iter_batches(batch_size=1, columns=["customer_id"]), None)
    return first["customer_id"][0].as_py() if first is not None and first.num_rows else None
