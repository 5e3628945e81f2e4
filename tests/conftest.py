"""What every test stands on: a home of its own, one thread a process, and the shared fixtures.

Fixtures that several modules share live in the plugins named here.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
# A hundred child processes compile the modules of this project once, and not each of them anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

import pytest
from hypothesis import settings

from features.core.progress import set_quiet

pytest.register_assert_rewrite("tests.support")
# Laws are tried on fewer examples where every change waits for them; `make test-long` tries more.
settings.register_profile("quick", max_examples=40)
settings.load_profile("quick")
pytest_plugins = [
    "tests.support.browser",
    "tests.support.businesses",
    "tests.support.campaigns",
    "tests.support.damaged_home",
    "tests.support.init_data",
    "tests.support.running_services",
    "tests.support.served_pages",
    "tests.support.services",
    "tests.support.simulation_outcomes",
    "tests.support.tracking_stores",
]
SLOW_TIMEOUT_SECONDS = 900


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A slow test may take longer than the timeout of the others."""
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SLOW_TIMEOUT_SECONDS))


@pytest.fixture(autouse=True)
def default_progress() -> Iterator[None]:
    """No test leaves progress switched on, or off, for those after it."""
    yield
    set_quiet(None)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """LIFECYCLE_HOME of this test alone; no test writes into the checkout."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("LIFECYCLE_HOME", str(folder))
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def default_interrupts() -> Iterator[None]:
    """Ctrl-C interrupts this process and the children it starts.

    Where the tests run in the background SIGINT is ignored from the start, and children inherit
    that.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
