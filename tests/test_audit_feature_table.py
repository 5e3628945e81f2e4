"""Anybody's feature table: a clean one is accused of nothing, each planted leak is named."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from benchmarks.planted_features import HONEST, LEAKS, honest, plant
from features.audit import table_text
from features.core import errors
from features.core.instants import DAY_US
from lifecycle import business as lc
from lifecycle import simulation
from lifecycle.business import open_business
from tests.support.command_line import run_here

SQL = (
    "SELECT customer_id, make_timestamp(occurred_at) AS occurred_at, {amount}::DOUBLE AS amount "
    "FROM {table} WHERE kind = '{kind}'"
)
ACTIVITY = {
    "retail": {"table": "transactions", "kind": "purchase", "amount": "amount"},
    "subscription": {"table": "interactions", "kind": "usage", "amount": "coalesce(quantity, 1)"},
}
PLANTED = sorted(name for names in LEAKS.values() for name in names)


def dates_of(history, settings, count=4):
    """Instants whose outcomes are known, a horizon and a half apart."""
    step = settings.churn.horizon_days * DAY_US
    newest = (history.data_until - settings.outcome_window_us) // DAY_US * DAY_US
    return [int(newest - number * 1.5 * step) // DAY_US * DAY_US for number in range(count)][::-1]


def frames_of(shop, mode="retail"):
    """(our exported rows, leaky columns, honest columns): frames with equal rows."""
    dates = [pd.Timestamp(at, unit="us", tz="UTC") for at in dates_of(shop.history, shop.settings)]
    rows = shop.features(as_of=dates)
    events = shop.history.connection.execute(SQL.format(**ACTIVITY[mode]))
    events = events.to_arrow_table().to_pandas()
    events["occurred_at"] = pd.to_datetime(events.occurred_at, utc=True)
    rng = np.random.default_rng(11)
    leaky = plant(rows, events, horizon_days=shop.settings.churn.horizon_days, rng=rng)
    return rows, leaky, honest(rows, events, rng=rng)


def columns_of(report, *severities):
    """The columns of the findings; a value of a text is one of its column."""
    findings = [one for one in report["findings"] if one["severity"] in severities]
    return {one["where"].partition(" = ")[0] for one in findings}


@pytest.fixture(scope="module")
def opened(shop):
    _, settings, history = shop
    return lc.Business(settings, history, {})


@pytest.fixture(scope="module")
def frames(opened):
    return frames_of(opened)


@pytest.fixture(scope="module")
def judged(opened, frames):
    """The judgement of a table that has ours, honest ones of another kind, and the leaky ones."""
    ours, leaky, other = frames
    keys = ["customer_id", "as_of"]
    return opened.audit(features=ours.merge(leaky, on=keys).merge(other, on=keys))


def test_only_the_planted_columns_are_accused(judged):
    assert columns_of(judged, "leak") == columns_of(judged, "leak", "review") == set(PLANTED)
    assert not judged["passed"]


@pytest.mark.parametrize(
    ("column", "kinds"),
    [
        ("recency_a_day_later", {"time travel"}),
        ("spend_at_window_end", {"time travel"}),
        ("orders_at_export", {"time travel", "as of the export"}),
        ("risk_score", {"reveals the outcome", "foretells the outcome"}),
        ("winback_result", {"missing values reveal the outcome"}),
        (
            "survey_answer",
            {"missing values foretell the outcome", "missing values reveal the outcome"},
        ),
        ("orders_next_30d", {"time travel"}),
        ("lifetime_value", {"as of the export"}),
        ("account_state", {"changes only after leaving"}),
    ],
)
def test_each_kind_is_named_with_its_evidence(judged, column, kinds):
    of_column = [one for one in judged["findings"] if one["where"] == column]
    assert kinds & {one["kind"] for one in of_column}
    assert all(any(letter.isdigit() for letter in one["reason"]) for one in of_column)
    assert all(one["fix"] for one in of_column if one["severity"] == "leak")


def test_time_travel_names_our_column_the_instant_and_both_shares(judged):
    reasons = {one["where"]: one["reason"] for one in judged["findings"]}
    assert "equals recency 1 day after as_of in 100.0%" in reasons["recency_a_day_later"]
    assert "the end of the outcome window" in reasons["spend_at_window_end"]


def test_our_own_columns_are_recomputed_and_cleared(judged, frames):
    cleared = {one["name"] for one in judged["columns"] if one["cleared"]}
    assert set(frames[0].columns) - {"customer_id", "as_of"} - cleared == set()
    assert not {*PLANTED, *HONEST} & cleared - {"days_known"}


def test_the_text_says_what_equals_what_and_names_nobody(judged, frames):
    text = table_text(judged)
    assert "days_known equals tenure" in text
    assert "FAILED" in text
    everything = text + json.dumps(judged)
    assert not [one for one in frames[0].customer_id.unique() if f'"{one}"' in everything]


@pytest.mark.slow
@pytest.mark.long
def test_every_row_of_the_file_is_counted(opened, frames):
    rows = frames[0][["customer_id", "as_of", "recency"]]
    late = rows.head(5).assign(as_of=pd.Timestamp("2099-01-01", tz="UTC"))
    early = rows.head(4).assign(as_of=pd.Timestamp("2000-01-01", tz="UTC"))
    nobody = rows.head(3).assign(customer_id="nobody")
    report = opened.audit(features=pd.concat([rows, rows.head(7), late, early, nobody]))
    counts = report["rows"]
    assert counts["matched"] == len(rows)
    parts = ("repeated", "after_the_data", "unknown_customer", "without_activity", "matched")
    assert [counts[name] for name in parts[:4]] == [7 + 2, 5, 1, 4]
    assert sum(counts[name] for name in parts) == counts["read"]
    assert "are of customers who are in no table" in str(report)


def test_units_roundings_fills_and_other_names_are_recognised(opened, frames):
    ours = frames[0]
    table = ours[["customer_id", "as_of"]].assign(
        hours=ours.recency * 24,
        whole_days=np.floor(ours.recency),
        logged=np.log1p(ours.amount_all),
        minus_one=ours.usual_gap.fillna(-1),
        last_seen=ours.as_of - pd.to_timedelta(ours.recency, unit="D"),
        lifecycle=ours.stage.astype(str),
    )
    report = opened.audit(features=table)
    equals = {one["name"]: one["equals"] for one in report["columns"] if one["cleared"]}
    assert set(equals) == set(table.columns) - {"customer_id", "as_of"}
    assert (equals["hours"], equals["lifecycle"]) == ("recency", "stage")
    assert report["passed"]
    assert report["findings"] == []


@pytest.mark.long
@pytest.mark.slow
def test_csv_and_parquet_and_any_order_of_rows_are_judged_alike(opened, frames, tmp_path):
    table = frames[1].merge(frames[2], on=["customer_id", "as_of"])
    table.to_parquet(tmp_path / "t.parquet")
    table.sample(frac=1, random_state=3).to_csv(tmp_path / "t.csv", index=False)
    reports = [opened.audit(features=tmp_path / name) for name in ("t.parquet", "t.csv")]
    for report in reports:
        report.pop("seconds")
    one, other = (json.loads(json.dumps(report)) for report in reports)
    assert {(f["where"], f["kind"]) for f in one["findings"]} == {
        (f["where"], f["kind"]) for f in other["findings"]
    }
    assert one["rows"] == other["rows"]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda t: t.drop(columns="as_of"), errors.ColumnMissing),
        (lambda t: t[["customer_id", "as_of"]], errors.ColumnMissing),
        (lambda t: t.head(0), errors.EmptyTable),
        (lambda t: t.assign(customer_id="nobody"), errors.EmptyTable),
    ],
)
def test_a_table_that_cannot_be_judged_is_refused(opened, frames, change, error):
    with pytest.raises(error):
        opened.audit(features=change(frames[0][["customer_id", "as_of", "recency"]]))


@pytest.mark.long
@pytest.mark.slow
def test_the_command_line_ends_with_one_where_a_column_is_a_leak(shop, frames, tmp_path):
    folder = shop[0]
    keys = ["customer_id", "as_of"]
    frames[0][[*keys, "recency"]].to_parquet(tmp_path / "clean.parquet")
    frames[1][[*keys, "recency_a_day_later"]].to_csv(tmp_path / "leaky.csv", index=False)
    config = folder / "lifecycle.toml"
    passed = run_here("audit", "-c", config, "--features", tmp_path / "clean.parquet")
    assert passed.returncode == 0, passed.stderr
    failed = run_here("audit", "-c", config, "--features", tmp_path / "leaky.csv", "--json")
    assert failed.returncode == 1, failed.stderr
    assert json.loads(failed.stdout)["findings"][0]["kind"] == "time travel"
    missing = run_here("audit", "-c", config, "--features", tmp_path / "none.csv")
    assert missing.returncode == 3
    assert "Correct the path of none.csv" in missing.stderr


@pytest.mark.long
@pytest.mark.parametrize("mode", ["retail", "subscription"])
@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
def test_in_five_other_worlds_too(tmp_path, seed, mode):
    simulated = simulation.simulate(customers=600, seed=seed, mode=mode)
    simulation.write(simulated, folder=tmp_path)
    shop = open_business(tmp_path / "lifecycle.toml")
    ours, leaky, other = frames_of(shop, mode)
    clean = shop.audit(features=ours)
    assert clean["findings"] == []
    assert all(one["cleared"] for one in clean["columns"] if one["auroc"] is not None)
    keys = ["customer_id", "as_of"]
    report = shop.audit(features=leaky.merge(other, on=keys))
    accused = columns_of(report, "leak")
    if mode == "retail":
        assert columns_of(report, "leak", "review") == accused == set(PLANTED)
    else:
        # Who leaves is a question of contracts there: three columns say nothing of it.
        assert {*LEAKS["time travel"], *LEAKS["constant"]} <= accused <= set(PLANTED)
