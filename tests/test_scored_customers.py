"""Risk by value, reasons, curves and the list of customers, each again by a second computation."""

from __future__ import annotations

import json
from collections import Counter
from statistics import median

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.core.file_hashes import hash_file
from features.core.instants import DAY_US
from features.indicators.business_table import TRAILING
from features.recipes.stages import STAGES
from lifecycle.commands.value import make_value_tables
from serving.scoring.reason_text import read_reason
from serving.value.reason_shares import MOST_REASONS, OTHERS
from serving.value.risk_value import MOST_VALUES, value_edges
from tests.support import worlds
from tests.support.businesses import scores

REASONS = ["reason_1", "reason_2", "reason_3"]
OF_SCORES = ("p_churn", "clv", "clv_if_stays", "expected_next_days", *REASONS)
NAMES = ("risk_value", "reason_shares", "curves", "customers")
# What does not depend on contracts is tried on one business.
of_the_shop = pytest.mark.parametrize("business", ["trained_shop"], indirect=True)


@pytest.fixture(scope="module")
def made_of():
    """The tables by the folder of their business: each is made once."""
    return {}


@pytest.fixture
def every_table(at_home, made_of):
    if at_home.folder not in made_of:
        made_of[at_home.folder] = tables_of(at_home)
    return made_of[at_home.folder]


@pytest.fixture
def tables(every_table):
    return {name: table.to_pandas() for name, table in every_table.items()}


def tables_of(business, **changed):
    history = changed.get("history", business.history)
    config = changed.get("settings", business.settings)
    return make_value_tables(history, config, changed.get("as_of", business.run.as_of)).tables


def rewrite(business, change):
    """The scores of a run as `change` makes them of its rows, and a manifest that says so."""
    path = business.run.folder / "scores.parquet"
    table = pq.read_table(path)
    pq.write_table(pa.Table.from_pylist(change(table.to_pylist()), schema=table.schema), path)
    manifest = path.parent / "manifest.json"
    content = json.loads(manifest.read_text())
    content["files"]["scores.parquet"] = hash_file(path)
    manifest.write_text(json.dumps(content))


def every_row(**cells):
    return lambda rows: [row | cells for row in rows]


def test_every_eligible_customer_with_a_value_is_in_one_cell(at_home, tables):
    frame, cells = scores(at_home).to_pandas(), tables["risk_value"]
    frame = frame[frame["eligible"] & frame["clv"].notna()]
    assert cells["customers"].sum() == len(frame) > 0
    assert (cells["customers"] == cells["n"]).all()
    assert not cells.duplicated(["risk_from", "value_from"]).any()
    for _, cell in cells.iterrows():
        risky = frame["p_churn"].between(cell["risk_from"], cell["risk_to"], inclusive="left")
        risky |= (cell["risk_to"] == 1) & (frame["p_churn"] == 1)
        money = frame["clv_if_stays"]
        dear = (money >= cell["value_from"]) & (money < cell["value_to"])
        part = frame[risky & dear]
        assert len(part) == cell["customers"] > 0
        stake = (part["clv_if_stays"] - part["clv"]).sum()
        assert cell["at_stake"] == pytest.approx(stake, abs=1e-3)
        assert cell["mean_p_churn"] == pytest.approx(part["p_churn"].mean(), abs=1e-6)
    worth = tables["worth"].set_index("group").loc["all"]
    assert cells["at_stake"].sum() == pytest.approx(worth["at_stake"], abs=1e-3)
    assert len(set(cells["value_from"])) <= MOST_VALUES


@given(st.floats(0, 1e12), st.floats(0, 1e12))
def test_the_edges_of_values_are_few_and_hold_every_value(one, other):
    lowest, highest = sorted((one, other))
    edges = value_edges(lowest, highest)
    assert edges[0] == 0
    assert list(edges) == sorted(set(edges))
    assert 2 <= len(edges) <= MOST_VALUES + 1
    assert edges[-1] > highest
    assert len(edges) == 2 or edges[-2] <= highest
    for edge in edges[1:]:
        digits = f"{edge:e}".split("e")[0]
        assert float(digits) in (1, 2, 5)


@of_the_shop
def test_values_at_an_edge_and_a_risk_of_one_are_in_the_upper_cell(own_home):
    cells = [(0.3, 10.0), (1.0, 9.99), (0.0, -2.0), (0.29999, 20.0)]

    def change(rows):
        few = [
            row | {"eligible": True, "clv": 0.0, "p_churn": p, "clv_if_stays": money}
            for row, (p, money) in zip(rows, cells, strict=False)
        ]
        return [*few, *every_row(eligible=False)(rows[len(cells) :])]

    rewrite(own_home, change)
    cells = tables_of(own_home)["risk_value"].to_pylist()
    found = {(c["risk_from"], c["risk_to"], c["value_from"], c["value_to"]) for c in cells}
    low = value_edges(-2.0, 20.0)[1]
    assert found == {
        (0.0, 0.1, 0.0, low),
        (0.2, 0.3, 20.0, 50.0),
        (0.3, 0.4, 10.0, 20.0),
        (0.9, 1.0, 5.0, 10.0),
    }


def named_reasons(frame):
    """stage -> direction -> reason -> its (customer, value, usual) triples."""
    found: dict = {}
    for _, row in frame[frame["eligible"]].iterrows():
        for sentence in row[REASONS].dropna():
            parts = read_reason(sentence)
            for stage in ("all", row["stage"]):
                reasons = found.setdefault((stage, parts.direction), {})
                triple = (row["customer_id"], parts.value, parts.usual)
                reasons.setdefault(parts.phrase, []).append(triple)
    return found


def middle(values):
    known = [each for each in values if each is not None]
    return median(known) if known else None


def test_reasons_are_counted_by_customer(at_home, every_table):
    frame = scores(at_home).to_pandas()
    sizes = Counter(frame[frame["eligible"]]["stage"]) | Counter(all=int(frame["eligible"].sum()))
    rows = every_table["reason_shares"].to_pylist()
    expected = named_reasons(frame)
    assert {(row["stage"], row["direction"]) for row in rows} == set(expected)
    for (stage, direction), reasons in expected.items():
        mine = [r for r in rows if (r["stage"], r["direction"]) == (stage, direction)]
        ranked = sorted(reasons, key=lambda name: (-len({c for c, *_ in reasons[name]}), name))
        assert [r["reason"] for r in mine if r["reason"] != OTHERS] == ranked[:MOST_REASONS]
        for row in mine:
            names = ranked[MOST_REASONS:] if row["reason"] == OTHERS else [row["reason"]]
            triples = [each for name in names for each in reasons[name]]
            customers = {who for who, *_ in triples}
            assert (row["customers"], row["n"]) == (len(customers), sizes[stage])
            assert (row["share"], row["reasons"]) == (len(customers) / sizes[stage], len(names))
            assert row["low"] <= row["share"] <= row["high"]
            if row["reason"] != OTHERS:
                assert row["median_value"] == middle([value for _, value, _ in triples])
                assert row["usual_value"] == middle([usual for *_, usual in triples])
            else:
                assert (row["median_value"], row["usual_value"]) == (None, None)


def test_curves_are_means_of_the_customers(at_home, every_table):
    frame = scores(at_home).to_pandas()
    contractual = at_home.settings.contractual
    rows = {
        (row["stage"], row["kind"], row["days"]): row for row in every_table["curves"].to_pylist()
    }
    kinds = ("p_lost" if contractual else "p_active", "p_return")
    expected = 0
    for stage in ("all", *STAGES):
        part = frame[frame["eligible"] if stage == "all" else frame["stage"] == stage]
        for kind in kinds[: 1 if stage == "all" else 2]:
            for days in at_home.settings.curve_horizons:
                values = part[f"{kind}_{days}d"].dropna()
                expected += bool(len(values))
                if len(values):
                    row = rows[stage, kind, days]
                    assert row["n"] == len(values)
                    assert row["p"] == pytest.approx(values.mean(), abs=1e-6)
                    assert (row["low"], row["high"]) == (None, None)
    assert expected == len(rows) > 0
    returning = {stage for stage, kind, _ in rows if kind == "p_return"}
    assert returning <= ({"churned"} if contractual else {"dormant", "churned"})


def test_the_list_has_every_customer_and_the_columns_of_the_other_tables(
    at_home, every_table, tables
):
    frame = scores(at_home).to_pandas().set_index("customer_id")
    rows = tables["customers"].set_index("customer_id")
    assert set(frame.index) <= set(rows.index)
    assert rows.index.is_unique
    listed = {row["customer_id"]: row for row in every_table["customers"].to_pylist()}
    for row in scores(at_home).to_pylist():
        mine = listed[row["customer_id"]]
        assert {name: mine[name] for name in OF_SCORES} == {name: row[name] for name in OF_SCORES}
    assert rows.loc[frame.index, "stage"].tolist() == frame["stage"].tolist()
    assert rows.loc[frame.index, "eligible"].tolist() == frame["eligible"].tolist()
    stake = (frame["clv_if_stays"] - frame["clv"])[frame["eligible"] & frame["clv"].notna()]
    assert rows["at_stake"].dropna().to_dict() == pytest.approx(stake.to_dict())
    order = sorted(rows.index, key=lambda who: (-stake.get(who, float("-inf")), who))
    assert rows.index.tolist() == order
    # Each column again from the table that it is named after.
    cells = tables["risk_value"].set_index(["risk_from", "value_from"])["customers"]
    assert rows.groupby(["risk_from", "value_from"]).size().to_dict() == cells.to_dict()
    matrix = tables["value_matrix"].set_index(["current", "predicted"])["n"]
    assert rows.groupby(["current", "predicted"]).size().to_dict() == matrix[matrix > 0].to_dict()
    rfm = tables["rfm"].set_index("customer_id")["segment"]
    assert rows["rfm_segment"].dropna().to_dict() == rfm.to_dict()
    tiers = tables["tiers"].set_index("tier")["n"]
    assert rows["tier"].dropna().value_counts().to_dict() == tiers[tiers > 0].to_dict()
    cohorts = tables["cohorts"].groupby("cohort")["n"].first()
    assert rows["cohort"].dropna().value_counts().to_dict() == cohorts.to_dict()
    known = at_home.history.as_of(at_home.run.as_of).tables["customers"]
    people = known.collect(backend="pandas").to_native().groupby("customer_id").last()
    for name in ("channel", "segment"):
        stated = people[name].reindex(rows.index).fillna("").tolist()
        assert rows[name].replace("(unknown)", None).fillna("").tolist() == stated


@of_the_shop
def test_without_scores_the_list_has_all_that_is_known_without_them(at_home, every_table):
    earlier = at_home.run.as_of - 30 * DAY_US
    made = tables_of(at_home, as_of=earlier)
    *rows, last = made["customers"].to_pylist()
    assert "lifecycle score" in last["missing"]
    assert (last["n"], last["customer_id"]) == (0, None)
    assert [row["customer_id"] for row in rows] == sorted(row["customer_id"] for row in rows)
    for name in ("eligible", "at_stake", "current", "risk_from", *OF_SCORES):
        assert {row[name] for row in rows} == {None}
    stages = {row["stage"]: row["n"] for row in made["stages_now"].to_pylist() if row["n"]}
    assert Counter(row["stage"] for row in rows) == stages
    segments = {row["segment"]: row["n"] for row in made["rfm_segments"].to_pylist() if row["n"]}
    assert Counter(row["rfm_segment"] for row in rows if row["rfm_segment"]) == segments


@of_the_shop
def test_who_may_not_be_listed_is_counted_and_not_listed(at_home, every_table):
    """Without the consent flag of anybody the list would be as it was."""
    recorded = worlds.read_tables(at_home.history)
    people = recorded["customers"]
    agreed = pa.array([at % 3 == 0 for at in range(people.num_rows)])
    place = people.column_names.index("consent")
    some = people.set_column(place, people.field("consent"), agreed.cast(people["consent"].type))
    names = set(people.filter(agreed)["customer_id"].to_pylist())
    consent = at_home.settings.consent.model_copy(update={"list": True})
    config = at_home.settings.model_copy(update={"consent": consent})
    other = worlds.rebuild_history(at_home.history, recorded | {"customers": some})
    made = tables_of(at_home, history=other, settings=config)
    listed = made["customers"]["customer_id"].to_pylist()
    assert set(listed) == names & set(every_table["customers"]["customer_id"].to_pylist())
    for name in ("risk_value", "reason_shares", "curves"):
        assert made[name].equals(every_table[name])
    nobody = some.set_column(place, people.field("consent"), pc.and_(agreed, False))
    other = worlds.rebuild_history(at_home.history, recorded | {"customers": nobody})
    [row] = tables_of(at_home, history=other, settings=config)["customers"].to_pylist()
    assert row["missing"] == "customers who consented to be listed"


@of_the_shop
def test_neither_the_order_of_rows_nor_of_scores_changes_anything(own_home, every_table):
    rewrite(own_home, lambda rows: rows[::-1])
    shuffled = worlds.shuffle_rows(worlds.read_tables(own_home.history))
    other = worlds.rebuild_history(own_home.history, shuffled, threads=2)
    made = tables_of(own_home, history=other)
    for name in NAMES:
        assert made[name].equals(every_table[name]), name


def without_curve(rows):
    return [
        row | {name: None for name in row if name.startswith(("p_active_", "p_return_"))}
        for row in rows
    ]


CHANGES = {
    "nobody eligible": every_row(eligible=False),
    "no value": every_row(clv=None, clv_if_stays=None),
    "no reasons": every_row(**dict.fromkeys(REASONS)),
    "no curve": without_curve,
    "one customer": lambda rows: [row for row in rows if row["eligible"]][:1],
    "nobody": lambda rows: rows[:0],
}


@of_the_shop
@pytest.mark.parametrize("name", CHANGES)
def test_what_scores_lack_is_said(own_home, name):
    rewrite(own_home, CHANGES[name])
    made = tables_of(own_home)
    missing = {table: made[table].to_pylist()[-1]["missing"] for table in NAMES}
    expected = {
        "nobody eligible": {"risk_value": "eligible", "reason_shares": "eligible"},
        "no value": {"risk_value": "clv", "customers": "clv"},
        "no reasons": {"reason_shares": "reasons"},
        "no curve": {"curves": "curve"},
        "one customer": {},
        "nobody": {
            "risk_value": "clv",
            "reason_shares": "eligible",
            "curves": "curve",
            "customers": "clv",
        },
    }[name]
    assert set(expected) == {table for table, sentence in missing.items() if sentence}
    for table, word in expected.items():
        assert word in missing[table]
    for table in NAMES:
        for row in made[table].to_pylist():
            assert row["population"]
            assert row["definition"]
            assert [*row][-len(TRAILING) :] == [*TRAILING]
            assert not row["missing"] or row["n"] == 0
