"""`lifecycle serve` for real: a key shown once, a line that works as printed, an end that ends
everything.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from features.core.errors import BadSetting, ReleaseRefused, StoreFailed
from serving.api import keys, serve
from tests.support.businesses import scores


@pytest.fixture
def port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.mark.slow
def test_the_printed_line_works_and_the_key_is_shown_once(trained_shop, home, port):
    shutil.copytree(trained_shop.home, home, dirs_exist_ok=True)
    environment = {
        **os.environ,
        "LIFECYCLE_HOME": str(home),
        "MLFLOW_TRACKING_URI": "http://127.0.0.1:1",
    }
    environment.pop("LIFECYCLE_API_KEYS", None)
    command = [sys.executable, "-m", "lifecycle", "serve", "--port", str(port), "--json"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as child:
        try:
            told = json.loads(next(line for line in child.stdout if line.startswith("{")))
            assert keys.load_keys().accepts(told["key"])
            assert told["key"] not in (home / "keys.json").read_text()
            first = scores(trained_shop)["customer_id"][0].as_py()
            if shutil.which("curl"):
                said = subprocess.run(
                    ["bash", "-c", told["curl"]], capture_output=True, check=True
                ).stdout
            else:
                asked = urllib.request.Request(
                    f"{told['url']}/v1/score",
                    json.dumps({"customer_ids": [first]}).encode(),
                    {"Authorization": f"Bearer {told['key']}", "Content-Type": "application/json"},
                )
                said = urllib.request.urlopen(asked).read()
            assert [entry["customer_id"] for entry in json.loads(said)["scores"]] == [first]
        finally:
            child.send_signal(signal.SIGKILL if sys.platform == "linux" else signal.SIGTERM)
            child.wait(timeout=30)
    until = time.monotonic() + 60
    while _listens(port) and time.monotonic() < until:
        time.sleep(0.1)
    assert not _listens(port)


@pytest.mark.slow
def test_ctrl_c_is_the_way_a_service_ends(trained_shop, home, port, default_interrupts):
    shutil.copytree(trained_shop.home, home, dirs_exist_ok=True)
    command = [sys.executable, "-m", "lifecycle", "serve", "--port", str(port), "--json"]
    with subprocess.Popen(
        command,
        env={**os.environ, "LIFECYCLE_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as child:
        next(line for line in child.stdout if line.startswith("{"))
        os.killpg(child.pid, signal.SIGINT)  # a terminal interrupts all that runs in it
        said = child.communicate(timeout=60)[1]
    assert child.returncode == 0
    assert "Traceback" not in said
    assert not _listens(port)


def _listens(port):
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


def test_a_line_with_an_awkward_id_stays_one_argument():
    ready = serve.Ready("http://h", "k", """it's "7"\\ü""")
    argument = subprocess.run(
        ["bash", "-c", ready.curl.replace("curl ", "printf '%s\\n' ", 1)],
        capture_output=True,
        text=True,
        check=True,
    )
    body = argument.stdout.splitlines()[argument.stdout.splitlines().index("-d") + 1]
    assert json.loads(body) == {"customer_ids": ["""it's "7"\\ü"""]}
    assert "$LIFECYCLE_KEY" in serve.Ready("http://h", None, None).curl


def test_a_taken_port_and_a_missing_release_are_said_before_anything_starts(port):
    with pytest.raises(ReleaseRefused, match="no promoted release"):
        serve.serve(host="127.0.0.1", port=port, on_ready=print)
    assert keys.load_keys().source == "none"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        with pytest.raises(BadSetting, match="cannot be used"):
            serve.listen("127.0.0.1", port)


def test_a_key_file_that_cannot_be_read_is_said_before_anything_starts(trained_shop, home, port):
    (home / "mlruns").symlink_to(trained_shop.home / "mlruns")
    (home / "keys.json").write_text("{")
    with pytest.raises(StoreFailed, match="lifecycle key new"):
        serve.serve(host="127.0.0.1", port=port, on_ready=print)
    assert (home / "keys.json").read_text() == "{"
    assert not _listens(port)


@pytest.mark.long
def test_it_answers_without_what_training_needs(trained_shop):
    """`pip install .[serve]` has no MLflow, Optuna, scikit-learn or matplotlib, and `training` must
    not be asked for.
    """
    code = """
import importlib.abc, sys, warnings
warnings.simplefilter("ignore")
class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("mlflow", "optuna", "sklearn", "matplotlib", "training"):
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Absent())
from starlette.testclient import TestClient
from serving.api.service import Lifecycle
with TestClient(Lifecycle.to_asgi(), headers={"Authorization": "Bearer k"}) as client:
    event = {"occurred_at": "2024-01-01T00:00:00Z", "amount": 5}
    one = {"customer_id": "1", "transactions": [event]}
    body = {"as_of": "2024-02-01T00:00:00Z", "customers": [one]}
    said = client.post("/v1/score", json=body)
    print(said.status_code, said.json()["scores"][0]["stage"], client.get("/v1/model").status_code)
"""
    environment = {
        **os.environ,
        "LIFECYCLE_HOME": str(trained_shop.home),
        "LIFECYCLE_API_KEYS": "k",
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.split()[0::2] == ["200", "200"], done.stderr[-2000:]
