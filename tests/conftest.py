"""What every test stands on: a home of its own, one thread a process, and small businesses made once a session."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from features.core.instants import midnight_before

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"

import pytest

from features.core import settings
from features.tables import history
from lifecycle import simulation
from serving.batch import run_folders
from serving.release import release
from training import job
from training.promote import promote

DATA = Path(
    os.environ.get("LIFECYCLE_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data"
)


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


@dataclass(frozen=True)
class Business:
    """A business with a promoted release and a finished batch run, in a home of its own."""

    home: Path
    folder: Path
    settings: settings.Settings
    history: history.History
    trained: job.Trained
    release: release.Release
    run: run_folders.Run


@pytest.fixture(scope="session")
def trained_shop(shop, tmp_path_factory):
    return _trained(shop, tmp_path_factory.mktemp("home-shop"))


@pytest.fixture(scope="session")
def trained_subscriptions(subscriptions, tmp_path_factory):
    return _trained(subscriptions, tmp_path_factory.mktemp("home-subscriptions"))


def _trained(business, home):
    folder, stated, found = business
    quick = stated.training.model_copy(
        update={"trials": 2, "seconds": 30, "evaluate": [], "max_dates": 6, "step_days": 45}
    )
    stated = stated.model_copy(update={"training": quick})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIFECYCLE_HOME", str(home))
        made = job.train(found, stated)
        served = promote(made.folder.name)
        run = run_folders.score(
            found, stated, served, as_of=midnight_before(found.data_until, stated.zone)
        )
    return Business(home, folder, stated, found, made, served, run)
