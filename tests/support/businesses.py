"""Simulated businesses, with and without a trained release, made once a session for all workers.

`shop` and `subscriptions` have some 40 columns: most promises do not depend on how many there are.
`whole_shop` and `whole_subscriptions` are the same tables under the whole catalogue, and
`trained_catalogue` is a training of it.

The homes of trained businesses are shared: a test that writes takes `own_home`, a copy.
"""

from __future__ import annotations

import contextlib
import pickle
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.core import settings as settings_of
from features.core.instants import midnight_before
from features.core.settings import Settings
from features.recipes.recipe import FEATURES
from features.tables import history as histories
from features.tables.history import History
from lifecycle import simulation
from serving.batch import run_folders
from serving.release import release
from tests.support.shared import build_for_source, needed_fixtures, own_share
from tests.support.targets import OF_EVERY_KIND, with_targets
from training import examples, job, plan
from training.models.remembered_fits import remember_fits
from training.parallel import reproducible_fits
from training.promote import promote
from training.trained import Trained

# Every family is there, every table, both kinds of window and half-lives.
NARROW = frozenset(
    {
        "recency",
        "tenure",
        "active_life",
        "recency_interaction",
        "overdue",
        "usual_gap",
        "gap_cv",
        "p_no_activity",
        "active_days",
        "purchases",
        "activity_ewm",
        "amount",
        "amount_mean",
        "amount_max",
        "count_change",
        "inactive_streak",
        "interactions",
        "response_rate",
        "cancel_page_visits",
        "sessions",
        "channels_per_interaction",
        "distinct_categories",
        "satisfaction_last",
        "satisfaction_mean",
        "item_bias",
        "complaints",
        "complaints_open",
        "days_left",
        "auto_renews",
        "term_days",
        "price_per_day",
        "can_end",
        "cancelled_beyond",
        "p_alive",
        "past_windows",
        "past_retention_rate",
        "attribute_is",
        "attribute",
        "attribute_age",
        "attribute_changes",
    }
)
WINDOWS_DAYS = [60]
QUICK_TRAINING = {"trials": 2, "seconds": 30, "evaluate": [], "max_dates": 6, "step_days": 45}

Simulated = tuple[Path, Settings, History]


def with_features_off(settings: Settings, off: list[str]) -> Settings:
    """The settings with these families, features or columns switched off, and no others."""
    return settings.model_copy(
        update={"features": settings.features.model_copy(update={"off": off})}
    )


def with_training(settings: Settings, **training: object) -> Settings:
    """The settings with these keys of [training] changed."""
    return settings.model_copy(update={"training": settings.training.model_copy(update=training)})


def scores(business: Business) -> pa.Table:
    return pq.read_table(business.run.folder / "scores.parquet")


@pytest.fixture(scope="session")
def shop() -> Simulated:
    """A simulated retail business: (folder, settings, history)."""
    return _simulated("retail")


@pytest.fixture(scope="session")
def subscriptions() -> Simulated:
    """A simulated subscription business: (folder, settings, history)."""
    return _simulated("subscription")


@pytest.fixture(scope="session")
def whole_shop(shop: Simulated) -> Simulated:
    return _whole(shop)


@pytest.fixture(scope="session")
def whole_subscriptions(subscriptions: Simulated) -> Simulated:
    return _whole(subscriptions)


def _simulated(mode: str) -> Simulated:
    folder = build_for_source(mode, lambda folder: _write(folder, mode))
    settings = settings_of.load_settings(folder / "lifecycle.toml")
    history, _ = histories.load_history(settings)
    return folder, settings, history


def _write(folder: Path, mode: str) -> None:
    simulation.write(simulation.simulate(customers=400, days=760, mode=mode), folder=folder)
    off = ", ".join(f'"{name}"' for name in sorted(set(FEATURES) - NARROW))
    config = folder / "lifecycle.toml"
    text = config.read_text().replace("max_dates = 9", "max_dates = 3")
    # As many workers as cores run tests: a second thread each only gets in the way.
    more = f"[features]\nwindows_days = {WINDOWS_DAYS}\noff = [{off}]\n[engine]\nthreads = 1\n"
    config.write_text(f"{text}\n{more}")


def _whole(business: Simulated) -> Simulated:
    folder, settings, history = business
    features = settings.features.model_copy(update={"windows_days": None, "off": []})
    return folder, settings.model_copy(update={"features": features}), history


@dataclass(frozen=True)
class Business:
    """A business with a promoted release and a finished batch run, in a home of its own."""

    home: Path
    folder: Path
    settings: Settings
    history: History
    trained: Trained
    release: release.Release
    run: run_folders.BatchRun
    bare_examples: examples.Examples

    @cached_property
    def dates(self) -> plan.Plan:
        return plan.make_plan(self.history, self.settings)

    @cached_property
    def examples(self) -> examples.Examples:
        """The labelled rows of all dates, as the training made them."""
        columns = examples.example_columns(self.history, self.settings, self.dates).columns
        return replace(self.bare_examples, columns=columns)


TRAINED = ("trained_shop", "trained_subscriptions", "trained_catalogue", "trained_targets")


@pytest.fixture(scope="session", autouse=True)
def trained_by_turns(request: pytest.FixtureRequest) -> None:
    """Each worker first trains another one of the businesses that this session needs.

    Otherwise the second worker that needs a business stands still while the first one trains it.
    """
    for name in own_share(sorted(needed_fixtures(request.session.items) & set(TRAINED))):
        request.getfixturevalue(name)


@pytest.fixture(scope="session")
def trained_shop(shop: Simulated, request: pytest.FixtureRequest) -> Business:
    return _trained(request, "trained-shop", shop, QUICK_TRAINING)


@pytest.fixture(scope="session")
def trained_subscriptions(subscriptions: Simulated, request: pytest.FixtureRequest) -> Business:
    return _trained(request, "trained-subscriptions", subscriptions, QUICK_TRAINING)


@pytest.fixture(scope="session")
def trained_catalogue(whole_subscriptions: Simulated, request: pytest.FixtureRequest) -> Business:
    """The whole catalogue in one training, on few dates."""
    training = QUICK_TRAINING | {"trials": 1, "max_dates": 2, "step_days": 90}
    return _trained(request, "trained-catalogue", whole_subscriptions, training)


@pytest.fixture(scope="session")
def trained_targets(shop: Simulated, request: pytest.FixtureRequest) -> Business:
    """The shop with targets of its own: one of each status, and one of the eligible alone."""
    folder, settings, history = shop
    training = QUICK_TRAINING | {"trials": 1, "max_dates": 4}
    business = (folder, with_targets(settings, **OF_EVERY_KIND), history)
    return _trained(request, "trained-targets", business, training)


def _trained(
    request: pytest.FixtureRequest, name: str, business: Simulated, training: dict[str, object]
) -> Business:
    folder, settings, history = business
    settings = with_training(settings, **training)
    store = request.getfixturevalue("empty_store")
    place = build_for_source(name, lambda place: _train(place, settings, history, store))
    trained, run, bare_examples = pickle.loads((place / "results.pickle").read_bytes())
    return Business(
        place / "home",
        folder,
        settings,
        history,
        trained,
        release.load_release(trained.folder),
        run,
        bare_examples,
    )


def _train(place: Path, settings: Settings, history: History, store: Path) -> None:
    """Train, promote and score in `place/home`, and keep what the jobs returned beside it."""
    (place / "home" / "mlruns").mkdir(parents=True)
    shutil.copyfile(store, place / "home" / "mlruns" / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIFECYCLE_HOME", str(place / "home"))
        with reproducible_fits(), remember_fits():  # as job.train does
            training = job.TrainingRun(history, settings)
            trained = training.finish()
        promoted = promote(trained.folder.name)
        until = midnight_before(history.data_until, settings.zone)
        run = run_folders.score_batch(history, settings, promoted, as_of=until)
    # Columns hold functions, which cannot be written; they are listed anew in a moment.
    results = (trained, run, replace(training.examples, columns=()))
    (place / "results.pickle").write_bytes(pickle.dumps(results))


@pytest.fixture(scope="module", params=["trained_shop", "trained_subscriptions"])
def business(request: pytest.FixtureRequest) -> Business:
    """Both kinds of business, one after the other."""
    return request.getfixturevalue(request.param)


@pytest.fixture(
    scope="module",
    params=[
        "trained_shop",
        "trained_subscriptions",
        pytest.param("trained_catalogue", marks=[pytest.mark.slow, pytest.mark.long]),
    ],
)
def any_business(request: pytest.FixtureRequest) -> Business:
    """Both kinds of business, and the whole catalogue in test-long, one after the other."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def at_home(business: Business, monkeypatch: pytest.MonkeyPatch) -> Iterator[Business]:
    """A business with LIFECYCLE_HOME at its shared home, which must be the same afterwards."""
    monkeypatch.setenv("LIFECYCLE_HOME", str(business.home))
    before = files_of(business.home)
    yield business
    assert files_of(business.home) == before, "the home is shared: take own_home to write"


def files_of(home: Path) -> dict[str, int]:
    """Every file of releases, scores and keys with its time of change."""
    paths = [path for room in ("mlruns/releases", "scores") for path in (home / room).rglob("*")]
    paths += list(home.glob("keys.json"))
    return {str(path): path.stat().st_mtime_ns for path in paths if path.is_file()}


@pytest.fixture
def own_home(business: Business, home: Path) -> Business:
    """A business in a copy of its home, to write into; LIFECYCLE_HOME names the copy."""
    return copied(business, home)


def copied(business: Business, home: Path) -> Business:
    """The business in a copy of its home: files, the tracking store and the paths it holds."""
    shutil.copytree(business.home, home, dirs_exist_ok=True)
    _relocate(home / "mlruns" / "mlflow.db", str(business.home), str(home))

    def moved(path: Path) -> Path:
        return home / path.relative_to(business.home)

    return replace(
        business,
        home=home,
        trained=replace(business.trained, folder=moved(business.trained.folder)),
        release=replace(business.release, folder=moved(business.release.folder)),
        run=replace(business.run, folder=moved(business.run.folder)),
    )


def _relocate(database: Path, before: str, after: str) -> None:
    """MLflow keeps whole paths; in a copy of the store they name the copy."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        tables = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table'"
        ).fetchall()
        for (table,) in tables:
            columns = connection.execute(
                f'SELECT name, type FROM pragma_table_info("{table}")'
            ).fetchall()
            for column in (name for name, kind in columns if "CHAR" in kind or "TEXT" in kind):
                connection.execute(
                    f'UPDATE "{table}" SET "{column}" = replace("{column}", ?, ?) WHERE'
                    f' instr("{column}", ?)',
                    (before, after, before),
                )
        connection.commit()
