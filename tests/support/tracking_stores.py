"""Homes with a tracking store, a release that is served, a record.

A new store costs seconds: one is copied. So does a promotion, which starts a child process: where
that is not the promise, the loaded release is served.
"""

from __future__ import annotations

import shutil
import time
import warnings

import pytest

from tests.support.shared import build_for_source
from training.promote import PromotionCheck, serve_release
from training.tracking import store, tracking

RELEASE = "a-release-that-is-gone"


@pytest.fixture(scope="session")
def empty_store():
    """A made SQLite store that nobody has written into."""
    return build_for_source("empty-store", _make_store) / "mlflow.db"


def _make_store(folder):
    path = folder / "mlflow.db"
    with store._environment(f"sqlite:///{path}"):
        store.create_sqlite_store(path)


@pytest.fixture
def store_home(home, empty_store):
    """The test's own home, with an empty store."""
    (home / "mlruns").mkdir()
    shutil.copyfile(empty_store, home / "mlruns" / "mlflow.db")
    return home


@pytest.fixture
def release_home(store_home, trained_shop):
    """The test's own home with an empty store and the release of the shop, not promoted here."""
    folder = store_home / "mlruns" / "releases" / trained_shop.release.id
    shutil.copytree(trained_shop.release.folder, folder)
    return store_home, trained_shop.release.id


def serve(release):
    """Serve a release that is loaded already: `promote` without the child process."""
    return serve_release(release, PromotionCheck((), None))


def entry(**stated):
    now = time.time()
    return tracking.RunRecord(
        **{
            "job": "churn",
            "params": {"seed": 7},
            "metrics": {"eligible_auroc": 0.7},
            "began": now,
            "ended": now + 1,
            **stated,
        }
    )


def client(home=None):
    """A client of the store of a home (default: wherever the environment points)."""
    import mlflow

    where = f"sqlite:///{home / 'mlruns' / 'mlflow.db'}" if home else tracking.store_address()
    return mlflow.MlflowClient(tracking_uri=where, registry_uri=where)


def parents(home=None):
    """The parent runs of every business there, deleted ones left out."""
    found = client(home)
    experiments = [each.experiment_id for each in found.search_experiments()]
    return [
        run
        for run in found.search_runs(experiments, max_results=1000)
        if "lifecycle.job" in run.data.tags
    ]


def champion(model, home=None):
    """(release of the champion, of the challenger); None where there is none."""
    from mlflow.exceptions import MlflowException

    out = []
    for alias in ("champion", "challenger"):
        try:
            out.append(client(home).get_model_version_by_alias(model, alias).tags["release"])
        except MlflowException:
            out.append(None)
    return tuple(out)


def pyfunc():
    """mlflow.pyfunc; its first import warns about its own parts."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlflow.pyfunc
    return mlflow.pyfunc
