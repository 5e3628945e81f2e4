"""Own targets in scores: a column in the run, in answers by id and by events, and in Python, with
the same bits; null where nobody asked; and models for rows without a table.
"""

from __future__ import annotations

import numpy as np
import pyarrow.compute as pc
import pytest

import lifecycle as lc
from features.core.errors import NotEnoughData, ReleaseRefused
from features.core.target_schema import Target
from serving.api.answers import COLUMNS, entry_columns
from serving.api.questions import parse_request
from serving.api.state import ServingState
from serving.batch import run_folders
from serving.release.sandbox import load_in_subprocess
from serving.release.score_table import SCORE_TYPES, score_rows, score_table
from serving.scoring.over_time import time_columns
from tests.support.businesses import copied, scores, with_training
from tests.support.checks import nonempty
from tests.support.raw_events import request
from tests.support.targets import with_targets
from training import job, rates_job

PROBABILITIES = ("p_coin", "p_complains", "p_gone", "p_nobody")
AMOUNTS = tuple(
    f"{name}_{figure}" for name in ("same", "spend") for figure in ("expected", "q10", "q50", "q90")
)
TARGETS = (*PROBABILITIES, *AMOUNTS)
STATUS = {
    "coin": "no_skill",
    "complains": "ok",
    "gone": "ok",
    "nobody": "not_enough_data",
    "same": "no_skill",
    "spend": "ok",
}


@pytest.fixture
def state(trained_targets, monkeypatch):
    monkeypatch.setenv("LIFECYCLE_HOME", str(trained_targets.home))
    return ServingState.load()


@pytest.fixture(scope="module")
def run(trained_targets):
    return scores(trained_targets)


def test_the_run_has_a_column_for_each_target(run, trained_targets):
    over_time = time_columns(trained_targets.release.config)
    assert set(run.column_names) == {*SCORE_TYPES, *over_time, *TARGETS}
    place = run.column_names.index("next_stages") + 1
    assert run.column_names[place : place + len(over_time) + len(TARGETS)] == [*over_time, *TARGETS]
    everybody = run.filter(pc.is_valid(run["p_churn"]))
    assert everybody["p_gone"].equals(everybody["p_churn"])
    assert everybody["p_nobody"].null_count == everybody.num_rows
    asked = pc.is_valid(everybody["p_complains"])
    assert asked.equals(everybody["eligible"])
    assert len(everybody["p_coin"].unique()) <= 2
    for name in AMOUNTS:
        asked = pc.is_valid(everybody[name])
        assert asked.equals(everybody["eligible"]) or (name.startswith("spend") and pc.all(asked))
    assert set(everybody["same_expected"].drop_null().to_pylist()) == {5.0}
    prospects = run.filter(pc.is_null(run["p_churn"]))
    for name in TARGETS:
        assert prospects[name].null_count == prospects.num_rows
    for warnings in nonempty(everybody["warnings"].to_pylist()):
        assert {"p_coin:no_skill", "p_nobody:not_enough_data"} <= set(warnings)
        assert not [each for each in warnings if each.startswith(("p_gone", "p_complains"))]


def test_by_id_and_by_events_the_answer_is_the_run_to_the_bit(state, run, trained_targets):
    names = entry_columns((*time_columns(trained_targets.release.config), *TARGETS))
    expected = {row["customer_id"]: {name: row[name] for name in names} for row in run.to_pylist()}
    ids = [one for one, row in expected.items() if row["p_churn"] is not None][:60]
    by_id = state.score_by_id(
        parse_request({"customer_ids": [*ids, "nobody"]}).customer_ids, as_of=None
    )["scores"]
    assert [{name: entry[name] for name in names} for entry in by_id[:-1]] == [
        expected[one] for one in ids
    ]
    assert list(by_id[-1]) == list(by_id[0])
    assert by_id[-1]["error"] == "unknown_customer"
    at = trained_targets.run.as_of
    body = request(trained_targets.history, trained_targets.settings, ids, as_of=at)
    by_events = state.score_by_events(parse_request(body), now=at)["scores"]
    assert [{name: entry[name] for name in names} for entry in by_events] == [
        expected[one] for one in ids
    ]


@pytest.mark.slow
@pytest.mark.long
def test_a_table_that_was_not_sent_is_answered_by_a_model_without_it(state, trained_targets):
    at, release = trained_targets.run.as_of, trained_targets.release
    known = scores(trained_targets)
    ids = known.filter(known["eligible"])["customer_id"].to_pylist()[:40]
    body = request(trained_targets.history, trained_targets.settings, ids, as_of=at)
    for customer in body["customers"]:
        del customer["feedback"]
    entries = state.score_by_events(parse_request(body), now=at)["scores"]
    assert all("without:feedback" in entry["warnings"] for entry in nonempty(entries))
    (without,) = [each for each in release.sub_releases if each.lacks == ("feedback",)]
    read = {column.name: column.feature.tables for column in release.columns}
    for target in without.targets:
        assert not [name for name in target.columns if "feedback" in read[name]]
    assert all(entry["p_gone"] == entry["p_churn"] for entry in entries)
    for name in ("p_gone", "p_complains", "p_coin"):
        assert all(0 < entry[name] < 1 for entry in entries)
    assert all(entry["p_nobody"] is None for entry in entries)


@pytest.mark.slow
@pytest.mark.long
def test_python_gives_the_same_bits(trained_targets, monkeypatch, run, home):
    copied(trained_targets, home)
    shop = lc.Business(trained_targets.settings, trained_targets.history, {})
    model = lc.load_release()
    assert model.targets == STATUS
    rows = shop.features(as_of=shop_as_of(trained_targets), model=model, frames="arrow")
    predicted = model.predict(rows, frames="arrow")
    expected = {row["customer_id"]: row for row in run.to_pylist()}
    for row in nonempty(predicted.to_pylist()):
        for name in TARGETS:
            assert row[name] == expected[row["customer_id"]][name]
    examples = shop.examples(frames="arrow")
    assert examples.labels[2:] == (
        "target_gone",
        "target_coin",
        "target_nobody",
        "target_complains",
        "target_spend",
        "target_same",
    )
    assert not set(examples.labels) & set(examples.features)


def shop_as_of(business):
    return np.datetime64(business.run.as_of, "us").astype("datetime64[s]").item()


def test_one_row_and_many_rows_have_the_same_bits(trained_targets):
    rows = trained_targets.bare_examples.rows_at(trained_targets.dates.evaluate).slice(0, 60)
    together = score_rows(rows, trained_targets.release)
    for at in range(rows.num_rows):
        alone = score_rows(rows.slice(at, 1), trained_targets.release)
        assert alone.to_pylist() == together.slice(at, 1).to_pylist()


def test_a_run_under_other_targets_is_refused(trained_targets):
    fewer = {**trained_targets.settings.targets}
    del fewer["gone"]
    config = trained_targets.settings.model_copy(update={"targets": fewer})
    with pytest.raises(ReleaseRefused, match="differs in targets"):
        run_folders.refuse_other_configuration(trained_targets.release, config)


@pytest.mark.slow
@pytest.mark.long
def test_the_reference_names_targets(state):
    assert state.model_info()["targets"] == STATUS
    assert not set(TARGETS) & set(COLUMNS)


@pytest.mark.slow
@pytest.mark.long
def test_a_release_of_rates_has_empty_targets_that_say_so(trained_targets, store_home):
    why = NotEnoughData(where="training", got="too few", rule="More.", fix="Add.")
    trained = rates_job.train_rates(trained_targets.history, trained_targets.settings, why)
    report = trained.evaluation["targets"]
    assert {each["status"] for each in report.values()} == {"not_enough_data"}
    release = load_in_subprocess(trained.folder)
    rows = trained_targets.bare_examples.rows_at(trained_targets.dates.evaluate).slice(0, 9)
    table = score_rows(rows, release)
    for name in TARGETS:
        assert table[name].null_count == table.num_rows
    for missing in ((), ("feedback",)):
        scored = score_table(rows, release, prospects=[], as_of=0, stale=False, missing=missing)
        assert all("p_gone:not_enough_data" in each for each in scored["warnings"].to_pylist())
    assert "Not enough data among everyone: too few" in (trained.folder / "card.md").read_text()


@pytest.mark.slow
@pytest.mark.long
def test_a_target_of_a_business_with_contracts(trained_subscriptions, store_home):
    """Churn by contracts and a target of the same rows, in one release."""
    config = with_targets(
        with_training(trained_subscriptions.settings, max_dates=3, trials=1),
        annual=Target(label="SELECT customer_id FROM window.contracts WHERE plan = 'annual'"),
        pays="SELECT customer_id FROM window.transactions WHERE kind = 'purchase'",
    )
    trained = job.train(trained_subscriptions.history, config)
    assert trained.evaluation["targets"]["pays"]["status"] == "ok"
    release = load_in_subprocess(trained.folder)
    rows = trained_subscriptions.bare_examples.rows_at(trained_subscriptions.dates.evaluate)
    table = score_rows(rows, release)
    annual = table["p_annual"].to_numpy(zero_copy_only=False)
    if trained.evaluation["targets"]["annual"]["status"] == "ok":
        assert np.array_equal(np.isnan(annual), ~rows["eligible"].to_numpy())
    one = job.train(trained_subscriptions.history, config, only="churn")
    assert one.evaluation["targets"].keys() == trained.evaluation["targets"].keys()
