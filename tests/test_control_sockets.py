"""`bentoml serve` takes commands from its owner alone."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import bentoml._internal.utils.circus as of_bentoml
import pytest

from features.core.errors import BadSetting
from serving.api import control_sockets
from tests.support.running_services import KEY

PROJECT = Path(__file__).parents[1]
NOBODY = 65534
COMMAND = """
import os, sys
from circus.client import CircusClient
from circus.exc import CallError
client = CircusClient(endpoint=sys.argv[1], timeout=3)
if sys.argv[2] != "0":
    client.stop()
    os.setgid(int(sys.argv[2]))
    os.setuid(int(sys.argv[2]))
    client = CircusClient(endpoint=sys.argv[1], timeout=3)
try:
    print(client.call({"command": "list", "properties": {}}))
except (CallError, OSError) as error:
    print("refused", type(error).__name__)
"""


@pytest.fixture
def for_sockets():
    """A folder with a short name: the path of a unix socket is limited."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


@pytest.fixture
def served_by_bentoml(trained_shop, home, tmp_path, for_sockets):
    """The folder of the control sockets of a running `bentoml serve`."""
    shutil.copytree(trained_shop.home, home, dirs_exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "bentoml", "serve", "serving.api.service:Lifecycle"]
    own = {"LIFECYCLE_HOME": str(home), "LIFECYCLE_API_KEYS": KEY, "TMPDIR": str(for_sockets)}
    with subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--port", str(port)],
        cwd=PROJECT,
        env=os.environ | own | {"BENTOML_HOME": str(tmp_path / "bentoml")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            wait_until_ready(port, process)
            [folder] = for_sockets.glob("lifecycle-control-*")
            yield process, folder, port
        finally:
            process.terminate()
    assert not folder.exists()


def wait_until_ready(port, process):
    until = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < until:
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer,
        ):
            assert answer.status == 200
            return
        time.sleep(0.2)
    raise AssertionError("bentoml serve did not become ready")


def command_as(account, folder):
    said = subprocess.run(
        [sys.executable, "-c", COMMAND, f"ipc://{folder}/commands", str(account)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return said.stdout.strip() or said.stderr.strip().splitlines()[-1]


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_its_owner_can_command_it_and_no_other_account(served_by_bentoml):
    process, folder, port = served_by_bentoml
    assert folder.stat().st_mode & 0o777 == 0o700
    assert "'watchers'" in command_as(0, folder)
    if os.getuid() == 0:
        assert command_as(NOBODY, folder) == "refused CallError"
    table = Path(f"/proc/{process.pid}/net/tcp").read_text().splitlines()[1:]
    own = {
        os.readlink(link).removeprefix("socket:[").removesuffix("]")
        for link in Path(f"/proc/{process.pid}/fd").iterdir()
    }
    # Its workers hold as many connections as their files allow, as those of `lifecycle serve` do.
    with contextlib.ExitStack() as opened:
        idle = [
            opened.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(60)
        ]
        for one in idle * 2:
            one.settimeout(60)
            one.sendall(b"GET /livez HTTP/1.1\r\nHost: here\r\n\r\n")
            answer = b""
            while not answer.endswith(b"\r\n\r\n\n"):
                answer += one.recv(4096) or b"closed\r\n\r\n\n"
            assert answer.startswith(b"HTTP/1.1 200")
    lines = [line.split() for line in table]
    heard = {line[1] for line in lines if line[3] == "0A" and line[9] in own}
    assert heard == {f"0100007F:{port:04X}"}


def test_a_version_whose_ports_cannot_be_closed_is_refused(monkeypatch):
    monkeypatch.delattr(of_bentoml, control_sockets.FUNCTION)
    with pytest.raises(BadSetting, match="cannot be closed"):
        control_sockets.close_control_ports()


@pytest.mark.parametrize("length", [10, 60, 75, 76, 90, 104, 150])
def test_a_long_name_of_the_temporary_folder_leaves_room_for_a_socket(
    tmp_path, monkeypatch, length
):
    parent = tmp_path / ("x" * length)
    parent.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(parent))
    folder = control_sockets.make_folder()
    try:
        with socket.socket(socket.AF_UNIX) as commands:
            commands.bind(str(folder / "commands"))
        assert folder.stat().st_mode & 0o777 == 0o700
    finally:
        shutil.rmtree(folder)


def test_where_no_short_name_is_free_the_variable_to_set_is_named(monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", "/" + "x" * 100)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(BadSetting, match="TMPDIR=/tmp"):
        control_sockets.make_folder()
