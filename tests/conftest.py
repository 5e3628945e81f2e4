"""What every test stands on: a home of its own, one thread a process, and small businesses made once a session."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"

import pytest

from features import history, settings, simulation

DATA = Path(os.environ.get("LIFECYCLE_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """LIFECYCLE_HOME of this test alone; no test writes into the checkout."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("LIFECYCLE_HOME", str(folder))
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="session")
def shop(tmp_path_factory):
    """A simulated retail business: (folder, settings, history)."""
    return _business(tmp_path_factory.mktemp("shop"), "retail")


@pytest.fixture(scope="session")
def subscriptions(tmp_path_factory):
    """A simulated subscription business: (folder, settings, history)."""
    return _business(tmp_path_factory.mktemp("subscriptions"), "subscription")


def _business(folder, mode):
    simulation.write(simulation.simulate(customers=400, days=760, mode=mode), folder=folder)
    stated = settings.load(folder / "lifecycle.toml")
    found, _ = history.load(stated)
    return folder, stated, found


def real(name: str) -> Path:
    """A real data file, or a skip that says what is missing."""
    path = DATA / name
    if not path.is_file():
        pytest.skip(f"real data absent: {name} under LIFECYCLE_DATA (see docs/data.md)")
    return path
