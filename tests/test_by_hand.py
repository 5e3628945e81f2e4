"""Five customers worked by hand at 2024-04-01 (UTC): base gap 30 days, multiples 2, 4, 8, horizon
60 days.
"""

from __future__ import annotations

import dataclasses

import pytest

from features.catalogue import FAMILIES
from features.core import settings
from features.core.errors import UnknownKey
from features.core.instants import DAY_US, instant
from features.engine.build import build, prospects
from features.engine.columns import list_columns
from features.recipes.definitions import learn_definitions
from features.recipes.population_stats import population_stats
from features.tables import history
from tests.support.checks import nonempty

TEN_DAYS = (
    "01-01",
    "01-11",
    "01-21",
    "01-31",
    "02-10",
    "02-20",
    "03-01",
    "03-11",
    "03-21",
    "03-31",
)
ROWS = [
    # Ann: gaps of 31 and 30 days; the last purchase lies exactly on the edge of the 30-day window.
    ("ann", "2024-01-01", "10.00", "", "purchase"),
    ("ann", "2024-02-01", "20.00", "", "purchase"),
    ("ann", "2024-03-02", "30.00", "", "purchase"),
    ("bob", "2024-03-31", "7.50", "", "purchase"),
    # Cid: bought once, gave it back.
    ("cid", "2023-09-01", "5.00", "", "purchase"),
    ("cid", "2023-09-03", "-5.00", "", "refund"),
    *(("dee", f"2024-{day}", "1.00", "", "purchase") for day in TEN_DAYS),
    # Eve: twice on one day, and a purchase nobody knew of before as_of.
    ("eve", "2024-02-10 09:00", "2.00", "", "purchase"),
    ("eve", "2024-02-10 17:00", "4.00", "", "purchase"),
    ("eve", "2024-03-01", "8.00", "2024-04-05", "purchase"),
]
WORKED = {
    "ann": {
        "stage": "growing",
        "stage_rule": "otherwise",
        "stage_if_inactive": "at_risk",
        "eligible": True,
        "n": 3,
        "streak": 3,
        "recency": 30,
        "tenure": 91,
        "active_life": 61,
        "usual_gap": 30.25,
        "overdue": 30 / 30.25,
        "gap_mean": 30.5,
        "gap_median": 30.5,
        "gap_last": 30,
        "active_days_30d": 1,
        "active_days_90d": 2,
        "active_days_all": 3,
        "amount_all": 60,
        "amount_90d": 50,
        "amount_mean": 20,
        "amount_max": 30,
        "amount_last_over_mean": 1.5,
        "recency_percentile": 1 / 4,
        "recency_over_longest_gap": 30 / 31,
        "count_change_30d": (1 - 1) / 2,
        "mean_activity_age": (91 + 60 + 30) / 3,
    },
    "bob": {
        "stage": "new",
        "stage_rule": "one_activity",
        "stage_if_inactive": "at_risk",
        "eligible": True,
        "n": 1,
        "recency": 1,
        "usual_gap": 30,
        "overdue": 1 / 30,
        "gap_mean": None,
        "gap_median": None,
        "amount_all": 7.5,
        "recency_refund": None,
    },
    "cid": {
        "stage": "dormant",
        "stage_rule": "overdue_dormant",
        "stage_if_inactive": "churned",
        "eligible": False,
        "n": 1,
        "recency": 213,
        "overdue": 7.1,
        "refund_share": 0.5,
        "recency_refund": 211,
        "purchases_all": 1,
        "active_days_90d": 0,
    },
    "dee": {
        "stage": "loyal",
        "stage_rule": "regular",
        "stage_if_inactive": "dormant",
        "eligible": True,
        "n": 10,
        "streak": 10,
        "usual_gap": 150 / 11,
        "gap_cv": 0,
        "recency_zscore": 1 - 10,
        "purchases_30d": 3,
        "active_days_90d": 9,
        "trend_ratio_30d": 3.5 / (10 / 4 + 0.5),
    },
    "eve": {
        "stage": "new",
        "stage_rule": "one_activity",
        "stage_if_inactive": "at_risk",
        "eligible": True,
        "n": 1,
        "recency": 50.625,
        "purchases_all": 2,
        "active_days_all": 1,
        "amount_all": 6,
        "amount_mean": 3,
    },
}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hand")
    text = "customer_id,occurred_at,amount,recorded_at,kind\n" + "".join(
        ",".join(row) + "\n" for row in ROWS
    )
    (folder / "t.csv").write_text(text)
    (folder / "c.csv").write_text(
        "customer_id,acquired_at\nann,2024-01-01\nfay,2024-02-02\ngus,2024-04-02\n"
    )
    stated = {
        "business": {"zone": "UTC"},
        "files": {"t": "t.csv", "c": "c.csv"},
        "churn": {"horizon_days": 60},
        "tables": {"transactions": "SELECT * FROM t", "customers": "SELECT * FROM c"},
        "stages": {"multiples": [2, 4, 8]},
        "features": {"windows_days": [30, 90]},
    }
    chosen = settings.settings_from_mapping(stated, folder=folder, where="test")
    found, _ = history.load_history(chosen)
    known = found.as_of(instant("2024-04-01", zone="UTC"))
    definitions = dataclasses.replace(
        learn_definitions(known, chosen), population_mean_gap_us=30 * DAY_US
    )
    return found, known, definitions


def rows_of(world, off=()):
    found, known, definitions = world
    chosen = list_columns(definitions, tables=found.names, off=off)
    table = build(
        known,
        population=population_stats(known, definitions),
        definitions=definitions,
        columns=chosen,
    )
    return {row["customer_id"]: row for row in table.to_pylist()}


@pytest.mark.parametrize("customer", WORKED)
def test_worked_by_hand(world, customer):
    row = rows_of(world)[customer]
    for name, value in nonempty(WORKED[customer].items()):
        wanted = pytest.approx(value, rel=1e-12) if isinstance(value, float) else value
        assert row[name] == wanted, name


def test_tenure_may_begin_with_the_second_activity(world):
    found, known, definitions = world
    rows = rows_of((found, known, dataclasses.replace(definitions, acquired="second_activity")))
    assert (rows["ann"]["tenure"], rows["bob"]["tenure"]) == (60, None)
    assert rows["ann"]["stage"] == "growing"  # it changes no stage


def test_prospects_are_known_from_their_date_on(world):
    assert prospects(world[1], contractual=False) == ["fay"]


def test_families_features_and_columns_can_be_switched_off(world):
    row = rows_of(world, off=("monetary", "gap_cv", "active_days_30d"))["ann"]
    assert "active_days_90d" in row
    assert not {"amount_all", "amount_mean", "gap_cv", "active_days_30d"} & set(row)
    with pytest.raises(UnknownKey, match="did you mean 'monetary'"):
        list_columns(world[2], tables=world[0].names, off=("monetry",))
    assert set(FAMILIES) >= {
        "recency",
        "rhythm",
        "frequency",
        "monetary",
        "trend",
        "engagement",
        "satisfaction",
    }
