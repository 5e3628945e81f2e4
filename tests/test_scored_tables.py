"""The tables of `lifecycle value` that need scores, each number again by a second computation."""

from __future__ import annotations

import json
import os
import shutil

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from features.core.errors import BadSetting
from features.core.file_hashes import hash_file
from features.core.instants import DAY_US, day_text
from features.indicators.what_if import read_what_if, what_if_table
from features.recipes.stages import STAGES
from lifecycle.commands.value import make_value_tables
from serving.value.scored_tables import OF_SCORES_ALONE, SHAPES, run_of_day
from serving.value.value_matrix import STANCES
from serving.value.win_back import WIN_BACK_STAGES
from tests.support.businesses import scores

ALONE = [shape.name for shape in OF_SCORES_ALONE]
GONE = ("dormant", "churned")
YEAR = 365 * DAY_US


# What does not depend on contracts is tried on one business.
of_the_shop = pytest.mark.parametrize("business", ["trained_shop"], indirect=True)


@pytest.fixture(scope="module")
def kept():
    """The tables by the folder of their business: each is made once."""
    return {}


@pytest.fixture
def every_table(at_home, kept):
    if at_home.folder not in kept:
        kept[at_home.folder] = make_value_tables(
            at_home.history, at_home.settings, at_home.run.as_of
        ).tables
    return kept[at_home.folder]


@pytest.fixture
def tables(every_table):
    return {name: every_table[name].to_pandas() for name in SHAPES}


def valued(business) -> pd.DataFrame:
    """Customers with a clv, and the money of their last year from the tables themselves."""
    frame = scores(business).to_pandas()
    frame = frame[frame["clv"].notna()].set_index("customer_id")
    known = business.history.as_of(business.run.as_of)
    rows = known.tables["transactions"].collect(backend="pandas").to_native()
    rows = rows[rows["kind"].isin(["purchase", "refund"])]
    back = (rows["kind"] == "refund") | (rows["amount"] < 0)
    rows["net"] = np.where(back, -rows["amount"].abs(), rows["amount"])
    recent = rows[rows["occurred_at"] >= business.run.as_of - YEAR]
    year = recent.groupby("customer_id")["net"].sum() / 10**business.settings.minor_digits
    frame["year"] = year.reindex(frame.index).fillna(0.0)
    return frame


def test_worth_is_the_sum_of_its_customers(at_home, tables):
    frame, worth = valued(at_home), tables["worth"]
    for group, row in worth[worth["by"] != "segment"].set_index("group").iterrows():
        part = frame if group == "all" else frame[frame["stage"] == group]
        stake = (part["clv_if_stays"] - part["clv"])[part["eligible"]].sum()
        assert row["n"] == len(part)
        assert row["clv"] == pytest.approx(part["clv"].sum(), abs=1e-3)
        assert row["at_stake"] == pytest.approx(stake, abs=1e-3)
        assert row["mean_p_churn"] == pytest.approx(part["p_churn"].mean(), abs=1e-6)
        assert row["money_last_year"] == pytest.approx(part["year"].sum(), abs=1e-3)
    by_stage = worth[worth["by"] == "stage"]
    assert by_stage["n"].sum() == len(frame)
    assert by_stage["clv_share"].sum() == pytest.approx(1)


def test_the_matrix_has_every_customer_in_one_cell(at_home, tables):
    frame, matrix = valued(at_home), tables["value_matrix"]
    top = 0.2 * len(frame)
    much = (frame["year"].rank(ascending=False, method="min") <= top) & (frame["year"] > 0)
    expected = (frame["clv"].rank(ascending=False, method="min") <= top) & (frame["clv"] > 0)
    assert list(zip(matrix["current"], matrix["predicted"], strict=True)) == list(STANCES)
    for (current, predicted), (_, row) in zip(STANCES, matrix.iterrows(), strict=True):
        part = frame[(much == (current == "high")) & (expected == (predicted == "high"))]
        assert row["n"] == len(part)
        assert row["clv"] == pytest.approx(part["clv"].sum(), abs=1e-3)
        assert row["money_last_year"] == pytest.approx(part["year"].sum(), abs=1e-3)
        assert row["low"] <= row["share"] <= row["high"]
    assert matrix["n"].sum() == len(frame)
    assert matrix["share"].sum() == pytest.approx(1)


@pytest.mark.long
def test_win_back_is_ranked_and_leaves_out_who_is_not_worth_it(at_home):
    config = at_home.settings
    costly = config.model_copy(
        update={"value": config.value.model_copy(update={"win_back_cost": 2.0})}
    )
    made = make_value_tables(at_home.history, costly, at_home.run.as_of).tables
    rows, stages = made["win_back"].to_pandas(), made["win_back_stages"].to_pandas()
    frame = valued(at_home)
    gone = frame[~frame["eligible"] if config.contractual else frame["stage"].isin(GONE)]
    worth = (1 - gone["p_churn"]) * gone["clv_if_stays"] - 2.0
    assert stages["n"].sum() == len(gone)
    assert stages["worth_it"].sum() == (worth > 0).sum()
    assert stages["expected"].sum() == pytest.approx(worth[worth > 0].sum(), abs=1e-3)
    if (worth > 0).any():
        best = worth[worth > 0].sort_values(ascending=False)
        assert rows["expected"].tolist() == pytest.approx(best.tolist())
        assert rows["customer_id"].iloc[0] == best.index[0]
        assert rows["place"].tolist() == list(range(1, len(rows) + 1))
    else:
        assert rows["missing"].notna().all()


def test_expected_moves_sum_to_the_customers(at_home, tables):
    frame = scores(at_home).to_pandas()
    frame = frame[frame["p_churn"].notna()]
    moves = tables["next_stages"]
    assert moves["expected"].sum() == pytest.approx(len(frame), abs=1e-3)
    for stage, part in frame.groupby("stage"):
        rows = moves[moves["from_stage"] == stage].set_index("to_stage")
        assert (rows["n"] == len(part)).all()
        for after in STAGES:
            assert rows.loc[after, "expected"] == pytest.approx(
                part[f"p_next_{after}"].sum(), abs=1e-4
            )


@of_the_shop
def test_a_day_without_scores_says_what_to_type(at_home):
    earlier = at_home.run.as_of - 30 * DAY_US
    made = make_value_tables(at_home.history, at_home.settings, earlier).tables
    day = day_text(earlier, zone=at_home.settings.zone)
    for name in ALONE:
        [row] = made[name].to_pylist()
        assert row["missing"] == f"scores of {day}: run `lifecycle score --as-of {day}`"
        assert row["n"] == 0


@of_the_shop
def test_scores_of_another_configuration_or_damaged_ones_are_not_read(own_home):
    config = own_home.settings
    assert run_of_day(config, own_home.run.as_of) == own_home.run.folder
    churn = config.churn.model_copy(update={"horizon_days": 45})
    other = config.model_copy(update={"churn": churn})
    assert run_of_day(other, own_home.run.as_of) is None
    # Of two runs of the day the newer one.
    again = own_home.run.folder.with_name("run=00")
    shutil.copytree(own_home.run.folder, again)
    os.utime(again / "manifest.json", ns=(2**62, 2**62))
    assert run_of_day(config, own_home.run.as_of) == again
    (again / "scores.parquet").write_bytes(b"no parquet")
    made = make_value_tables(own_home.history, config, own_home.run.as_of).tables
    assert all("as they were written" in made[name]["missing"][0].as_py() for name in ALONE)


def rewrite(path, table):
    """The scores of a run with other values, and a manifest that says so."""
    pq.write_table(table, path)
    manifest = path.parent / "manifest.json"
    content = json.loads(manifest.read_text())
    content["files"]["scores.parquet"] = hash_file(path)
    manifest.write_text(json.dumps(content))


@of_the_shop
def test_scores_without_a_clv_of_an_older_release_say_what_to_type(own_home):
    path = own_home.run.folder / "scores.parquet"
    rewrite(path, pq.read_table(path).drop_columns(["clv", "clv_low", "clv_high", "clv_if_stays"]))
    made = make_value_tables(own_home.history, own_home.settings, own_home.run.as_of).tables
    assert all("train again" in made[name]["missing"][0].as_py() for name in ALONE)


@pytest.mark.slow
@pytest.mark.long
@of_the_shop
def test_scores_that_somebody_changed_or_of_other_data_are_not_read(own_home):
    path, config = own_home.run.folder / "scores.parquet", own_home.settings
    table = pq.read_table(path)
    dear = pc.multiply(table["clv"], 1000.0)
    pq.write_table(table.set_column(table.column_names.index("clv"), "clv", dear), path)
    made = make_value_tables(own_home.history, config, own_home.run.as_of).tables
    assert all("as they were written" in made[name]["missing"][0].as_py() for name in ALONE)
    rewrite(path, table)
    made = make_value_tables(own_home.history, config, own_home.run.as_of).tables
    assert made["worth"]["missing"][0].as_py() is None
    # The same configuration and day, and a business whose customers did otherwise.
    activity = own_home.run.folder / "history" / f"{config.activity.table}.parquet"
    rows = pq.read_table(activity)
    pq.write_table(rows.slice(1), activity)
    made = make_value_tables(own_home.history, config, own_home.run.as_of).tables
    assert all("of these data" in made[name]["missing"][0].as_py() for name in ALONE)


@of_the_shop
def test_without_any_value_the_tables_say_so(own_home):
    path = own_home.run.folder / "scores.parquet"
    table = pq.read_table(path)
    for name in ("clv", "clv_low", "clv_high", "clv_if_stays"):
        place = table.column_names.index(name)
        table = table.set_column(place, name, pa.nulls(table.num_rows, pa.float64()))
    rewrite(path, table)
    made = make_value_tables(own_home.history, own_home.settings, own_home.run.as_of).tables
    for name in ("worth", "value_matrix", "win_back", WIN_BACK_STAGES.name, "risk_value"):
        assert "clv" in made[name]["missing"][0].as_py()
    assert made["next_stages"].num_rows > 7


@of_the_shop
@pytest.mark.parametrize("change", [0.05, -0.1])
def test_what_another_retention_is_worth_follows_from_the_formula(at_home, change):
    config = at_home.settings
    made = make_value_tables(at_home.history, config, at_home.run.as_of, what_if=change).tables
    rows = {row["measure"]: row for row in made["what_if"].to_pylist()}
    [retention] = [row for row in made["indicators"].to_pylist() if row["indicator"] == "retention"]
    now, then = retention["value"], min(retention["value"] + change, 1.0)
    assert (rows["retention"]["now"], rows["retention"]["then"]) == (now, pytest.approx(then))
    d = 1.1 ** (config.churn.horizon_days / 365) - 1
    assert rows["periods"]["now"] == pytest.approx(1 / (1 + d - now))
    assert rows["periods"]["low"] < rows["periods"]["now"] < rows["periods"]["high"]
    total = made["worth"].to_pylist()[0]["clv"]
    assert rows["clv"]["then"] == pytest.approx(total * (1 + d - now) / (1 + d - then))


@of_the_shop
def test_where_everybody_stays_and_nothing_is_discounted_the_worth_is_missing(at_home):
    config = at_home.settings
    value = config.value.model_copy(update={"annual_discount": 0.0})
    config = config.model_copy(update={"value": value})
    tables = make_value_tables(at_home.history, config, at_home.run.as_of).tables
    rows = tables["indicators"].to_pylist()
    everybody = {"value": 1.0, "low": 0.99, "high": 1.0}
    rows = [row | (everybody if row["indicator"] == "retention" else {}) for row in rows]
    tables["indicators"] = pa.Table.from_pylist(rows, schema=tables["indicators"].schema)
    for change in (0.05, -0.05):
        [row] = what_if_table(change, tables, config).to_pylist()
        assert "discount" in row["missing"]


@pytest.mark.parametrize(
    "text", ["retention", "retention=5%", "churn=+5%", "retention=+500%", "", "retention=+nan%"]
)
def test_any_other_question_is_refused(text):
    with pytest.raises(BadSetting, match=r"retention=\+5%"):
        read_what_if(text)
    assert read_what_if("retention=+5%") == 0.05
    assert read_what_if(None) is None


def test_the_clv_of_the_page_is_that_of_worth(at_home, every_table, tables):
    [clv] = [row for row in every_table["indicators"].to_pylist() if row["indicator"] == "clv"]
    worth = tables["worth"].set_index("group").loc["all"]
    assert (clv["value"], clv["n"]) == (pytest.approx(worth["mean_clv"]), worth["n"])
    assert clv["low"] < clv["value"] < clv["high"]
    each = valued(at_home)["clv"]
    half = 1.959964 * each.std() / len(each) ** 0.5
    assert clv["high"] - clv["value"] == pytest.approx(half, rel=1e-4)


def test_channels_are_worth_what_their_customers_are(at_home, tables):
    frame, rows = valued(at_home), tables["channel_worth"]
    known = at_home.history.as_of(at_home.run.as_of)
    customers = known.tables["customers"].collect(backend="pandas").to_native()
    channel = customers.groupby("customer_id")["channel"].last().reindex(frame.index)
    for name, part in frame.groupby(channel.fillna("(unknown)")):
        [row] = rows[rows["channel"] == name].to_dict("records")
        assert row["n"] == len(part)
        assert row["mean_clv"] == pytest.approx(part["clv"].mean(), abs=1e-5)
        assert row["worth_per_customer"] == pytest.approx(
            row["money_per_customer"] + row["mean_clv"]
        )
    everybody = rows[rows["channel"] == "all"].iloc[0]
    assert everybody["n"] == len(frame)
